"""`tuneguard study list`: the studies of the database."""

import click

from optimizer.cli import options


@click.command("list")
@options.as_json
def command(as_json: bool) -> None:
    """List the studies of this database."""
    from optimizer import opening, settings
    from optimizer.report import listing
    from optimizer.results import reading

    services = opening.existing(settings.read())
    rows = [listing.of(study, found) for study, _, found in reading.all_records(services.database)]
    if as_json:
        options.print_json(rows, list[listing.Line])
        return
    for row in rows:
        click.echo(listing.render(row))
    if not rows:
        click.echo("no studies yet; `tuneguard quickstart` makes one")
