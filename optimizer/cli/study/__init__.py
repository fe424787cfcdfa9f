"""`tuneguard study ...`: one file a command."""

import click

from optimizer.cli.study import best, check, delete, enqueue, export, list, report, run, show


@click.group("study")
def command() -> None:
    """Check, run, show, compare and export studies."""


for _each in (check, run, list, show, best, report, export, enqueue, delete):
    command.add_command(_each.command)
