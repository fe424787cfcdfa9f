"""What a trial or a point came to, in a line."""

from optimizer import wording
from optimizer.results import gain as gains
from optimizer.results import records, repeats


def of(record: records.TrialRecord) -> str:
    """A trial's objectives, gain and subject similarity."""
    said = [f"{name} {wording.value(value)}" for name, value in record.values.items()]
    if record.gain is not None:
        said.append(gained(record.gain))
    if record.subject_similarity is not None:
        said.append(f"subject_similarity {wording.value(record.subject_similarity)}")
    return f"trial {record.number}, {', '.join(said)}"


def gained(gain: gains.Gain) -> str:
    """A gain, as `gain +0.18 over the untrained base (95 % interval +0.15 to +0.21)`."""
    named = "gain" if gain.metric == "clip_score" else f"gain in {gain.metric}"
    between = (
        ""
        if gain.low is None or gain.high is None
        else f" (95 % interval {wording.signed(gain.low)} to {wording.signed(gain.high)})"
    )
    return f"{named} {wording.signed(gain.value)} over the untrained base{between}"


def repeated(found: repeats.Repeated) -> str:
    """The trials of a point that was trained several times, and what they come to together."""
    parts = [
        f"{name} {wording.value(found.mean[name])}" + (f" ± {spread:.2g}" if spread is not None else "")
        for name, spread in found.spread.items()
    ]
    return f"mean of {len(found.trials)} trainings (trials {', '.join(map(str, found.trials))}): {', '.join(parts)}"
