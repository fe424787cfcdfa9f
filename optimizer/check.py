"""What can be known of a study before anything runs."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from constraints import examination, examine
from optimizer import estimates, facts, idle, pruning, readiness, rulebook, wiring
from optimizer import outlook as outlooks
from optimizer import study as studies


@dataclasses.dataclass(frozen=True)
class StudyCheck:
    """A study's data, what the rules leave of its space, what it will take, and parameters that change nothing."""

    name: str
    images: int
    gpus: int
    trials: int
    proof: examination.Examination | None
    outlook: outlooks.Outlook
    notes: tuple[str, ...]

    @property
    def leaves_nothing(self) -> bool:
        return self.proof is not None and self.proof.leaves_nothing

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "images": self.images,
            "gpus": self.gpus,
            "trials": self.trials,
            "rules": None if self.proof is None else self.proof.as_json(),
            "estimate": self.outlook.as_json(),
            "notes": list(self.notes),
        }

    def render(self) -> str:
        lines = [f"{self.name}: {self.trials} trials, {self.images} images, {self.gpus} GPUs"]
        if self.proof is not None:
            lines.append(self.proof.render())
        lines.append(self.outlook.render())
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def check(study: studies.Study, measured: Sequence[estimates.Measured] = ()) -> StudyCheck:
    """Check a study: dataset, rules against space, what trials will take, parameters without effect.

    Args:
        study: as its file says.
        measured: what trials took, where the study has run before.

    Raises:
        errors.BadInput: the dataset or a rule file is wrong, a tracker is not installed, the trainer cannot train, or
            the pruner cannot work.
    """
    wiring.check_trackers(study)
    ready = readiness.of(study)
    ready.demand()
    situation = wiring.situation(study, wiring.inspect_dataset(study))
    if situation.estimator is not None:
        situation = dataclasses.replace(situation, estimator=situation.estimator.calibrated(measured))
    rules = rulebook.of_files(study)
    return StudyCheck(
        name=study.name,
        images=situation.images or 0,
        gpus=situation.gpu.count,
        trials=study.search.trials,
        proof=examine.examine(rules, facts_at=situation.facts) if study.rules else None,
        outlook=outlooks.outlook(study, rules, situation),
        notes=(*ready.notes, *_notes(study), *_stopping(study, situation)),
    )


def _stopping(study: studies.Study, situation: facts.Situation) -> Iterator[str]:
    """What evaluation points are good for here, and what the pruner will do with them."""
    during = study.evaluation.during
    if during is None:
        return
    most = pruning.most_samples(study, situation)
    pruning.make(study, most)
    said = pruning.describe(study, most)
    if said is not None:
        yield said
    batch = pruning.largest_batch(study, situation)
    if batch is not None and batch > during.every_samples:
        yield (
            f"a step of {batch} samples passes several points of every {during.every_samples} at once and is the last "
            f"one's; with every_samples {batch} or more all trials are looked at after the same samples"
        )


def _notes(study: studies.Study) -> Sequence[str]:
    notes = [
        f"{name} has an effect only when {when}; say `when: {when}` to spare the search from values that change nothing"
        for name, when in idle.conditions(study).items()
    ]
    if study.search.sampler in ("gp", "nsga2"):
        notes.append(f"{study.search.sampler} learns nothing from unusable trials (they are PRUNED); tpe does")
    if study.search.sampler == "cmaes":
        notes.append("cmaes samples numbers only and knows no constraints; choices are drawn at random")
    return notes
