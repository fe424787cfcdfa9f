"""Everything about one trial, for a terminal: what it was, what came of it, who ran it, where its files lie."""

import dataclasses
import datetime
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optimizer import wording
from optimizer.report import running as running_trials
from optimizer.report import summary
from optimizer.results import asked, judged, live, records
from optimizer.results import attempts as trial_attempts
from trainers.contract import paths


@dataclasses.dataclass(frozen=True)
class Beside:
    """What is kept of one trial beside its record, each oldest first."""

    judgements: Sequence[judged.Judged] = ()
    signals: Sequence[live.LiveAttempt] = ()
    wishes: Sequence[asked.Asked] = ()


def render(record: records.TrialRecord, beside: Beside, fixed: Mapping[str, Any], directory: pathlib.Path) -> str:
    """Sections of name and value, one a line.

    Args:
        record: the trial.
        beside: what is kept beside it.
        fixed: what its study fixes beside the trial's own parameters.
        directory: the trial's own folder, which need not be there.
    """
    sections = [
        ("", _outcome(record)),
        ("now", running_trials.facts(beside.signals[-1]) if record.state == "running" and beside.signals else []),
        ("asked", [(_moment(wish.asked_at), wish.sentence()) for wish in beside.wishes]),
        ("parameters", [(name, wording.value(value)) for name, value in record.params.items()]),
        ("fixed", [(name, wording.value(value)) for name, value in fixed.items() if name not in record.params]),
        ("rules", list(_rules(record, beside.judgements))),
        ("metrics", [(name, _metric(value)) for name, value in record.metrics.items() if name not in record.values]),
        (
            "milestones",
            [(f"{samples} samples", wording.value(value)) for samples, value in record.curve.items()],
        ),
        ("seconds", [(phase, f"{seconds:.1f}") for phase, seconds in records.in_order(record.phases)]),
        ("attempts", [(str(each.attempt), _attempt(each)) for each in record.attempts]),
        ("files", list(_files(record, directory))),
    ]
    return "\n".join(line for heading, pairs in sections for line in _section(heading, pairs))


def _section(heading: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    if not pairs:
        return
    indent = "  " if heading else ""
    width = max(len(name) for name, _ in pairs)
    if heading:
        yield f"{heading}:"
    for name, text in pairs:
        first, *more = text.splitlines() or [""]
        yield f"{indent}{name.ljust(width)}  {first}".rstrip()
        yield from (f"{indent}{' ' * width}  {line}" for line in more)


def _outcome(record: records.TrialRecord) -> list[tuple[str, str]]:
    found = [("trial", str(record.number)), ("state", f"{record.state}: {records.STATES[record.state]}")]
    found += [(name, wording.value(value)) for name, value in record.values.items()]
    if record.gain is not None:
        found.append(("gain", summary.gained(record.gain).removeprefix("gain ")))
    if record.subject_similarity is not None:
        found.append(("subject_similarity", wording.value(record.subject_similarity)))
    if record.steps is not None:
        found.append(("steps", record.progress().removeprefix(" at step ")))
    if record.seconds is not None:
        found.append(("time", wording.duration(record.seconds)))
    if record.failure is not None:
        where = "" if record.failure["step"] is None else f" at step {record.failure['step']}"
        found.append(("why", f"{record.failure['kind']}{where}: {record.failure['message']}"))
    elif record.why():
        found.append(("why", record.why()))
    if record.taken_over:
        found.append(("result", "taken over from a trial of the same parameters and seed"))
    return found


def _rules(record: records.TrialRecord, judgements: Sequence[judged.Judged]) -> Iterator[tuple[str, str]]:
    if record.rule_version and not judgements:
        yield "judged by", record.rule_version
    yield from ((each.origin, each.sentences()) for each in judgements)
    if record.stop_rule is not None:
        yield "stopped by", record.stop_rule
    for rule, violation in record.constraints.items():
        yield rule, "held" if violation <= 0 else f"broken, violation {wording.value(float(violation))}"


def _metric(value: Any) -> str:
    if isinstance(value, Mapping):
        return wording.settings(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(wording.value(each) for each in value)
    return wording.value(value)


def _attempt(of: trial_attempts.Attempt) -> str:
    said = f"{of.ending or 'not ended'}, by {of.worker} on {of.device}, from {_moment(of.started_at)}"
    if of.exit_code is not None:
        said += f", exit code {of.exit_code}"
    if of.step is not None:
        said += f", step {of.step}"
    return f"{said}\n{of.message}" if of.message else said


def _moment(time: datetime.datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _files(record: records.TrialRecord, directory: pathlib.Path) -> Iterator[tuple[str, str]]:
    if record.lora is not None:
        yield "LoRA", record.lora
    if record.lora_sha256 is not None:
        yield "its sha256", record.lora_sha256
    if record.images:
        yield "pictures", str(pathlib.Path(str(record.images[0]["path"])).parent)
    for each in record.attempts:
        files = paths.JobPaths(paths.TrialPaths(directory).attempt(each.attempt))
        for name, path in (("events", files.events), ("console", files.console)):
            if path.exists():
                yield f"{name} of attempt {each.attempt}", str(path)
