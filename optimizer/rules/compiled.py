"""Rule files and texts, read and compiled over a study's space. No database is asked, so a check starts at once."""

import pathlib
from collections.abc import Iterator, Sequence

from constraints.judging import kinds
from constraints.names import vocabulary
from constraints.rules import loading, rulefile
from constraints.rules import ruleset as rulesets
from constraints.text import errors as constraint_errors
from constraints.text import expression
from optimizer import errors
from optimizer.study import resolved as studies
from trainers.declared import registry


def load(study: studies.Study, sources: Sequence[loading.RuleSource]) -> rulesets.RuleSet:
    """Compile rule texts over a study's space.

    What the study leaves out trains with the trainer's default, so rules judge that, too.

    Raises:
        errors.BadInput: a rule file is wrong; the message lists every problem.
    """
    told = study.declared.metrics
    try:
        rules = rulesets.load(
            sources,
            study.space,
            fixed=study.declared.defaults(study.space) | dict(study.fixed),
            metrics=None if told is None else list(told),
            signals=registry.signals(),
            derived=study.declared.derived({**study.space, **study.fixed}),
        )
    except constraint_errors.ConstraintsError as error:
        raise errors.BadInput(str(error)) from error
    problems = _untold(study, rules)
    if problems:
        raise errors.BadInput("\n".join(problems))
    return rules


def _untold(study: studies.Study, rules: rulesets.RuleSet) -> list[str]:
    """Expect rules on metrics that this study's trainer does not tell: no trial could ever satisfy them."""
    found = []
    for rule in rules.rules:
        if kinds.KINDS[rule.kind].moment == "result":
            for name in sorted(expression.names(rule.broken)):
                missing = study.declared.untold(name, study.evaluation)
                if missing:
                    remedy = "add that to the study, or take the rule out"
                    found.append(f"{rule.file}:{rule.line}: {rule.id}: {missing}; {remedy}")
    return found


def unheard(study: studies.Study, rules: rulesets.RuleSet) -> Iterator[str]:
    """Stop rules on signals that this study's trainer never tells, and that never end a trial for them."""
    told = watched(study)
    for rule in rules.rules:
        is_stopping = kinds.KINDS[rule.kind].effect == "stopped"
        lacking = rule.scope.inputs(rule.broken) & rule.scope.signals.keys() - set(told) if is_stopping else ()
        if lacking:
            names = ", ".join(f"'{name}'" for name in sorted(lacking))
            what = f"it tells {', '.join(told)}" if told else "it tells nothing then"
            yield f"{rule.id} ends no trial by {names}: {study.trainer} does not tell that while it trains; {what}"


def watched(study: studies.Study) -> tuple[str, ...]:
    """The signals that a study's trainer tells while it trains."""
    own = study.declared.signals
    return () if own is None else tuple(dict.fromkeys([*vocabulary.SIGNALS, *own]))


def read_all(sources: Sequence[loading.RuleSource]) -> None:
    """Read rule files without a study, so that what is wrong with their form can be told.

    Raises:
        errors.BadInput: a file is wrong; the message lists every problem.
    """
    _, problems = loading.files_of(sources)
    if problems:
        raise errors.BadInput(str(constraint_errors.DocumentError(tuple(problems))))


def read_alone(name: str) -> rulefile.RuleFile:
    """Read a rule file without a study; its form is right, its names are not checked.

    Raises:
        errors.BadInput: the file is wrong; the message lists every problem.
    """
    files, problems = loading.files_of([source_of(name)])
    if problems:
        raise errors.BadInput(str(constraint_errors.DocumentError(tuple(problems))))
    return files[0]


def of_files(study: studies.Study) -> rulesets.RuleSet:
    """The rules that a study file names, without a database; sets that only a database holds are an error."""
    return load(study, [source_of(name) for name in study.rules])


def source_of(name: str) -> loading.RuleSource:
    """A rule file's path, or the name of a shipped one."""
    return pathlib.Path(name) if name.endswith((".yaml", ".yml")) else name
