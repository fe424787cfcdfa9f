"""What people have asked of running work, and what came of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from optimizer import jsonable, wording
from storage import wishes


@dataclasses.dataclass(frozen=True)
class Asked:
    """One wish. `trial` is None where it concerns the study.

    Attributes:
        asks: pause, resume, finish, change, stop or requeue; `details` is what it needs beside that.
        heard_by: the worker that sees to it; None until one has heard it.
        answer: done, declined or overtaken; None until there is one. `said` is what came of it in words.
    """

    trial: int | None
    asks: str
    details: Mapping[str, Any]
    actor: str
    note: str
    asked_at: jsonable.Timestamp
    heard_by: str | None
    heard_at: jsonable.Timestamp | None
    answer: str | None
    said: str
    answered_at: jsonable.Timestamp | None

    def sentence(self) -> str:
        """In a sentence: who asked for what, and how it stands."""
        whom = "the study" if self.trial is None else f"trial {self.trial}"
        wanted = f"{self.actor} asks to {self.asks} {whom}"
        if self.details:
            wanted += f" ({wording.settings(self.details)})"
        if self.note:
            wanted += f": {self.note}"
        return f"{wanted}; {self._standing()}"

    def _standing(self) -> str:
        if self.answer is not None:
            return f"{self.answer}: {self.said}" if self.said else self.answer
        return "not heard yet" if self.heard_by is None else f"heard by {self.heard_by}"


def of(wish: wishes.Wish) -> Asked:
    """A wish as it is shown."""
    return Asked(
        trial=wish.trial_number,
        asks=wish.asks,
        details=wish.details,
        actor=wish.actor,
        note=wish.note,
        asked_at=wish.asked_at,
        heard_by=wish.heard_by,
        heard_at=wish.heard_at,
        answer=wish.answer,
        said=wish.said,
        answered_at=wish.answered_at,
    )
