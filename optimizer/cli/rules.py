"""`tuneguard rules ...`: check, test, explain, push, replay, suggest."""

import pathlib

import click

from optimizer.cli import options


@click.group("rules")
def command() -> None:
    """Check, test, explain, replay and suggest rules."""
