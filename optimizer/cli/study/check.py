"""`tuneguard study check`: all that can be known of a study before anything runs."""

import pathlib
from typing import TYPE_CHECKING

import click

from optimizer.cli import options

if TYPE_CHECKING:
    from optimizer import check as checks


@click.command("check")
@click.argument("file", type=options.FILE)
@options.as_json
def command(file: pathlib.Path, as_json: bool) -> None:
    """Check a study file before anything runs: its space, rules, dataset and what the trials will cost.

    \b
    Example:
      tuneguard study check my-study.yaml
    """
    from optimizer.study import resolved as studies

    drafted = studies.draft(file)  # what is no study file is said before the prover is loaded

    from optimizer import beforehand, settings
    from optimizer import check as checks

    found = checks.check(drafted, beforehand.before(settings.read(), drafted.study))
    if as_json:
        options.print_json(found)
    else:
        click.echo(_text(found, drafted.study.declared.dataset.items))
    if found.leaves_nothing:
        raise click.exceptions.Exit(3)


def _text(found: "checks.StudyCheck", items: str) -> str:
    from optimizer.report import expected

    lines = [f"{found.name}: {found.trials} trials, {found.images} {items}, {found.gpus} GPUs"]
    if found.rules is not None:
        lines.append(found.rules.render())
    lines.append(expected.render(found.estimate))
    lines += [f"note: {note}" for note in found.notes]
    return "\n".join(lines)
