"""What can be wrong with what a study file says, each with its line, column and remedy."""

from collections.abc import Iterable, Iterator, Mapping

from constraints.judging import conditions
from constraints.names import domain as domains
from constraints.text import document as documents
from constraints.text import errors as constraint_errors
from optimizer.study import space as spaces
from optimizer.study import written as study_file
from trainers.contract import job as jobs
from trainers.declared import declaration, registry
from trainers.terms import sections as trainer_sections


def check(
    document: documents.Document, form: study_file.Form
) -> tuple[dict[str, domains.Domain] | None, list[constraint_errors.Problem]]:
    """The domains of the space, parents before the parameters that depend on them, and everything that is wrong.

    There are no domains where something is wrong with one of them, or with what is fixed beside them.
    """
    file, broken = form.file, form.broken
    problems: list[constraint_errors.Problem] = []
    space: dict[str, domains.Domain] | None = None
    if not broken & {"space", "fixed"}:
        found = _space(document, file, problems)
        if "trainer" not in broken:
            _check_parameters(document, form, found, problems)
        space = None if problems else found
        if "search" not in broken:
            _check_start(document, file, found, problems)
    if "evaluation" not in broken:
        problems += placed(document, form.declared.evaluation.problems(file.evaluation))
    if not broken & {"objectives", "trainer"}:
        problems += _objective_problems(document, form)
        if not broken & {"search", "evaluation"}:
            problems += _pruning_problems(document, form)
    return space, problems


def placed(
    document: documents.Document, problems: Iterable[trainer_sections.SectionProblem]
) -> Iterator[constraint_errors.Problem]:
    """What a trainer finds wrong with its sections, each with its place in the study file."""
    for each in problems:
        yield document.problem(each.where, each.message, each.remedy, key=each.on_key)


