"""What a study that trains LoRAs says of its images, of what is drawn, and of what scores it. Torch-free."""

from typing import Annotated, TypeAlias

import pydantic

from trainers.contract import job

#: more passes over one image an epoch than anybody means
MOST_REPEATS = 100_000
#: a seed of an evaluation times 1000 plus the picture's number must be one of torch's seeds
MOST_SEED = 2**53
#: what a noise schedule has
MOST_SAMPLER_STEPS = 1000

Seed = Annotated[int, pydantic.Field(ge=0, le=MOST_SEED)]
SamplerSteps = Annotated[int, pydantic.Field(ge=1, le=MOST_SAMPLER_STEPS)]


class Dataset(job.Record):
    """A folder of images and captions. `repeats` shows each image that often an epoch; `flip` mirrors half of them."""

    path: str
    repeats: Annotated[int, pydantic.Field(ge=1, le=MOST_REPEATS)] = 1
    flip: bool = False


class ClipModel(job.Record):
    """What scores the pictures: an open_clip model name and its pretrained tag, or `demo` for the shipped tiny one."""

    model: str = "demo"
    pretrained: str = ""


class DinoModel(job.Record):
    """What compares subjects beside CLIP: a timm model name, and a file of its weights unless timm shall fetch them."""

    model: str
    weights: str = ""


class During(job.Record):
    """When a few of the evaluation's pictures are drawn while a trial still trains.

    `every_samples` counts training images seen (steps times the effective batch). Drawn are the first `prompts` prompts
    with the first `seeds` seeds, each in `steps` sampler steps; the evaluation's own where that is not set.
    """

    every_samples: Annotated[int, pydantic.Field(ge=1)]
    prompts: Annotated[int, pydantic.Field(ge=1)] = 4
    seeds: Annotated[int, pydantic.Field(ge=1)] = 1
    steps: SamplerSteps | None = None


class Evaluation(job.Record):
    """What is drawn after training, and how it is scored.

    Every prompt is drawn once with each seed. `held_out` prompts are drawn and scored too, but reported apart:
    the search never sees them.
    """

    prompts: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    held_out: tuple[str, ...] = ()
    seeds: Annotated[tuple[Seed, ...], pydantic.Field(min_length=1)] = (1, 2)
    steps: SamplerSteps = 20
    guidance_scale: Annotated[float, pydantic.Field(ge=0, le=1000)] = 7.5
    negative_prompt: str = ""
    clip: ClipModel = ClipModel()
    dino: DinoModel | None = None
    during: During | None = None


#: a job that trains LoRAs and draws with them
LoraJob: TypeAlias = job.TrainJob[Dataset, Evaluation]


def pictures_at_milestones(whole: Evaluation) -> int:
    """How many pictures are drawn at each milestone; 0 without any."""
    fewer = at_milestones(whole)
    return 0 if fewer is None else len(fewer.prompts) * len(fewer.seeds)


def at_milestones(whole: Evaluation) -> Evaluation | None:
    """What is drawn at a milestone: the first prompts and seeds of the whole evaluation, from the same noise."""
    if whole.during is None:
        return None
    fewer = {
        "prompts": whole.prompts[: whole.during.prompts],
        "held_out": (),
        "seeds": whole.seeds[: whole.during.seeds],
        "steps": whole.during.steps or whole.steps,
        "during": None,
    }
    return whole.model_copy(update=fewer)
