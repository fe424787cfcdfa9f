"""A rule file as it was written: YAML with line and column to rules whose expressions are nodes, not yet checked."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic

from constraints.judging.kinds import KINDS, OUTCOMES, RuleKind
from constraints.text import document, expression, parsing
from constraints.text.document import Document
from constraints.text.errors import DocumentError, ExpressionError, Problem
from constraints.text.expression import And, Node, Not
from constraints.text.yaml_data import Location

AND_OTHERS = "..."

MAXIMUM_ID_LENGTH = 100

MAXIMUM_NAME_LENGTH = 100
MAXIMUM_REASON_LENGTH = 2000


def _checked_identifier(text: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) is None or len(text) > MAXIMUM_NAME_LENGTH:
        raise ValueError(f"a name is letters, digits and '_', and begins with no digit, not {document.shown(text)}")
    return text


def _checked_version(version: int) -> int:
    if version != 1:
        raise ValueError(f"must be 1, the only version there is, not {version}")
    return version


def _checked_set_name(text: str) -> str:
    """Sets are named in study files, beside files, and shown as name@number."""
    if not text.strip() or not text.isprintable() or "@" in text or len(text) > MAXIMUM_NAME_LENGTH:
        raise ValueError(
            f"a name is one line of 1 to {MAXIMUM_NAME_LENGTH} characters without '@', not {document.shown(text)}"
        )
    if text.endswith((".yaml", ".yml")):
        raise ValueError(f"a rule set is not named as a file is; write {document.shown(text.rsplit('.', 1)[0])}")
    return text


def _checked_reason(text: str) -> str:
    if not text.strip():
        raise ValueError("must say why, in a sentence; it is shown with every refusal")
    if len(text) > MAXIMUM_REASON_LENGTH:
        raise ValueError(f"has {len(text):,} characters; at most {MAXIMUM_REASON_LENGTH:,} are read")
    return text


def _checked_value(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError(
            f"must be a number, text, true or false, not {document.shown(value)}; leave out what is not set"
        )
    return value


def _checked_requirement(value: Any) -> Any:
    texts = value if isinstance(value, list) else [value]
    wrong = next((each for each in texts if not isinstance(each, str)), None)
    if any(not isinstance(each, str) for each in texts):
        raise ValueError(f"must be an expression or a list of expressions; {document.shown(wrong)} is none")
    return tuple(value) if isinstance(value, list) else value


_Identifier = Annotated[str, pydantic.AfterValidator(_checked_identifier)]


def _checked_id(text: str) -> str:
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) is None or len(text) > MAXIMUM_ID_LENGTH:
        raise ValueError(f"an id is words in lower case joined by '-', as in 'high-lr-needs-warmup', not {text!r}")
    return text


_RuleId = Annotated[str, pydantic.AfterValidator(_checked_id)]
_Scalar = Annotated[Any, pydantic.AfterValidator(_checked_value)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True)


class _RuleEntry(_Strict):
    id: _RuleId
    because: Annotated[str, pydantic.AfterValidator(_checked_reason)]
    when: str | None = None
    refuse: str | None = None
    require: Annotated[Any, pydantic.AfterValidator(_checked_requirement)] = None
    discourage: str | None = None
    stop: str | None = None
    expect: str | None = None
    weight: Annotated[float, pydantic.Field(gt=0, lt=1)] | None = None


class _ExampleEntry(_Strict):
    name: str
    given: dict[str, _Scalar]
    refused_by: tuple[str, ...] | None = None
    discouraged_by: tuple[str, ...] | None = None
    stopped_by: tuple[str, ...] | None = None
    unusable_by: tuple[str, ...] | None = None


class _FileEntry(_Strict):
    rules_version: Annotated[int, pydantic.AfterValidator(_checked_version)]
    name: Annotated[str, pydantic.AfterValidator(_checked_set_name)]
    parameters: tuple[_Identifier, ...] = ()
    derived: dict[_Identifier, str] = {}
    limits: dict[_Identifier, float] = {}
    rules: tuple[_RuleEntry, ...]
    examples: tuple[_ExampleEntry, ...] = ()


@dataclass(frozen=True)
class WrittenExpression:
    """One expression and where it stands in the file."""

    node: Node
    loc: Location


@dataclass(frozen=True)
class RuleSpec:
    """One rule. `conditions` are what `kind` says, as written; several only for `require`."""

    id: str
    kind: RuleKind
    because: str
    conditions: tuple[WrittenExpression, ...]
    when: WrittenExpression | None
    weight: float
    loc: Location

    def broken(self) -> Node:
        """The expression that holds exactly where the rule is broken."""
        condition = self.conditions[0].node
        if KINDS[self.kind].must_hold:
            nodes = tuple(written.node for written in self.conditions)
            condition = Not(nodes[0] if len(nodes) == 1 else And(nodes))
        return condition if self.when is None else And((self.when.node, condition))


@dataclass(frozen=True)
class Example:
    """A point and what the rules must say about it; `outcomes` maps a key of OUTCOMES to rule ids."""

    name: str
    given: Mapping[str, Any]
    outcomes: Mapping[str, tuple[str, ...]]
    loc: Location


@dataclass(frozen=True)
class RuleFile:
    """A rule file whose form is right. Names and kinds are checked against a study later."""

    document: Document
    name: str
    parameters: tuple[str, ...]
    derived: Mapping[str, WrittenExpression]
    limits: Mapping[str, float]
    rules: tuple[RuleSpec, ...]
    examples: tuple[Example, ...]
    #: names of derived values, and problems, of the expressions that cannot be read; their rules are left out
    unread: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def mentioned(self) -> frozenset[str]:
        """Every name that the file speaks of and that a point may give: all but its limits."""
        written = [*self.derived.values(), *(each for rule in self.rules for each in rule.conditions)]
        written += [rule.when for rule in self.rules if rule.when is not None]
        names = {name for each in written for name in expression.names(each.node)}
        return frozenset((names | set(self.parameters) | set(self.derived)) - set(self.limits))


def read(source: Document) -> RuleFile:
    """The rule file in a document. Expressions that cannot be read are left out and listed in `problems`.

    Raises:
        DocumentError: with every problem of form, and those of syntax beside them.
    """
    written, syntax = _expressions(source)
    try:
        entry = _FileEntry.model_validate_json(json.dumps(source.data))
    except pydantic.ValidationError as error:
        raise DocumentError((*document.problems_of(source, error, _FileEntry), *syntax)) from error
    problems = _rule_problems(source, entry) + _example_problems(source, entry) + _name_problems(source, entry)
    if problems:
        raise DocumentError((*problems, *syntax))
    specs = [_spec(rule, index, written) for index, rule in enumerate(entry.rules)]
    return RuleFile(
        document=source,
        name=entry.name,
        parameters=entry.parameters,
        derived={name: written["derived", name] for name in entry.derived if ("derived", name) in written},
        limits=entry.limits,
        rules=tuple(spec for spec in specs if spec is not None),
        examples=tuple(_example(example, index) for index, example in enumerate(entry.examples)),
        unread=tuple(name for name in entry.derived if ("derived", name) not in written),
        problems=tuple(syntax),
    )


def _spec(rule: _RuleEntry, index: int, written: Mapping[Location, WrittenExpression]) -> RuleSpec | None:
    (kind,) = _kinds(rule)
    loc: Location = ("rules", index)
    several = kind == "require" and not isinstance(rule.require, str)
    places = [(*loc, kind, number) for number in range(len(rule.require or ()))] if several else [(*loc, kind)]
    needed = [*places, *([(*loc, "when")] if rule.when is not None else [])]
    if any(place not in written for place in needed):
        return None
    return RuleSpec(
        id=rule.id,
        kind=kind,
        because=rule.because.strip(),
        conditions=tuple(written[place] for place in places),
        when=written.get((*loc, "when")),
        weight=1.0 if rule.weight is None else rule.weight,
        loc=loc,
    )


def _example(example: _ExampleEntry, index: int) -> Example:
    outcomes = {key: ids for key in OUTCOMES if (ids := getattr(example, key)) is not None}
    return Example(example.name, example.given, outcomes, ("examples", index))


def _kinds(rule: _RuleEntry) -> list[RuleKind]:
    return [kind for kind in KINDS if getattr(rule, kind) is not None]


# -- problems ----------------------------------------------------------------------------------------------------------


def _expressions(source: Document) -> tuple[dict[Location, WrittenExpression], list[Problem]]:
    """Every expression that can be read, and a problem for every one that cannot, whatever else is wrong."""
    written: dict[Location, WrittenExpression] = {}
    problems = []
    for loc, text in _expression_texts(source.data):
        try:
            written[loc] = WrittenExpression(parsing.parse(text), loc)
        except ExpressionError as error:
            problems.append(source.problem_inside(loc, error.start, error.message, error.hint))
    return written, problems


def _expression_texts(data: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    derived, rules = data.get("derived"), data.get("rules")
    for name, text in derived.items() if isinstance(derived, dict) else ():
        if isinstance(text, str):
            yield ("derived", name), text
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        for key in ("when", *KINDS):
            value = rule.get(key) if isinstance(rule, dict) else None
            if isinstance(value, str):
                yield ("rules", index, key), value
            elif key == "require" and isinstance(value, list):
                yield from ((("rules", index, key, n), text) for n, text in enumerate(value) if isinstance(text, str))


def _rule_problems(source: Document, entry: _FileEntry) -> list[Problem]:
    problems = []
    seen: dict[str, int] = {}
    for index, rule in enumerate(entry.rules):
        loc: Location = ("rules", index)
        kinds = _kinds(rule)
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            message = f"rule '{rule.id}' needs exactly one of {', '.join(KINDS)}; it has {found}"
            problems.append(source.problem(loc, message))
        elif kinds == ["discourage"] and rule.weight is None:
            message = f"rule '{rule.id}' needs a weight between 0 and 1"
            problems.append(source.problem(loc, message, "weight: 0.25 proposes such points a quarter as often"))
        elif kinds != ["discourage"] and rule.weight is not None:
            problems.append(source.problem((*loc, "weight"), "only a 'discourage' rule has a weight", key=True))
        if rule.require == ():
            problems.append(source.problem((*loc, "require"), "must hold at least one expression"))
        if rule.id in seen:
            message = f"rule '{rule.id}' is there twice (first on line {seen[rule.id]})"
            problems.append(source.problem((*loc, "id"), message, "give each rule its own id"))
        seen.setdefault(rule.id, source.at((*loc, "id"))[0])
    return problems


def _example_problems(source: Document, entry: _FileEntry) -> list[Problem]:
    problems = []
    for index, example in enumerate(entry.examples):
        loc: Location = ("examples", index)
        said = [key for key in OUTCOMES if getattr(example, key) is not None]
        if not said:
            hint = "'refused_by: []' says that it is accepted"
            problems.append(source.problem(loc, f"needs at least one of {', '.join(OUTCOMES)}", hint))
        for key in said:
            known = [rule.id for rule in entry.rules if set(_kinds(rule)) & set(OUTCOMES[key])]
            for place, rule in enumerate(getattr(example, key)):
                if rule == AND_OTHERS and place == len(getattr(example, key)) - 1:
                    continue
                if rule == AND_OTHERS:
                    message = f"'{AND_OTHERS}' says 'and others', so it stands last in the list"
                    problems.append(source.problem((*loc, key, place), message))
                elif rule not in known:
                    words = " or ".join(OUTCOMES[key])
                    hint = document.did_you_mean(rule, known)
                    problems.append(source.problem((*loc, key, place), f"there is no {words} rule '{rule}'", hint))
    return problems


def _name_problems(source: Document, entry: _FileEntry) -> list[Problem]:
    twice = [at for at, name in enumerate(entry.parameters) if name in entry.parameters[:at]]
    problems = [source.problem(("parameters", at), f"'{entry.parameters[at]}' is there twice") for at in twice]
    for section, taken in (("limits", entry.parameters), ("derived", entry.limits)):
        for name in getattr(entry, section):
            if name in taken or name in expression.FUNCTIONS or keyword.iskeyword(name):
                message = f"'{name}' already has another meaning"
                problems.append(source.problem((section, name), message, "choose another name", key=True))
    return problems
