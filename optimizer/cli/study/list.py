"""`tuneguard study list`: the studies of the database."""

import click

from optimizer.cli import options


@click.command("list")
@options.as_json
def command(as_json: bool) -> None:
    """List the studies of this database."""
    from optimizer import opening, settings
    from optimizer.results import reading

    services = opening.existing(settings.read())
    rows = []
    for study, _, found in reading.all_records(services):
        gone = study.optuna_id is None
        counts: dict[str, int] = {}
        for record in found:
            counts[record.state] = counts.get(record.state, 0) + 1
        made = study.created_at.isoformat()
        rows.append({"name": study.name, "created_at": made, "trials": counts, "deleted_in_dashboard": gone})
    if as_json:
        options.print_json(rows)
        return
    for row in rows:
        trials = ", ".join(f"{count} {state}" for state, count in sorted(row["trials"].items())) or "no trials yet"  # type: ignore[attr-defined]
        if row["deleted_in_dashboard"]:
            trials = f"deleted in optuna-dashboard; `tuneguard study delete {row['name']}` removes the rest"
        click.echo(f"{row['name']}: {trials}")
    if not rows:
        click.echo("no studies yet; `tuneguard quickstart` makes one")
