"""kohya's sd-scripts, which trains the same LoRAs by its own scripts, in an environment of its own. Torch-free."""

import dataclasses
from collections.abc import Iterator

from trainers.data import buckets
from trainers.declared import declaration, diffusion_lora
from trainers.kohya import limits, readiness
from trainers.lora import contradictions, footprint, metrics, written
from trainers.lora import parameters as lora_parameters
from trainers.preflight import cautions
from trainers.preflight import readiness as preflight
from trainers.terms import parameters
from trainers.terms.parameters import Parameter
from trainers.terms.sections import SectionProblem

_PARAMETERS = parameters.table(
    Parameter("sd_scripts", "text", "Folder of a checkout of kohya's sd-scripts; docs/howto/sd-scripts.md says how to "
              "make one that works. Relative to the study file's folder.", is_path=True),
    Parameter("sd_scripts_python", "text", "The Python interpreter of an environment that has sd-scripts' "
              "requirements; by default Tuneguard's own. Relative to the study file's folder.", is_path=True),
    *lora_parameters.TABLE.values(),
    # where it takes less than our own trainer
    Parameter("optimizer_type", "text", "The optimizer. 8-bit ones keep their state in 8 bits.",
              choices=tuple(name for name in lora_parameters.OPTIMIZERS if name not in lora_parameters.NO_SYNC),
              default="AdamW"),
    Parameter("bucket_reso_steps", "int", "Sides of buckets are multiples of this; sd-scripts wants a multiple of 64 "
              "for SD 1.5, of 32 for SDXL.", unit="pixels", low=8, default=64, when="enable_bucket"),
    Parameter("save_format", "text", "Key layout of the saved LoRA: sd-scripts writes kohya's.", choices=("kohya",),
              default="kohya"),
)  # fmt: skip


def _problems(evaluation: written.EvaluationEntry) -> Iterator[SectionProblem]:
    yield from written.problems(evaluation)
    if evaluation.during is not None:
        text = "sd-scripts tells nothing while it trains, so nothing can be scored during training"
        yield SectionProblem(("evaluation", "during"), text, "take it out", on_key=True)


DECLARATION = declaration.Declaration(
    name="sd-scripts",
    summary="LoRA for Stable Diffusion 1.5 and SDXL, by kohya's sd-scripts",
    recipe="trainers.recipes.sd_scripts:SdScriptsRecipe",
    parameters=_PARAMETERS,
    needs={"sd_scripts": "say under `fixed` where sd-scripts is checked out"},
    contradictions=(*contradictions.TABLE, limits.UNEVEN_STEP),
    dataset=diffusion_lora.DATASET,
    evaluation=dataclasses.replace(diffusion_lora.EVALUATION, problems=_problems),
    # its process is none of ours, so nobody measures its memory
    metrics={name: metric for name, metric in metrics.TABLE.items() if name != "vram_gb"},
    signals=None,
    batches=buckets.sd_scripts_size,
    footprint=footprint.of,
    obstacles=preflight.of_lora,
    ask=readiness.ask,
    cautions=cautions.of_lora,
    exports=diffusion_lora.DECLARATION.exports,
)
