"""`tuneguard study best`: the best usable trial."""

from typing import TYPE_CHECKING

import click

from optimizer.cli import options

if TYPE_CHECKING:
    from optimizer.results import records


@click.command("best")
@click.argument("name")
@options.as_json
def command(name: str, as_json: bool) -> None:
    """Show the best usable trial: by the first objective, the next ones break ties; repeats count by their mean.

    \b
    Example:
      tuneguard study best quickstart --json
    """
    from optimizer import errors, jsonable, opening, settings
    from optimizer.report import summary
    from optimizer.results import reading, repeats

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services.database, name)
    group = repeats.best(reading.trial_records(services.database, study), study.objectives)
    if not group:
        raise errors.BadInput(f"the study {name!r} has no usable trial yet")
    found, repeated = group[0], repeats.summary(group, list(study.objectives))
    if as_json:
        options.print_json({**jsonable.of(found), "study": name, "repeats": jsonable.of(repeated)})
        return
    say(found)
    if len(group) > 1:
        click.echo(summary.repeated(repeated))


def say(found: "records.TrialRecord") -> None:
    """Print the best trial: what it scored, its parameters, its LoRA where it saved one."""
    from optimizer import wording
    from optimizer.report import summary

    click.echo(wording.wrapped(f"best: {summary.of(found)}", options.width()))
    width = max(map(len, found.params), default=0)
    for name, value in found.params.items():
        click.echo(f"  {name.ljust(width)}  {wording.value(value)}")
    if found.lora is not None:
        click.echo(f"LoRA: {found.lora}")
