"""Who is left behind when a worker dies: a trial that runs for nobody, until its lease has run out."""

import dataclasses
import datetime
from collections.abc import Sequence

import optuna

from optimizer.trials import rows as trial_rows


@dataclasses.dataclass
class Heirs:
    """Tells whether the trials that others hold are theirs in truth.

    A worker that lives renews its lease at a third of it. So whoever finds nothing to do sees within that time that all
    others live, or takes the trial of one that is dead when its lease has run out.
    """

    rows: trial_rows.Rows
    #: trial -> until when its lease lasted when it was first seen, or None where it was renewed since
    _seen: dict[int, datetime.datetime | None] = dataclasses.field(default_factory=dict)

    def may_come(self, running: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether one of these may still fall to this worker, since nobody has shown yet that its holder lives."""
        held = self.rows.held([trial.number for trial in running])
        for number, until in held.items():
            first = self._seen.setdefault(number, until)
            if first is not None and until > first:
                self._seen[number] = None
        return any(self._seen[number] is not None for number in held)
