"""`tuneguard rules ...`: check, test, explain, push, list, show, replay, suggest."""

import pathlib
from typing import TYPE_CHECKING, Any

import click

from optimizer.cli import options

if TYPE_CHECKING:
    from constraints.history import replay as replays
    from optimizer import opening
    from optimizer.forecast import situation as situations
    from optimizer.study import resolved as studies


@click.group("rules")
def command() -> None:
    """Check, test, explain, replay and suggest rules."""


#: a rule file's path or the name of a shipped one; its reader says what is wrong with it
RULES = click.argument("file", metavar="FILE")


@command.command("check")
@RULES
@click.option("--study", "study_file", type=options.FILE, help="The study whose space the rules are checked in.")
@options.as_json
def check(file: str, study_file: pathlib.Path | None, as_json: bool) -> None:
    """Prove what rules do: which never or always fire, which add nothing, which clash, what is left of the space.

    FILE is a rule file or the name of a shipped one. Without --study only its form is checked. Exit code 3 when the
    rules leave nothing.

    \b
    Examples:
      tuneguard rules check my-rules.yaml --study my-study.yaml
      tuneguard rules check lora-v2.1 --study examples/lora-v2.1.yaml --json
    """
    from constraints.proving import examine
    from optimizer.rules import compiled
    from optimizer.study import resolved as studies

    if study_file is None:
        read = compiled.read_alone(file)
        if as_json:
            options.print_json({"name": read.name, "rules": [rule.id for rule in read.rules]})
        else:
            click.echo(f"{len(read.rules)} rules, well formed; --study STUDY.yaml proves what they do there")
        return
    found = examine.examine(compiled.load(studies.read(study_file), [compiled.source_of(file)]))
    if as_json:
        options.print_json(found)
    else:
        click.echo(found.render(options.width()))
    if found.leaves_nothing:
        raise click.exceptions.Exit(3)


@command.command("test")
@RULES
@options.as_json
def test(file: str, as_json: bool) -> None:
    """Run the examples that a rule file carries; exit code 1 when one does not hold.

    \b
    Example:
      tuneguard rules test my-rules.yaml
    """
    from constraints.rules import examples
    from optimizer.rules import compiled
    from trainers.declared import registry

    results = examples.run([compiled.source_of(file)], signals=registry.signals())
    if as_json:
        options.print_json(results, tuple[examples.ExampleResult, ...])
    else:
        click.echo(examples.render(results, options.width()))
    if not all(found.passed for found in results):
        raise click.exceptions.Exit(1)


@command.command("explain")
@RULES
@click.option("--params", required=True, help="The point, as JSON.")
@click.option("--study", "name", help="Judge as this study's search does: a study file, or a stored study's name.")
@options.as_json
def explain(file: str, params: str, name: str | None, as_json: bool) -> None:
    """Say why a point is accepted, refused or discouraged, with the numbers in it.

    \b
    Examples:
      tuneguard rules explain lora-v2.1 --params '{"learning_rate": 1.84e-4, "optimizer_type": "AdamW8bit"}'
      tuneguard rules explain my-rules.yaml --study my-study.yaml --params '{"learning_rate": 3.0e-4}'
    """
    from optimizer import explanation
    from optimizer.rules import compiled
    from optimizer.study import points

    point = points.read(params)
    source = compiled.source_of(file)
    if name is None:
        found = explanation.alone(source, point)
    else:
        study, situation = _study_of(name)
        found = explanation.in_study(study, compiled.load(study, [source]), situation, point)
    if as_json:
        options.print_json(found)
    else:
        click.echo(found.render(options.width()))


def _study_of(name: str) -> "tuple[studies.Study, situations.Situation]":
    """A study and what its search knows: of a file that is there, else of the study of that name."""
    from optimizer import opening, remembered, settings
    from optimizer.forecast import readiness
    from optimizer.results import reading
    from optimizer.study import resolved as studies

    path = pathlib.Path(name)
    if path.exists() or path.suffix in (".yaml", ".yml"):
        study = studies.read(path)
        return study, remembered.situation(study, readiness.inspect_dataset(study).showings)
    services = opening.existing(settings.read())
    _, study = reading.stored_study(services.database, name)
    return study, remembered.stored_situation(services.database, study)


@command.command("push")
@click.argument("file", type=options.FILE)
@click.option("--note", default="", help="Why this version.")
@options.as_json
def push(file: pathlib.Path, note: str, as_json: bool) -> None:
    """Store a rule file as the newest version of its set; studies that follow it use it from their next proposal on.

    A version that one of those studies could not use is refused, as is one whose examples do not hold.

    \b
    Example:
      tuneguard rules push my-rules.yaml --note "warmup after trial 17"
    """
    from optimizer import opening, provenance, settings
    from optimizer.results import reading
    from optimizer.rules import book as rulebook
    from optimizer.rules import compiled

    read = compiled.read_alone(str(file))
    services = opening.existing(settings.read())
    followers = [study for study in reading.followers(services.database) if read.name in study.rules]
    rulebook.try_examples(file, followers)
    with services.database.transaction() as connection:
        version = rulebook.push_file(connection, read, followers, provenance.author(), note)
    names = [study.name for study in followers]
    if as_json:
        options.print_json({"name": version.set_name, "number": version.number, "followers": names})
        return
    followed = f", followed by {', '.join(names)}" if names else ""
    click.echo(f"{version.set_name}@{version.number}{followed}")


