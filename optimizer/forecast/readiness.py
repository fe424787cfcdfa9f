"""Whether a study's trials could start on this machine: its data set, base, scorers, trackers and the trainer's needs.

`study check` shows what is found, `study run` and every worker that joins refuse to begin with the same list.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

from optimizer import errors
from optimizer.forecast import situation as situations
from optimizer.study import resolved as studies
from trainers.contract import errors as trainer_errors
from trainers.declared import declaration, registry
from trainers.terms.inquiry import Inquiry, Obstacle
from trainers.training import tracking

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

    images: declaration.InspectedDataset | None
    obstacles: tuple[Obstacle, ...]
    notes: tuple[str, ...] = ()


def look(study: studies.Study, broken: Collection[str] = ()) -> StudyReadiness:
    """Look at everything that a study names; what cannot be read of its file (`broken`) is left alone."""
    images, obstacles = (None, []) if "dataset" in broken else _images(study)
    if "trainer" in broken or registry.unknown(study.trainer):
        return StudyReadiness(images, tuple(obstacles))
    seen = [Obstacle(("launch", "trackers"), problem) for problem in tracking.missing(study.launch.trackers)]
    seen += study.declared.obstacles(inquiry(study))
    obstacles += [each for each in seen if not _NEEDS.get(each.where[0], set()) & set(broken)]
    if {"base", "space", "fixed"} & set(broken) or study.declared.missing({**study.fixed, **study.space}):
        return StudyReadiness(images, tuple(obstacles))
    own = study.declared.ask(inquiry(study))
    obstacles += [Obstacle(("trainer",), problem) for problem in own.problems]
    return StudyReadiness(images, tuple(obstacles), own.notes)


def demand(study: studies.Study) -> declaration.InspectedDataset:
    """The data set of a study that can start here.

    Raises:
        errors.BadInput: it cannot; the message lists everything that is missing.
    """
    found = look(study)
    if found.obstacles or found.images is None:
        raise errors.BadInput("\n".join(obstacle.message for obstacle in found.obstacles))
    return found.images


def inspect_dataset(study: studies.Study) -> declaration.InspectedDataset:
    """Read all of a study's data set.

    Raises:
        errors.BadInput: the folder or something in it is missing or unreadable; each one is named.
    """
    try:
        return registry.looked_at(study.trainer).dataset.inspect(study.dataset)
    except trainer_errors.TrainersError as error:
        raise errors.BadInput(str(error)) from error


def inquiry(study: studies.Study) -> Inquiry:
    """A study as its trainer sees it."""
    values = {name: (value,) for name, value in study.fixed.items()} | dict(_values(study))
    return Inquiry(study.base, study.fixed, values, study.evaluation, lambda: situations.gpus().count)


def _images(study: studies.Study) -> tuple[declaration.InspectedDataset | None, list[Obstacle]]:
    try:
        return inspect_dataset(study), []
    except errors.BadInput as error:
        return None, [Obstacle(("dataset",), str(error))]


def _values(study: studies.Study) -> Iterator[tuple[str, Sequence[bool | int | float | str]]]:
    """What each searched parameter may be, where that can be counted."""
    for name, domain in study.space.items():
        if domain.kind == "choice":
            yield name, domain.choices
        elif domain.kind == "int":
            yield name, range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))
