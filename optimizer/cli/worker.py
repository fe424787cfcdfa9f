"""`tuneguard worker run`: go on with a study that is in the database."""

import click

from optimizer.cli import options


@click.group("worker")
def command() -> None:
    """Run workers for a study that exists."""


@command.command("run")
@click.argument("name")
@click.option("--trials", type=click.IntRange(min=1), help="Add this many trials to what is there.")
@click.option("--until", type=click.IntRange(min=1), help="Work until the study has this many trials.")
@click.option("--gpu", type=click.IntRange(min=0), help="Train on this GPU (default: the first one, else the CPU).")
@click.option("--cpu", is_flag=True, help="Train on the CPU even where there is a GPU.")
@options.as_json
def run(name: str, trials: int | None, until: int | None, gpu: int | None, cpu: bool, as_json: bool) -> None:
    """Work on the study NAME until its trials are spent. Start one for each GPU, on any machine.

    \b
    Examples:
      tuneguard worker run quickstart
      tuneguard worker run my-character --gpu 1
    """
    from optimizer import opening, session, settings
    from optimizer.cli import devices
    from optimizer.results import reading

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services.database, name)
    chosen = devices.chosen(services, gpu, cpu, workers=1)
    ending = session.run(services, study, chosen, add_trials=trials, until=until, quiet=as_json)
    if as_json:
        options.print_json({"name": name, "stopped": ending.stopped, **vars(ending.tally)})
    else:
        click.echo(ending.tally.sentence(), err=True)
    if ending.stopped:
        raise click.exceptions.Exit(130)
