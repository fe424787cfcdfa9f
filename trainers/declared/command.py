"""A script of a user's own, which is told of images and prompts and tells what it likes. Torch-free."""

from trainers.declared import declaration, diffusion_lora
from trainers.lora import metrics
from trainers.preflight import cautions, readiness
from trainers.terms.parameters import OpenTable, Parameter, table

_PARAMETERS = table(
    Parameter("script", "text", "The Python script to run, with the job file as its argument. Relative to the study "
              "file's folder.", is_path=True),
)  # fmt: skip

DECLARATION = declaration.Declaration(
    name="command",
    summary="a Python script of your own",
    recipe="trainers.recipes.command:CommandRecipe",
    parameters=OpenTable(_PARAMETERS),
    needs={"script": "say under `fixed` which Python script trains"},
    dataset=diffusion_lora.DATASET,
    evaluation=diffusion_lora.EVALUATION,
    metrics=None,
    signals=metrics.SIGNALS,
    obstacles=readiness.of_script,
    cautions=cautions.of_prompts,
)