@command.command("list")
@options.as_json
def list_versions(as_json: bool) -> None:
    """List the rule sets of the database, every version of them, and the shipped rule files.

    \b
    Example:
      tuneguard rules list
    """
    from optimizer import rule_library, settings

    found = rule_library.listing(settings.read())
    if as_json:
        options.print_json(found)
    else:
        click.echo(rule_library.render(found, options.width()))


@command.command("show")
@click.argument("name")
@click.option("--version", "number", type=click.IntRange(min=1), help="Which version (default: the newest).")
@options.as_json
def show(name: str, number: int | None, as_json: bool) -> None:
    """Print the text of a rule set of the database, or of a shipped rule file.

    \b
    Examples:
      tuneguard rules show lora-essentials
      tuneguard rules show quickstart-rules --version 1 > rules.yaml
    """
    from optimizer import rule_library, settings

    found = rule_library.find(settings.read(), name, number)
    if as_json:
        options.print_json(found)
    else:
        click.echo(found.text, nl=False)


@command.command("replay")
@RULES
@click.option("--study", "name", required=True, help="Name of the study whose finished trials are judged again.")
@click.option("--against", help="Another rule file, for a comparison side by side.")
@options.as_json
def replay(file: str, name: str, against: str | None, as_json: bool) -> None:
    """What these rules would have done to the finished trials: failures prevented, good trials lost, GPU time saved.

    \b
    Example:
      tuneguard rules replay new-rules.yaml --study quickstart --against examples/quickstart/rules.yaml
    """
    from constraints.history import replay as replays
    from optimizer import opening, settings
    from optimizer.results import reading
    from optimizer.rules import compiled

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services.database, name)
    trials = _finished(services, study)
    directions = tuple(study.objectives.values())
    files = [file] if against is None else [file, against]
    found = [replays.replay(compiled.load(study, [compiled.source_of(one)]), trials, directions) for one in files]
    if as_json:
        if against is None:
            options.print_json(found[0])
        else:
            options.print_json({"rules": found[0], "against": found[1]}, dict[str, replays.Replay])
        return
    said = [one.render() for one in found]
    if against is not None:
        said.append(replays.compare(found[0], found[1]))
    click.echo(options.fitted("\n\n".join(said)))


@command.command("suggest")
@click.option("--study", "name", required=True, help="Name of the study whose trials are learned from.")
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path), help="Where to write (default: stdout).")
@options.as_json
def suggest(name: str, output: pathlib.Path | None, as_json: bool) -> None:
    """Learn rules from a study's failures; a person reads, edits and uses them, nothing is applied.

    \b
    Example:
      tuneguard rules suggest --study quickstart -o learned.yaml
    """
    from constraints.history import learn
    from optimizer import errors, opening, settings
    from optimizer.results import reading

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services.database, name)
    found = learn.suggest(_finished(services, study), study.space)
    text = found.as_rule_file(f"{name}-learned")
    if found.rules and output is not None:
        if output.exists():
            raise errors.BadInput(f"{output} exists and may hold your edits; name another file")
        output.write_text(text, encoding="utf-8")
    if as_json:
        options.print_json(found)
    elif not found.rules:
        click.echo(f"nothing to suggest: {found.remark}", err=True)
    elif output is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"wrote {output}: {len(found.rules)} rules; read and edit them before you use them")


def _finished(services: "opening.Services", study: "studies.Study") -> "list[replays.FinishedTrial]":
    """The trials whose parameters proved good or bad; refused, crashed and early stopped ones did not get so far."""
    from constraints.history import replay as replays
    from optimizer import remembered
    from optimizer.results import reading
    from optimizer.study import resolved as studies

    situation = remembered.stored_situation(services.database, study)
    finished = []
    for record in reading.trial_records(services.database, study):
        if record.state not in ("usable", "unusable"):
            continue
        numbers: dict[str, Any] = {
            key: value for key, value in record.metrics.items() if isinstance(value, float | int)
        }
        usable = record.state == "usable"
        finished.append(
            replays.FinishedTrial(
                number=record.number,
                params=record.params,
                values=tuple(value for value in record.values.values() if value is not None) if usable else (),
                failed=not usable,
                seconds=record.seconds or 0.0,
                facts=situation.facts(studies.complete(study, record.params)),
                metrics=numbers or None,
            )
        )
    return finished
