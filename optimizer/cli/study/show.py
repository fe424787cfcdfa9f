"""`tuneguard study show`: what came of a study, or of one of its trials."""

from typing import TYPE_CHECKING

import click

from optimizer.cli import options

if TYPE_CHECKING:
    from optimizer.report import overview as overviews
    from optimizer.results import records


@click.command("show")
@click.argument("name")
@click.option("--trial", type=int, help="Everything about this trial alone.")
@click.option("--state", help="Only trials in this state: usable, unusable, refused, running, ...")
@click.option("--sort", help="Order by a parameter, objective, metric, gain or seconds; the best first.")
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--last", type=click.IntRange(min=1), help="Only the last so many trials.")
@click.option("--wide", is_flag=True, help="Every column under its full name, however wide.")
@options.as_json
def command(
    name: str,
    trial: int | None,
    state: str | None,
    sort: str | None,
    reverse: bool,
    last: int | None,
    wide: bool,
    as_json: bool,
) -> None:
    """Show what came of a study, a trial a line: what differs between trials first, as far as the terminal is wide.

    Into a pipe or a file every column is written.

    \b
    Examples:
      tuneguard study show quickstart
      tuneguard study show quickstart --sort gain --last 20
      tuneguard study show quickstart --trial 7
    """
    from optimizer import jsonable, opening, settings
    from optimizer.report import gather as reporting
    from optimizer.report import overview
    from optimizer.results import reading

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services.database, name)
    found = reporting.overview(services, study)
    if trial is not None:
        record = _trial(found, trial)
        if as_json:
            options.print_json({**jsonable.of(record), **jsonable.of(reporting.beside(services, study, trial))})
        else:
            click.echo(reporting.detail(services, study, record))
        return
    _check_state(state)
    chosen = overview.choose(found, state=state, sort=sort, reverse=reverse, last=last)
    if as_json:
        options.print_json(overview.told(found, chosen))
    else:
        click.echo(found.render(chosen, None if wide else options.width()))


def _trial(found: "overviews.Overview", number: int) -> "records.TrialRecord":
    """A trial by its number."""
    from optimizer import errors

    record = next((each for each in found.trials if each.number == number), None)
    if record is None:
        there = f"it has {len(found.trials)}, counted from 0" if found.trials else "it has none yet"
        raise errors.BadInput(f"the study {found.name!r} has no trial {number}: {there}")
    return record


def _check_state(state: str | None) -> None:
    from optimizer import errors
    from optimizer.results import records

    if state is not None and state not in records.STATES:
        raise errors.BadInput(f"--state {state}: there are {', '.join(records.STATES)}")