def _space(
    document: documents.Document, file: study_file.StudyFile, problems: list[constraint_errors.Problem]
) -> dict[str, domains.Domain]:
    """The domains, parents before the parameters that depend on them; what is wrong is added to `problems`."""
    space = {}
    for name, entry in file.space.items():
        kinds = [kind for kind in ("float", "int", "choices") if getattr(entry, _FIELD[kind]) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            problems.append(
                document.problem(("space", name), f"{name} needs exactly one of float, int, choices; it has {found}")
            )
            continue
        try:
            space[name] = _domain(name, kinds[0], entry)
        except constraint_errors.ConstraintsError as error:
            problems.append(document.problem(("space", name, kinds[0]), str(error)))
    if problems:
        return space
    try:
        ordered = domains.in_order(space, tuple(file.fixed))
    except constraint_errors.ConstraintsError as error:
        problems.append(document.problem(("space",), str(error)))
        return space
    for name, wrong in conditions.problems(ordered, file.fixed).items():
        problems += [
            document.problem_inside(("space", name, "when"), error.start, error.message, error.hint) for error in wrong
        ]
    return ordered


_FIELD = {"float": "float_", "int": "int_", "choices": "choices"}


def _domain(name: str, kind: str, entry: study_file.SpaceEntry) -> domains.Domain:
    if kind == "choices":
        _refuse_scale(name, entry)
        return domains.Domain(name=name, kind="choice", choices=entry.choices or (), when=entry.when)
    low, high = entry.int_ or entry.float_ or (0.0, 0.0)
    return domains.Domain(
        name=name,
        kind="int" if kind == "int" else "float",
        low=low,
        high=high,
        step=entry.step,
        log=entry.log,
        when=entry.when,
    )


def _refuse_scale(name: str, entry: study_file.SpaceEntry) -> None:
    if entry.step is not None or entry.log:
        raise constraint_errors.ConstraintsError(f"{name}: choices have neither step nor log; take them out")


def _check_parameters(
    document: documents.Document,
    form: study_file.Form,
    space: Mapping[str, domains.Domain],
    problems: list[constraint_errors.Problem],
) -> None:
    """The trainer knows every parameter, and accepts every value that could be proposed."""
    file, declared = form.file, form.declared
    unknown = registry.unknown(file.trainer)
    if unknown:
        problems.append(document.problem(("trainer",), unknown))
        return
    for name in sorted(set(file.fixed) & set(file.space)):
        problems.append(
            document.problem(("fixed", name), f"{name} is both searched and fixed", "take it out of space or of fixed")
        )
    for text in declared.missing({**file.fixed, **file.space}):
        message, _, remedy = text.partition("; ")
        problems.append(document.problem(("fixed",), message, remedy))
    for section, name, values in _values(file, space):
        unknown = declared.unknown_name(name)
        if unknown:
            problems.append(document.problem((section, name), unknown, key=True))
            continue
        wrong = filter(None, (declared.parameters[name].problem(value) for value in values))
        problems.extend(document.problem((section, name), text) for text in wrong)


def _check_start(
    document: documents.Document,
    file: study_file.StudyFile,
    space: Mapping[str, domains.Domain],
    problems: list[constraint_errors.Problem],
) -> None:
    """Starting points name parameters that are searched, with values of their domains."""
    for at, point in enumerate(file.search.start):
        for name, value in point.items():
            where = ("search", "start", at, name)
            if name not in file.space:
                problems.append(document.problem(where, f"{name} is not searched", "take it out", key=True))
            elif name in space and not space[name].contains(value):
                problems.append(
                    document.problem(where, f"{name}: {value!r} is outside of {spaces.describe(space[name])}")
                )


def _objective_problems(document: documents.Document, form: study_file.Form) -> Iterator[constraint_errors.Problem]:
    """Each objective is something that the trainer tells."""
    told = form.declared.metrics
    if registry.unknown(form.file.trainer) or told is None:
        return
    for name in form.file.objectives:
        where = ("objectives", name)
        if name not in told:
            hint = documents.did_you_mean(name, told)
            yield document.problem(where, f"{form.file.trainer} tells no '{name}' of a trial", hint, key=True)


def _pruning_problems(document: documents.Document, form: study_file.Form) -> Iterator[constraint_errors.Problem]:
    """A pruner needs scores to compare: points at which they are taken, and one objective."""
    search, objectives = form.file.search, form.file.objectives
    if search.primary is not None and search.primary not in objectives:
        hint = documents.did_you_mean(search.primary, objectives)
        yield document.problem(("search", "primary"), f"{search.primary} is not among the objectives", hint)
    if search.pruner == "none":
        return
    where = ("search", "pruner")
    if form.declared.evaluation.milestones(form.file.evaluation) is None:
        text = f"{search.pruner} compares scores while trials train, and none are taken"
        yield document.problem(where, text, _remedy(form.declared))
    if search.primary is None and len(objectives) > 1:
        text = f"{search.pruner} compares trials by one objective, and there are {len(objectives)}"
        yield document.problem(where, text, f"add `primary: {next(iter(objectives))}`, or another of them, to `search`")
    told, primary = form.declared.metrics or {}, search.primary or next(iter(objectives))
    if search.pruner == "wilcoxon" and primary in told and not told[primary].by_instance:
        text = f"wilcoxon compares prompt by prompt, and {primary} is not told for each prompt"
        by = " or ".join(name for name, metric in told.items() if metric.by_instance)
        yield document.problem(where, text, f"compare by {by}, or use another pruner" if by else "use another pruner")


def _remedy(declared: declaration.Declaration) -> str:
    if "during" in declared.evaluation.written.model_fields:
        return "add `during: {every_samples: N}` to `evaluation`"
    return f"{declared.name} tells no scores while it trains: take the pruner out"


def _values(
    file: study_file.StudyFile, space: Mapping[str, domains.Domain]
) -> Iterator[tuple[str, str, tuple[jobs.Scalar, ...]]]:
    for name, value in file.fixed.items():
        yield "fixed", name, (value,)
    for name, domain in space.items():
        yield "space", name, domain.choices or (domain.low, domain.high)
