"""`tuneguard study delete`: a study, its trials and its files."""

import click

from optimizer.cli import options


@click.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Really delete, without asking.")
@click.option("--keep-files", is_flag=True, help="Leave its LoRAs, pictures and logs in the data folder.")
@options.as_json
def command(name: str, yes: bool, keep_files: bool, as_json: bool) -> None:
    """Delete a study: its trials, refusals and runs, and its files in this data folder, LoRAs included.

    \b
    Examples:
      tuneguard study delete my-character
      tuneguard study delete my-character --keep-files
    """
    from optimizer import opening, settings
    from optimizer.results import reading, remains
    from storage import studies as stored_studies

    services = opening.existing(settings.read())
    stored = stored_studies.get(services.database, name)
    files = remains.of(services.settings, stored, reading.artifacts_of(services.database, stored))
    kept = f"its files stay: {files.sentence()} in {files.runs}" if keep_files else f"its files go: {files.sentence()}"
    if not yes:
        click.confirm(f"delete the study {name!r} and all its trials? {kept}", abort=True)
    if stored.optuna_id is not None:
        services.optuna_storage.delete_study(stored.optuna_id)
    stored_studies.delete(services.database, stored.id)
    if not keep_files:
        files.remove()
    if as_json:
        options.print_json({"name": name, "files_kept": keep_files, "folder": str(files.runs)})
    else:
        click.echo(f"deleted {name}; {kept}")
