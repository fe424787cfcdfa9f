"""`dataset:` and `evaluation:` as people write them for trainers of LoRAs, and what becomes of them. Torch-free.

Prompts may stand in a text file, a line each; a data set may be its path alone.
"""

import collections
import pathlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeAlias

import pydantic

from trainers.contract import job
from trainers.contract.milestones import Milestones
from trainers.files import places, plain_files
from trainers.lora import sections
from trainers.terms.sections import ResolvedSection, SectionProblem

#: prompts of one evaluation, each drawn with every seed after every trial
MOST_PROMPTS = 1000
#: of a file of prompts
_MOST_BYTES = 1_000_000
#: what is drawn where prompts cannot be read, so that the rest of a study can be looked at
STAND_IN = "a picture"

#: a path, or the data set with its options
DatasetEntry: TypeAlias = str | sections.Dataset


class EvaluationEntry(job.Record):
    """`evaluation:` as written."""

    prompts: str | tuple[str, ...]
    held_out: str | tuple[str, ...] = ()
    seeds: Annotated[tuple[sections.Seed, ...], pydantic.Field(min_length=1)] = (1, 2)
    steps: sections.SamplerSteps = 20
    guidance_scale: Annotated[float, pydantic.Field(ge=0, le=1000)] = 7.5
    negative_prompt: str = ""
    clip: sections.ClipModel = sections.ClipModel()
    dino: sections.DinoModel | None = None
    during: sections.During | None = None


def dataset(written: DatasetEntry, folder: pathlib.Path) -> ResolvedSection:
    """The data set with its absolute path, all its options written out."""
    whole = written if isinstance(written, sections.Dataset) else sections.Dataset(path=written)
    return ResolvedSection({**whole.model_dump(mode="json"), "path": places.absolute(whole.path, folder)})


def evaluation(written: EvaluationEntry, folder: pathlib.Path) -> ResolvedSection:
    """The evaluation with its prompts written out, and absolute paths to the folders and files of its scorers."""
    prompts, wrong = _prompts("prompts", written.prompts, folder)
    held_out, more = _prompts("held_out", written.held_out, folder)
    document = {**_scorers(written, folder), "prompts": prompts or [STAND_IN], "held_out": held_out}
    return ResolvedSection(document, (*wrong, *more), is_whole=bool(prompts))


def problems(written: EvaluationEntry) -> Iterator[SectionProblem]:
    """Nothing is drawn twice, or of nothing."""
    for key, prompts in (("prompts", written.prompts), ("held_out", written.held_out)):
        if not isinstance(prompts, str):
            yield from _prompt_problems(key, prompts)
    yield from _twice(("evaluation", "seeds"), written.seeds, "the same pictures would be drawn twice")


def milestones(written: EvaluationEntry | sections.Evaluation) -> Milestones | None:
    """When trials are scored while they train, and of how many prompts and pictures each time."""
    if written.during is None:
        return None
    if isinstance(written, EvaluationEntry):
        return Milestones(written.during.every_samples)
    prompts = min(written.during.prompts, len(written.prompts))
    return Milestones(written.during.every_samples, prompts, sections.pictures_at_milestones(written))


def _prompts(
    key: str, value: str | tuple[str, ...], folder: pathlib.Path
) -> tuple[list[str], tuple[SectionProblem, ...]]:
    """The prompts of a list, or of a file, with what is wrong with the file."""
    if not isinstance(value, str):
        return list(value), ()
    path, where = pathlib.Path(places.absolute(value, folder)), ("evaluation", key)
    try:
        lines = [line.strip() for line in plain_files.read_text(path, _MOST_BYTES).splitlines()]
    except (OSError, ValueError) as error:
        why = plain_files.reason(error) if isinstance(error, OSError) else str(error)
        remedy = "name a text file with a prompt a line, or a list"
        return [], (SectionProblem(where, f"cannot read {value}: {why}", remedy),)
    prompts = [line for line in lines if line and not line.startswith("#")]
    empty = () if prompts else (SectionProblem(where, f"{value} holds no prompt", "write a prompt a line"),)
    return prompts, (*empty, *_prompt_problems(key, prompts))


def _prompt_problems(key: str, prompts: Sequence[str]) -> Iterator[SectionProblem]:
    """What is wrong with a list of prompts, written out or read from a file."""
    where = ("evaluation", key)
    if key == "prompts" and not prompts:
        yield SectionProblem(where, "prompts are empty; nothing would be drawn", "write at least one prompt")
    if len(prompts) > MOST_PROMPTS:
        yield SectionProblem(where, f"{len(prompts):,} prompts; at most {MOST_PROMPTS:,} are drawn after each trial")
    for at, prompt in enumerate(prompts):
        if not prompt.strip():
            yield SectionProblem((*where, at), f"prompt {at + 1} is blank", "write a prompt, or take it out")
    yield from _twice(where, [prompt.strip() for prompt in prompts], "each would count twice in the scores")


def _twice(where: tuple[str, ...], values: Sequence[str | int], why: str) -> Iterator[SectionProblem]:
    counted = collections.Counter(value for value in values if value != "")
    for value in (each for each, times in counted.items() if times > 1):
        at = len(values) - 1 - list(reversed(values)).index(value)
        yield SectionProblem((*where, at), f"{value!r} is there {counted[value]} times; {why}", "keep it once")


def _scorers(written: EvaluationEntry, folder: pathlib.Path) -> dict[str, Any]:
    """Names of scorers stay as they are."""
    found: dict[str, Any] = written.model_dump(mode="json", exclude_none=True)
    for scorer, key in (("clip", "model"), ("clip", "pretrained"), ("dino", "weights")):
        if scorer in found and places.looks_like_path(found[scorer][key]):
            found[scorer][key] = places.absolute(found[scorer][key], folder)
    return found
