"""Runtime guards: `stop` rules see a trial's live signals and may end it early."""

import json
import os
from collections.abc import Mapping
from typing import Any

from constraints import ruleset as rulesets
from trainers import events, paths

#: live signals that a stop rule may name, beside the trial's parameters
SIGNALS = frozenset(
    {
        "step",
        "epoch",
        "progress",
        "loss",
        "loss_ema",
        "grad_norm",
        "grad_norm_median",
        "learning_rate_now",
        "elapsed_minutes",
        "vram_gb",
        "black_share",
        "flat_share",
        "clip_score",
    }
)


def broken(rules: rulesets.RuleSet, event: events.Event, params: Mapping[str, Any]) -> str | None:
    """The first stop rule that this event breaks, or None. Signals that were not told are not set."""
    if event.event != "step":
        return None
    signals = {name: event.data.get(name) for name in SIGNALS}
    fired = rules.watch({**params, **signals})
    return fired[0] if fired else None


def stop(trial: paths.TrialPaths, rule: str) -> None:
    """Ask the trainer to end this trial; it looks for the file at every report."""
    temporary = trial.stop.with_suffix(".tmp")
    temporary.write_text(json.dumps({"rule": rule}), encoding="utf-8")
    os.replace(temporary, trial.stop)
