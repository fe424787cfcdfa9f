"""A trial's settings for other trainers: kohya's sd-scripts, diffusers' own script, and all of them as JSON.

What is exported is what was trained: with the trial's own seed, at the resolution that its base stood for, in as many
steps. A setting that a format cannot carry is never left out in silence: it is named in `Export.lost`.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optimizer import errors
from optimizer.results import diffusers_script, records, repeats
from optimizer.study import resolved as studies
from trainers.contract import errors as trainer_errors
from trainers.data import counters, dataset, showings
from trainers.kohya import images as sd_scripts_images
from trainers.kohya import limits as sd_scripts_limits
from trainers.kohya import settings as kohya_settings
from trainers.lora import parameters, settings, steps

#: states of which there is nothing to export, and why
_NEVER_TRAINED = {
    "waiting": "it has not begun",
    "running": "it still trains; wait for its end",
    "interrupted": "it was begun and nobody trains it now; `tuneguard study run` goes on with it",
    "refused": "{why} refused it, so it never trained",
    "crashed": "the machine failed at every attempt, so nothing came of it",
}


@dataclasses.dataclass(frozen=True)
class ExportedTrial:
    """A trial to export, and what it was trained with."""

    study: studies.Study
    record: records.TrialRecord
    pictures: tuple[dataset.TrainingImage, ...]
    base: kohya_settings.BaseTraits

    @property
    def trained(self) -> settings.LoraSettings:
        """Its settings, defaults and ratios worked out, with its own seed."""
        return trained(self.study, self.record)

    @property
    def resolution(self) -> int:
        """Side in pixels of the square that it was trained at."""
        return self.trained.resolution or self.base.resolution

    @property
    def plan(self) -> steps.StepPlan:
        """Its steps: as many as it took or was to take, where that was told.

        Raises:
            errors.BadInput: its base leaves no bucket.
        """
        took = _took(self.record)
        return self._counted(self.trained if took is None else dataclasses.replace(self.trained, max_train_steps=took))

    @property
    def counted(self) -> steps.StepPlan:
        """Its steps by its settings and the data set as it is now."""
        return self._counted(self.trained)

    def _counted(self, own: settings.LoraSettings) -> steps.StepPlan:
        shown = showings.of(self.pictures)
        plan = counters.StepCounter(self.study.declared.batches, shown, self.base.resolution).plan(own)
        if plan is None:
            raise errors.BadInput(f"trial {self.record.number}: its steps cannot be counted: there is no bucket for it")
        return plan


@dataclasses.dataclass(frozen=True)
class Export:
    """A trial in the words of another trainer.

    Attributes:
        texts: by what is put before the ending of the name that a person gives: best.dataset.toml.
        lost: what the format cannot carry, each a line for people.
        remarks: what a person should know beside that.
        needs_images: whether the data set has to be written out anew, beside the texts.
        settings: what was trained, as far as it is known, for scripts that read JSON.
    """

    texts: Mapping[str, str]
    lost: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    needs_images: bool = False
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def trained(study: studies.Study, record: records.TrialRecord) -> settings.LoraSettings:
    """What a trial trained with, defaults and ratios worked out; a repeat has a seed of its own."""
    params = studies.complete(study, record.params)
    return settings.lora_settings({**params, "seed": _seed(study, record)}, study.search.seed)


def _seed(study: studies.Study, record: records.TrialRecord) -> int:
    """The seed that a trial was trained from."""
    return int(studies.complete(study, record.params).get("seed", study.search.seed)) + record.repeat


def chosen(study: studies.Study, found: Sequence[records.TrialRecord], number: int | None) -> records.TrialRecord:
    """The trial to export: the one of that number, or the best.

    Raises:
        errors.BadInput: there is none, or nothing was trained of which something could be exported.
    """
    if number is None:
        best = repeats.best_trial(found, study.objectives)
        if best is None:
            raise errors.BadInput(f"the study {study.name!r} has no usable trial yet; name one with --trial")
        return best
    record = next((each for each in found if each.number == number), None)
    if record is None:
        raise errors.BadInput(f"the study {study.name!r} has no trial {number}; it has {len(found)}, counted from 0")
    if record.state in _NEVER_TRAINED:
        why = _NEVER_TRAINED[record.state].format(why=", ".join(record.refused_by))
        raise errors.BadInput(f"trial {number} of the study {study.name!r} is {record.state}: {why}")
    return record


def source(
    study: studies.Study, record: records.TrialRecord, pictures: Sequence[dataset.TrainingImage]
) -> ExportedTrial:
    """A trial with what its base and its data set say of it.

    Raises:
        errors.BadInput: only its trainer knows what its settings mean, or its base is not here.
    """
    if not study.declared.exports:
        by = study.fixed.get("script", "a script of its own") if study.declared.takes_any_parameter else study.trainer
        raise errors.BadInput(
            f"the study {study.name!r} was trained by {by}, and only "
            "that knows what its settings mean; --format json or csv writes them as they are"
        )
    try:
        return ExportedTrial(study, record, tuple(pictures), kohya_settings.known_base(study.base))
    except trainer_errors.ModelError as error:
        raise errors.BadInput(str(error)) from error


def to_sd_scripts(source: ExportedTrial, images: pathlib.Path | None) -> Export:
    """What `train_network.py` is started with: `--config_file` and `--dataset_config`.

    Args:
        images: the folder that the data set can be written to; None where none is.
    """
    own, base = source.trained, source.base
    different = sd_scripts_images.differences(source.pictures)
    folders = sd_scripts_images.as_they_lie(source.pictures)
    if different and images is not None:
        folders = sd_scripts_images.written(source.pictures, images)
    output = pathlib.Path("output") / f"{source.study.name}-{source.record.number}.safetensors"
    files = kohya_settings.files(own, source.plan, base, folders, output, flip=source.study.dataset.flip)
    lost = [f"{reason}; with -o the images are written out beside it" for reason in different if images is None]
    lost += sd_scripts_limits.setting_problems(
        base.family, {name: (value,) for name, value in dataclasses.asdict(own).items()}
    )
    remarks = [
        _outcome(source),
        *sd_scripts_limits.base_problems(base),
        *_optimizer(own),
        *_save_format(own, "kohya", "sd-scripts"),
    ]
    return Export(
        {"": _commented(source, "for --config_file", lost, remarks) + files.config}
        | {".dataset": _commented(source, "for --dataset_config") + files.dataset},
        tuple(lost),
        tuple(filter(None, remarks)),
        needs_images=bool(different) and images is not None,
        settings=_known(source),
    )


def to_diffusers(source: ExportedTrial, images: pathlib.Path | None) -> Export:
    """Arguments for diffusers' train_text_to_image_lora.py, or its form for SDXL, one a line.

    Args:
        images: the folder that the data set can be written to; None where none is.
    """
    told = diffusers_script.told(
        source.trained,
        source.plan,
        source.base,
        source.pictures,
        flip=source.study.dataset.flip,
        output=f"output/{source.study.name}-{source.record.number}",
        images=images,
    )
    own = source.trained
    remarks = [
        _outcome(source),
        *told.remarks,
        *(_optimizer(own) if not any(line.startswith("optimizer_type") for line in told.lost) else ()),
        *_save_format(own, "diffusers", told.script),
    ]
    return Export(
        {"": _commented(source, f"arguments for {told.script}", told.lost, remarks) + told.text},
        told.lost,
        tuple(filter(None, remarks)),
        needs_images=told.needs_images,
        settings=_known(source),
    )


def to_json(study: studies.Study, record: records.TrialRecord, source: ExportedTrial | None) -> Export:
    """Everything about a trial. `source` is None where its base or data set is not here, or a script trained it."""
    content = {
        "study": study.name,
        "trial": record.number,
        "state": record.state,
        "trainer": study.trainer,
        "base": {"source": study.base},
        "dataset": study.dataset.model_dump(),
        "params": studies.complete(study, record.params),
        "repeat": record.repeat,
        "seed": _seed(study, record),
        **({} if source is None else _known(source)),
        "values": dict(record.values),
        "metrics": dict(record.metrics),
        "failure": None if record.failure is None else dict(record.failure),
        "evaluation": study.evaluation.model_dump(mode="json"),
        "thresholds": study.thresholds.model_dump(mode="json"),
        "rules": record.rule_version,
        "seconds": dict(record.phases),
        "steps": record.steps,
        "lora": record.lora,
    }
    return Export({"": json.dumps(content, indent=1, ensure_ascii=False) + "\n"}, settings=content)


def _known(source: ExportedTrial) -> dict[str, Any]:
    """Settings with nothing left to follow from others, steps as they were counted, and what the base said."""
    base = {name: value for name, value in dataclasses.asdict(source.base).items() if name != "configuration"}
    return {
        "settings": {**dataclasses.asdict(source.trained), "resolution": source.resolution},
        "plan": dataclasses.asdict(source.plan),
        "base": base,
    }


def paths(output: pathlib.Path, export: Export) -> dict[pathlib.Path, str]:
    """The files that an export is written to, with their texts.

    Raises:
        errors.BadInput: they cannot be written there.
    """
    if not output.parent.is_dir():
        raise errors.BadInput(f"{output}: there is no folder {output.parent}; make it first: mkdir -p {output.parent}")
    files = {
        output.with_suffix(name + output.suffix) if output.name else output: text for name, text in export.texts.items()
    }
    for path in files:
        if path.is_dir():
            raise errors.BadInput(f"{path}: is a folder; -o names the file to write, such as {output / 'best.toml'}")
    return files


def write(texts: Mapping[pathlib.Path, str]) -> None:
    """Write files, all of them or none.

    Raises:
        errors.BadInput: they cannot be written there.
    """
    drafts = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    try:
        for path, draft in drafts.items():
            draft.write_text(texts[path], encoding="utf-8")
        for path, draft in drafts.items():
            draft.replace(path)
    except OSError as error:
        raise errors.BadInput(f"{path}: cannot be written: {error.strerror}; choose another -o") from error
    finally:
        for draft in drafts.values():
            with contextlib.suppress(OSError):
                draft.unlink()


def images_beside(output: pathlib.Path, pictures: Sequence[dataset.TrainingImage]) -> pathlib.Path:
    """Where the images of an export are written: what another data set left there has another name."""
    return output.with_name(f"{output.stem}-images-{sd_scripts_images.key(pictures)[:8]}").absolute()


def _commented(source: ExportedTrial, what: str, lost: Sequence[str] = (), remarks: Sequence[str] = ()) -> str:
    lines = [f"trial {source.record.number} of the study {source.study.name}", what]
    lines += [f"NOT AS TRAINED: {line}" for line in lost]
    lines += filter(None, remarks)
    return "".join(f"# {part}\n" for line in lines for part in line.splitlines())


def _took(record: records.TrialRecord) -> int | None:
    """The steps of a trial that came to its end, or that it was to do; None where nobody has said."""
    return record.steps if record.state == "usable" and record.steps else record.total_steps


def _outcome(source: ExportedTrial) -> str:
    """What a person should know of a trial that is no usable one, or whose steps are others by now."""
    record = source.record
    if record.state != "usable":
        return f"this trial is {record.state}"
    counted, took = source.counted.total_steps, _took(record)
    if took is not None and counted != took:
        return f"it took {took} steps; by its settings and the data set as it is now they would be {counted}"
    return ""


def _optimizer(own: settings.LoraSettings) -> Iterator[str]:
    named = parameters.steps_of(own.optimizer_type)
    if named != own.optimizer_type:
        yield f"trained with {own.optimizer_type}, written as {named}: the same mathematics, another order of rounding"


def _save_format(own: settings.LoraSettings, written: str, script: str) -> Iterator[str]:
    if own.save_format != written:
        yield f"{script} saves the LoRA in {written}'s layout, this trial in {own.save_format}'s"
