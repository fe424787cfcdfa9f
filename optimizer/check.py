"""What can be known of a study before anything runs."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from constraints.proving import examination, examine
from constraints.rules import loading
from constraints.rules import ruleset as rulesets
from constraints.text import errors as constraint_errors
from optimizer import beforehand, errors, remembered
from optimizer.designs import asked
from optimizer.designs.search import pruning
from optimizer.designs.search import sketch as sketches
from optimizer.forecast import cautions, readiness
from optimizer.forecast import outlook as outlooks
from optimizer.forecast import situation as situations
from optimizer.rules import compiled
from optimizer.study import idle
from optimizer.study import resolved as studies
from optimizer.trials import warm_start


@dataclasses.dataclass(frozen=True)
class StudyCheck:
    """A study's data, what the rules leave of its space, what it will take, and parameters that change nothing."""

    name: str
    images: int
    gpus: int
    trials: int
    rules: examination.Examination | None
    estimate: outlooks.Outlook
    notes: tuple[str, ...]

    @property
    def leaves_nothing(self) -> bool:
        return self.rules is not None and self.rules.leaves_nothing


@dataclasses.dataclass(frozen=True)
class Looked:
    """A study file looked at from all sides: everything that is wrong, else what a check goes on with."""

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    situation: situations.Situation | None = None
    rules: rulesets.RuleSet | None = None

    def demand(self) -> None:
        """Raise errors.BadInput with every problem, if there is one."""
        if self.problems:
            raise errors.BadInput("\n".join(self.problems))


def look(drafted: studies.Draft, before: beforehand.Before | None) -> Looked:
    """Everything that can be known of a study before a trial exists, except proofs and estimates.

    Args:
        drafted: the study file, as far as it can be read.
        before: what a running database knows. Without one, rule sets that are neither files nor shipped are left to
            the run itself.
    """
    study, broken = drafted.study, drafted.broken
    problems = [str(constraint_errors.DocumentError(drafted.problems))] if drafted.problems else []

    def say(where: tuple[str | int, ...], text: str) -> None:
        """A problem with its place in the study file; a list of problems names its own files."""
        message, _, remedy = text.partition("; ")
        is_list = "\n" in text or where == ("rules",)
        problems.append(text if is_list else drafted.document.problem(where, message, remedy).render())

    if before is not None and before.taken is not None and not drafted.problems:
        say(("name",), before.taken)
    found = readiness.look(study, broken)
    for obstacle in found.obstacles:
        say(obstacle.where, obstacle.message)
    rules = None
    try:
        rules = _rules(study, broken, before)
    except errors.BadInput as error:
        say(("rules",), str(error))
    if found.images is None or broken & {"space", "trainer", "search", "evaluation", studies.CONTENT, "objectives"}:
        return Looked(tuple(problems))
    situation = remembered.situation(study, found.images.showings)
    cautioned = study.declared.cautions(readiness.inquiry(study), found.images)
    notes = [*found.notes, *found.images.notes]
    for section, (wrong, worth_a_note) in {
        "dataset": (cautioned.problems, cautioned.notes),
        "space": cautions.space(study, situation),
    }.items():
        notes += worth_a_note
        for text in wrong:
            say((section,), text)
    try:
        notes += [*_notes(study), *_stopping(study, situation)]
    except errors.BadInput as error:
        say(("search", "pruner"), str(error))
    if rules is not None:
        notes += compiled.unheard(study, rules)
        for where, text in _of_points(study, rules, situation):
            say(where, text)
    return Looked(tuple(problems), tuple(notes), situation, rules)


def _rules(study: studies.Study, broken: frozenset[str], before: beforehand.Before | None) -> rulesets.RuleSet | None:
    """The study's rules; None where they cannot be judged yet."""
    stored = {} if before is None else before.rule_sets
    sources = [stored.get(name, compiled.source_of(name)) for name in study.rules]
    if before is None:
        there = [source for source in sources if not isinstance(source, str) or source in loading.library()]
        if len(there) < len(sources):
            compiled.read_all(there)
            return None
    if "rules" in broken:
        return None
    if broken & {"space", "trainer", "fixed", "evaluation", studies.CONTENT}:
        compiled.read_all(sources)
        return None
    return compiled.load(study, sources)


def _of_points(
    study: studies.Study, rules: rulesets.RuleSet, situation: situations.Situation
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Points that the study begins with and that are refused, and tables of earlier trials that cannot be read."""
    for at, point in enumerate(study.search.start):
        refused = asked.refused_by(study, rules, situation, point)
        if refused:
            yield ("search", "start", at), f"this point is refused by {', '.join(refused)}; take it out, or the rule"
    for at, source in enumerate(study.search.warm_start):
        if source.endswith(".csv"):
            try:
                warm_start.check_table(study, pathlib.Path(source))
            except errors.BadInput as error:
                yield ("search", "warm_start", at), str(error)


def check(drafted: studies.Draft, before: beforehand.Before | None = None) -> StudyCheck:
    """Check a study: everything that it names, rules against space, what trials will take.

    Args:
        drafted: the study file, as far as it can be read.
        before: what a running database knows.

    Raises:
        errors.BadInput: something is wrong; the message lists all of it.
    """
    looked = look(drafted, before or beforehand.Before())
    looked.demand()
    study, situation, rules = drafted.study, looked.situation, looked.rules
    assert situation is not None, "nothing is wrong, so everything was looked at"
    assert rules is not None, "nothing is wrong, so everything was looked at"
    if situation.estimator is not None:
        measured = () if before is None else before.measured
        situation = dataclasses.replace(situation, estimator=situation.estimator.calibrated(measured))
    return StudyCheck(
        name=study.name,
        images=situation.images or 0,
        gpus=situation.gpu.count,
        trials=study.search.trials,
        rules=examine.examine(rules, facts_at=situation.facts) if study.rules else None,
        estimate=outlooks.outlook(study, rules, situation),
        notes=looked.notes,
    )


def _stopping(study: studies.Study, situation: situations.Situation) -> Iterator[str]:
    """What milestones are good for here, and what the pruner will do with them."""
    milestones = study.milestones
    if milestones is None:
        return
    most = pruning.most_samples(study, situation)
    pruning.make(study, most)
    said = pruning.describe(study, most)
    if said is not None:
        yield said
    batch = pruning.largest_batch(study, situation)
    if batch is not None and batch > milestones.every_samples:
        yield (
            f"a step of {batch} samples passes several points of every {milestones.every_samples} at once and is the "
            f"last one's; with every_samples {batch} or more all trials are looked at after the same samples"
        )


def _notes(study: studies.Study) -> Sequence[str]:
    notes = [
        f"{name} has an effect only when {when}; say `when: {when}` to spare the search from values that change nothing"
        for name, when in idle.conditions(study).items()
    ]
    return [*notes, *sketches.notes(study.search.sampler)]
