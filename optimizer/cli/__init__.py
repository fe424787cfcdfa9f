"""The command line. Each command parses, makes one call and renders; its module is imported when it is asked for."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from optimizer import errors, log

#: command -> its one-line help; listing the commands imports none of them
COMMANDS = {
    "quickstart": "Tune a LoRA on the shipped demo base: the whole product in some minutes.",
    "study": "Check, run, show, compare and export studies.",
    "rules": "Check, test, explain, replay and suggest rules.",
    "worker": "Run workers for a study that exists.",
    "db": "Start, stop, migrate and verify the database.",
    "web": "Serve optuna-dashboard and Tuneguard's own pages.",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"optimizer.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="tuneguard")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, on standard error.")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors that are not bugs.")
def command(verbose: bool, debug: bool) -> None:
    """Find good LoRA training settings, safely.

    A study samples settings, rules refuse unsafe ones before any GPU time is spent, accepted trials train through
    `accelerate launch` and are scored.

    \b
    Examples:
      tuneguard quickstart
      tuneguard study check my-study.yaml
      tuneguard study run my-study.yaml
      tuneguard web
    """
    log.set_up(verbose=verbose)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every expected error is one message and its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = command.main(args=words, prog_name="tuneguard", standalone_mode=False)
    except click.exceptions.Abort:
        _say("stopped")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        known = exit_code(error)
        if known is None or "--debug" in words:
            raise
        _say(f"error: {error}")
        sys.exit(known)
    sys.exit(code if isinstance(code, int) else 0)


def exit_code(error: Exception) -> int | None:
    """The exit code of an error that is not a bug; None for one that is.

    The other packages' errors are told by the module they come from, so that telling them imports nothing.
    """
    if isinstance(error, errors.OptimizerError):
        return error.exit_code
    for kind in type(error).__mro__:
        if (kind.__module__, kind.__name__) == ("storage.errors", "DatabaseUnreachable"):
            return 4
        if kind.__module__ in ("constraints.text.errors", "storage.errors", "trainers.contract.errors"):
            return 2
    return None


def _say(text: Any) -> None:
    click.echo(text, err=True)
