"""`tuneguard quickstart`: the main job on the shipped demo, from nothing to a report."""

import click

from optimizer.cli import options


@click.command("quickstart")
@click.option("--trials", type=click.IntRange(min=1), help="Add this many trials to what is there.")
@click.option("--gpu", type=click.IntRange(min=0), help="Train on this GPU (default: the first one, else the CPU).")
@click.option("--cpu", is_flag=True, help="Train on the CPU even where there is a GPU.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes (default: one for each GPU, or one).")
@options.as_json
def command(trials: int | None, gpu: int | None, cpu: bool, workers: int | None, as_json: bool) -> None:
    """Tune a LoRA on the shipped demo base: the whole product in some minutes.

    Starts an embedded Postgres, creates the study `quickstart`, refuses unsafe proposals by its rules, trains and
    scores the others, and writes a report. Ctrl-C stops cleanly; the same command goes on.

    \b
    Examples:
      tuneguard quickstart
      tuneguard quickstart --trials 8      # eight more
    """
    from optimizer import opening, provenance, settings
    from optimizer.cli import devices
    from optimizer.cli.study import run
    from optimizer.study import resolved as studies

    read = settings.read()
    study = studies.read(provenance.checkout() / "examples" / "quickstart" / "study.yaml")
    services = opening.services(read)
    chosen = devices.chosen(services, gpu, cpu, workers)
    run.run_and_report(services, study, trials, chosen, as_json)
