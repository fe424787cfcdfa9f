"""Trials as records, for what shows them."""

from optimizer.results import records


def trial(number: int, state: str = "usable", **changes: object) -> records.TrialRecord:
    """A trial of two objectives; `changes` are fields of the record."""
    usable = state == "usable"
    values = {"clip_score": 0.3 + 0.01 * number, "failure_rate": 0.0}
    known: dict[str, object] = {
        "number": number,
        "state": state,
        "params": {"learning_rate": 1e-4 * (number + 1), "network_dim": 8, "lr_scheduler": "constant_with_warmup"},
        "values": values if usable else dict.fromkeys(values),
        "refused_by": (),
        "seconds": 10.0,
        "failure": None,
        "phases": {"train": 10.0},
        "metrics": dict(values) if usable else {},
        "images": (),
        "constraints": {},
        "lora": None,
        "steps": 100,
        "attempts": (),
        "rule_version": "safety@1",
    }
    return records.TrialRecord(**{**known, **changes})  # type: ignore[arg-type]


def stopped(number: int, rule: str = "too-loud", step: int = 10) -> records.TrialRecord:
    """A trial that a stop rule ended."""
    failure = {"kind": "stopped-by-rule", "step": step, "message": f"the stop rule {rule} ended it", "rule": rule}
    return trial(number, "unusable", failure=failure, stop_rule=rule, steps=step, total_steps=80)
