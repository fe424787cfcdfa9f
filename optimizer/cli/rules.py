"""`tuneguard rules ...`: check, test, explain, push, replay, suggest."""

import click


@click.group("rules")
def command() -> None:
    """Check, test, explain, replay and suggest rules."""
