"""`tuneguard study export`: a trial for another trainer, or all trials as a table."""

import pathlib

import click

from optimizer.cli import options


@click.command("export")
@click.argument("name")
@click.option("--trial", type=int, help="Which trial (default: the best).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["sd-scripts", "diffusers", "json", "csv"]),
    default="sd-scripts",
    show_default=True,
    help="For which trainer; csv is a table of all trials.",
)
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path), help="Where to write (default: stdout).")
@click.option("--anyway", is_flag=True, help="Write it even where the format cannot carry a setting.")
@options.as_json
def command(name: str, trial: int | None, form: str, output: pathlib.Path | None, anyway: bool, as_json: bool) -> None:
    """Write a trial's settings for another trainer, as it was trained, or all trials as a table.

    \b
    Examples:
      tuneguard study export quickstart -o best.toml        # writes best.dataset.toml, too
      tuneguard study export quickstart --trial 7 --format json
      tuneguard study export quickstart --format csv -o trials.csv
    """
    from optimizer import errors, exporting, opening, settings

    services = opening.existing(settings.read())
    if form == "csv" and trial is not None:
        raise errors.BadInput(f"--trial {trial}: csv is a table of all trials; take --trial out")
    made = exporting.make(services, name, form, trial, output)
    if made.lost and not anyway:
        what = "\n".join(f"  {line}" for line in made.lost)
        raise errors.BadInput(
            f"trial {made.trial} was not trained as {form} would train it:\n{what}\n--anyway writes it all the same, "
            "with this list on top"
        )
    written = made.write()
    if as_json:
        options.print_json(written)
        return
    for line in (*written.lost, *written.remarks):
        click.echo(f"note: {line}", err=True)
    for path in (*written.files, written.images):
        if path is not None:
            click.echo(f"wrote {path}")
    if output is None:
        click.echo("\n".join(written.texts.values()), nl=False)
