"""Whether a study's trainer can train at all, found out before a trial exists."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from constraints import domain as domains
from optimizer import errors, facts
from optimizer import study as studies
from trainers import sd_scripts, sd_scripts_limits, sd_scripts_probe


@dataclasses.dataclass(frozen=True)
class Readiness:
    """What stands in a trainer's way, and what it said of itself, each a line for people."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def demand(self) -> None:
        """Go on only where nothing stands in the way.

        Raises:
            errors.BadInput: something does; the message names all of it.
        """
        if self.problems:
            raise errors.BadInput("\n".join(self.problems))


def of(study: studies.Study) -> Readiness:
    """Ask a study's trainer; sd-scripts has an environment of its own that takes half a minute to answer."""
    return _sd_scripts(study) if study.trainer == "sd-scripts" else Readiness()


def _sd_scripts(study: studies.Study) -> Readiness:
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
    return Readiness(tuple(problems), () if answer.problem else (answer.render(),))


def _values(space: Mapping[str, domains.Domain]) -> Iterator[tuple[str, Iterable[Any]]]:
    """What each parameter may be, where that can be counted."""
    for name, domain in space.items():
        if domain.kind == "choice":
            yield name, domain.choices
        elif domain.kind == "int":
            yield name, range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))
