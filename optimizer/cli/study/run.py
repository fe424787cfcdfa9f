"""`tuneguard study run`: work on a study here, then say what came of it."""

import pathlib
from typing import TYPE_CHECKING

import click

from optimizer.cli import devices, options
from optimizer.cli.study import best, report

if TYPE_CHECKING:
    from optimizer import opening
    from optimizer.running import launch
    from optimizer.study import resolved as studies


@click.command("run")
@click.argument("file", type=options.FILE)
@click.option("--trials", type=click.IntRange(min=1), help="Add this many trials to what is there.")
@click.option("--gpu", type=click.IntRange(min=0), help="Train on this GPU (default: the first one, else the CPU).")
@click.option("--cpu", is_flag=True, help="Train on the CPU even where there is a GPU.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes (default: one for each GPU, or one).")
@options.as_json
def command(
    file: pathlib.Path, trials: int | None, gpu: int | None, cpu: bool, workers: int | None, as_json: bool
) -> None:
    """Create a study from FILE, or go on with it, and work on it here. Ctrl-C stops cleanly.

    \b
    Examples:
      tuneguard study run my-study.yaml
      tuneguard study run my-study.yaml --trials 20     # twenty more
    """
    from optimizer.study import resolved as studies

    drafted = studies.draft(file)

    from optimizer import check as checks
    from optimizer import opening, settings

    checks.look(drafted, None).demand()  # before a database is started, and a study made
    study = drafted.study
    services = opening.services(settings.read())
    run_and_report(services, study, trials, devices.chosen(services, gpu, cpu, workers), as_json)


def run_and_report(
    services: "opening.Services",
    study: "studies.Study",
    trials: int | None,
    chosen: "list[launch.Device]",
    as_json: bool,
) -> None:
    """Work on a study here, then say what came of it. Exits with 130 when stopped."""
    from optimizer import session, wording
    from optimizer.report import gather as reporting
    from optimizer.report import overview
    from optimizer.results import repeats

    ending = session.run(services, study, chosen, add_trials=trials, quiet=as_json)
    study = ending.study
    found = reporting.overview(services, study)
    best_found = repeats.best_trial(found.trials, study.objectives)
    path = report.write(services, study, None)
    if as_json:
        options.print_json(
            {
                "name": study.name,
                "stopped": ending.stopped,
                "why": ending.tally.why,
                "counts": overview.counts(found.trials),
                "best": None if best_found is None else best_found.number,
                "remarks": [remark.text for remark in found.remarks()],
                "report": str(path),
            }
        )
    else:
        click.echo(ending.tally.sentence(), err=True)
        if best_found is not None:
            best.say(best_found)
        said = [wording.refusals(found.refused_points, found.refusals)] if found.refused_points else []
        said += reporting.balance(services, study, found.trials).sentence().splitlines()
        click.echo("\n".join(wording.wrapped(line, options.width()) for line in said))
        click.echo(f"report: {path}")
        click.echo("dashboard: tuneguard web      # .venv/bin/tuneguard where the environment is not active")
    if ending.stopped:
        click.echo(f"stopped; {going_on(study.name, trials, ending.until)}", err=True)
        raise click.exceptions.Exit(130)


def going_on(name: str, trials: int | None, until: int) -> str:
    """How a run that was stopped goes on: with `--trials` the same command would add as many once more."""
    if trials is None:
        return "the same command goes on where it stopped"
    return f"`tuneguard worker run {name} --until {until}` goes on where it stopped"
