"""`tuneguard study report`: report.html of a study."""

import pathlib
from typing import TYPE_CHECKING

import click

from optimizer.cli import options

if TYPE_CHECKING:
    from optimizer import opening
    from optimizer.study import resolved as studies


@click.command("report")
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path), help="Where to write (default: data folder).")
@options.as_json
def command(name: str, output: pathlib.Path | None, as_json: bool) -> None:
    """Write a self-contained report.html.

    \b
    Example:
      tuneguard study report quickstart -o report.html
    """
    from optimizer import opening, settings
    from optimizer.results import reading

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services.database, name)
    path = write(services, study, output)
    if as_json:
        options.print_json({"name": name, "report": str(path)})
    else:
        click.echo(path)


def write(services: "opening.Services", study: "studies.Study", output: pathlib.Path | None) -> pathlib.Path:
    """Write a study's report.html; by default into the study's folder of runs."""
    from optimizer.report import gather as reporting
    from optimizer.results import reading

    stored = reading.row_of(services.database, study)
    path = output or services.settings.runs / stored.folder / "report.html"
    reporting.write(services, study, path)
    return path
