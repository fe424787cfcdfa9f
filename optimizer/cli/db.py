"""`tuneguard db ...`: the database's life."""

import click

from optimizer.cli import options


@click.group("db")
def command() -> None:
    """Start, stop, migrate and verify the database."""


@command.command("up")
@click.option("--port", type=click.IntRange(1, 65535), help="Port (default: the one it had, or a free one).")
@options.as_json
def up(port: int | None, as_json: bool) -> None:
    """Start the embedded Postgres in the data folder, if it is not running, and bring its schema up to date.

    \b
    Example:
      tuneguard db up --port 5433
    """
    from optimizer import errors, settings
    from storage import database, migration
    from storage.server import embedded

    read = settings.read()
    if read.database_url is not None:
        raise errors.BadInput("TUNEGUARD_DATABASE_URL names an external database; start that one where it lives")
    opened = database.Database(embedded.start(read.home, port or read.database_port))
    migration.migrate(opened)
    if as_json:
        options.print_json({"running": opened.url_without_password})
    else:
        click.echo(f"running: {opened.url_without_password}")


@command.command("down")
@options.as_json
def down(as_json: bool) -> None:
    """Stop the embedded Postgres."""
    from optimizer import settings
    from storage.server import embedded

    stopped = embedded.stop(settings.read().home)
    if as_json:
        options.print_json({"stopped": stopped})
    else:
        click.echo("stopped" if stopped else "was not running")


@command.command("url")
@options.as_json
def url(as_json: bool) -> None:
    """Print the URL of the database, password included, for optuna or psql; starts the embedded one if needed."""
    from optimizer import opening, settings
    from storage import database

    found = database.Database(opening.existing_url(settings.read())).url
    if as_json:
        options.print_json({"url": found})
    else:
        click.echo(found)


@command.command("migrate")
@options.as_json
def migrate(as_json: bool) -> None:
    """Bring the schema up to date; safe to repeat."""
    from optimizer import opening, settings
    from storage import database, migration

    opened = database.Database(opening.existing_url(settings.read()))
    migration.migrate(opened)
    if as_json:
        options.print_json({"differences": list(migration.verify(opened))})
    else:
        click.echo("the schema is up to date")


@command.command("verify")
@options.as_json
def verify(as_json: bool) -> None:
    """Compare the database with the schema this version expects; exit code 1 on a difference."""
    from optimizer import opening, settings
    from storage import database, migration

    found = list(migration.verify(database.Database(opening.existing_url(settings.read()))))
    if as_json:
        options.print_json({"differences": found})
    else:
        click.echo("\n".join(found) or "the schema is as expected")
    if found:
        raise click.exceptions.Exit(1)
