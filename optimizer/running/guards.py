"""Runtime guards: `stop` rules see a trial's live signals and may end it early."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from constraints.rules import ruleset as rulesets
from trainers.contract import events, paths
from trainers.files import atomic


@dataclasses.dataclass
class Guard:
    """What is known of one running trial: its parameters, and the latest of each signal that its trainer told.

    `watched` are the signals that rules may name. Those that were not told yet are not set.
    """

    params: Mapping[str, Any]
    watched: Collection[str]
    signals: dict[str, Any] = dataclasses.field(default_factory=dict)

    def broken(self, rules: rulesets.RuleSet, event: events.Event) -> str | None:
        """The first stop rule that is broken with what this event tells beside what was known, or None."""
        told = self._told(event)
        if not told:
            return None
        self.signals |= told
        fired = rules.watch({**self.params, **dict.fromkeys(self.watched), **self.signals})
        return fired[0] if fired else None

    def _told(self, event: events.Event) -> dict[str, Any]:
        """The signals of an event: of a step, or of a milestone."""
        if event.event == "evaluated":
            found = {"step": event.data["step"], **event.data["metrics"]}
        elif event.event == "step":
            found = dict(event.data)
        else:
            return {}
        return {name: found[name] for name in self.watched if isinstance(found.get(name), int | float)}


def stop(trial: paths.TrialPaths, rule: str) -> None:
    """Ask the trainer to end this trial; it looks for the file at every report.

    Raises:
        OSError: the disk is full or failed.
    """
    atomic.write(trial.stop, json.dumps({"rule": rule}).encode())
