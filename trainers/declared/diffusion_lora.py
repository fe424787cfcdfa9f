"""Our own trainer: LoRA for Stable Diffusion 1.5 and SDXL. Torch-free."""

from trainers.data import buckets, dataset
from trainers.declared import declaration
from trainers.lora import contradictions, footprint, metrics, parameters, sections, written
from trainers.preflight import cautions, readiness

DATASET = declaration.DatasetSection(
    model=sections.Dataset,
    written=written.DatasetEntry,
    stands_in=".",
    inspect=dataset.inspect,
    resolve=written.dataset,
)
EVALUATION = declaration.EvaluationSection(
    model=sections.Evaluation,
    written=written.EvaluationEntry,
    stands_in={"prompts": [written.STAND_IN]},
    problems=written.problems,
    milestones=written.milestones,
    resolve=written.evaluation,
)

DECLARATION = declaration.Declaration(
    name="diffusion-lora",
    summary="LoRA for Stable Diffusion 1.5 and SDXL, by our own trainer",
    recipe="trainers.recipes.diffusion_lora:DiffusionLoraRecipe",
    parameters=parameters.TABLE,
    contradictions=contradictions.TABLE,
    dataset=DATASET,
    evaluation=EVALUATION,
    metrics=metrics.TABLE,
    signals=metrics.SIGNALS,
    batches=buckets.training_size,
    footprint=footprint.of,
    obstacles=readiness.of_lora,
    cautions=cautions.of_lora,
    exports=("sd-scripts", "diffusers"),
)
