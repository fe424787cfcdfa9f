"""Whether a study's trials could start on this machine: its data set, base, judges, trackers and the trainer's needs.

`study check` shows what is found, `study run` and every worker that joins refuse to begin with the same list.
"""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from constraints.names import domain as domains
from optimizer import errors
from optimizer.forecast import situation as facts
from optimizer.study import resolved as studies
from trainers.contract import errors as trainer_errors
from trainers.data import dataset
from trainers.declared import parameters
from trainers.kohya import limits as sd_scripts_limits
from trainers.kohya import probe as sd_scripts_probe
from trainers.kohya import settings as sd_scripts
from trainers.preflight import readiness

#: which sections must be readable before something can be looked at
_NEEDS = {
    "launch": {"launch"},
    "base": {"base", "trainer"},
    "evaluation": {"evaluation"},
    "fixed": {"space", "trainer"},
}


@dataclasses.dataclass(frozen=True)
class StudyReadiness:
    """What looking came to: the data set where it is right, and everything that is wrong."""

    images: dataset.DatasetFacts | None
    obstacles: tuple[readiness.Obstacle, ...]
    notes: tuple[str, ...] = ()


def look(study: studies.Study, broken: Collection[str] = ()) -> StudyReadiness:
    """Look at everything that a study names; what cannot be read of its file (`broken`) is left alone."""
    images, obstacles = (None, []) if "dataset" in broken else _images(study)
    if "trainer" not in broken and parameters.unknown_trainer(study.trainer) is None:
        for obstacle in readiness.obstacles(
            study.trainer, _given(study), study.base, study.evaluation, study.launch.trackers
        ):
            if not _NEEDS.get(obstacle.where[0], set()) & set(broken):
                obstacles.append(obstacle)
    own = of(study) if not {"trainer", "base", "space", "fixed"} & set(broken) else TrainerReadiness()
    obstacles += [readiness.Obstacle(("trainer",), problem) for problem in own.problems]
    return StudyReadiness(images, tuple(obstacles), own.notes)


def demand(study: studies.Study) -> dataset.DatasetFacts:
    """The data set of a study that can start here.

    Raises:
        errors.BadInput: it cannot; the message lists everything that is missing.
    """
    found = look(study)
    if found.obstacles or found.images is None:
        raise errors.BadInput("\n".join(obstacle.message for obstacle in found.obstacles))
    return found.images


def inspect_dataset(study: studies.Study) -> dataset.DatasetFacts:
    """Read every image and caption of a study.

    Raises:
        errors.BadInput: the folder, an image or a caption is missing or unreadable; each one is named.
    """
    try:
        return dataset.inspect(study.dataset)
    except trainer_errors.TrainersError as error:
        raise errors.BadInput(str(error)) from error


def _images(study: studies.Study) -> tuple[dataset.DatasetFacts | None, list[readiness.Obstacle]]:
    try:
        return inspect_dataset(study), []
    except errors.BadInput as error:
        return None, [readiness.Obstacle(("dataset",), str(error))]


def _given(study: studies.Study) -> readiness.Given:
    choices = {name: domain.choices for name, domain in study.space.items() if domain.choices}
    return {**choices, **{name: (value,) for name, value in study.fixed.items()}}


@dataclasses.dataclass(frozen=True)
class TrainerReadiness:
    """What stands in a trainer's way, and what it said of itself, each a line for people."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def of(study: studies.Study) -> TrainerReadiness:
    """Ask a study's trainer; sd-scripts has an environment of its own that takes half a minute to answer."""
    asked = study.trainer == "sd-scripts" and not parameters.missing(study.trainer, {**study.fixed, **study.space})
    return _sd_scripts(study) if asked else TrainerReadiness()


def _sd_scripts(study: studies.Study) -> TrainerReadiness:
    base = sd_scripts.base(study.base)
    script = sd_scripts.SCRIPTS["sd15" if base is None else base.family]
    answer = sd_scripts_probe.ask(study.fixed, script)
    problems = sd_scripts_probe.problems(study.fixed, answer, base, facts.gpus().count)
    if base is not None:
        values: dict[str, Iterable[Any]] = {
            **{name: (value,) for name, value in study.fixed.items()},
            **dict(_values(study.space)),
        }
        problems += sd_scripts_limits.setting_problems(base.family, values)
    return TrainerReadiness(tuple(problems), () if answer.problem else (answer.render(),))


def _values(space: Mapping[str, domains.Domain]) -> Iterator[tuple[str, Iterable[Any]]]:
    """What each parameter may be, where that can be counted."""
    for name, domain in space.items():
        if domain.kind == "choice":
            yield name, domain.choices
        elif domain.kind == "int":
            yield name, range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))
