"""The command line in a process of its own that need not import it again: forked from one that has.

A start of the command line is a second of imports, and the flow tests give some two hundred commands. What is forked is
the program as it is: its own process, environment, output and exit code, and an ordinary end.
"""

import atexit
import functools
import importlib
import json
import os
import pathlib
import pkgutil
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

import constraints
import optimizer
from optimizer import cli

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def run(words: Sequence[str], environment: Mapping[str, str], seconds: float = 280) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` of the command line with these words gives.

    Raises:
        subprocess.TimeoutExpired: it did not end in time; it was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = (pathlib.Path(folder) / name for name in ("out", "err"))
        asked = {"words": list(words), "environment": dict(environment), "out": str(out), "err": str(err)}
        code = _program().run({**asked, "folder": str(pathlib.Path.cwd())}, seconds)
        return subprocess.CompletedProcess(
            list(words), code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )


class _Program:
    """The process that is forked, one command at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.flow.forked"],
            cwd=CHECKOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        atexit.register(self.close)

    def run(self, asked: dict[str, object], seconds: float) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            os.kill(pid, signal.SIGKILL)
            self._process.stdout.readline()
            raise subprocess.TimeoutExpired(str(asked["words"]), seconds)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@functools.cache
def _program() -> _Program:
    return _Program()


# The process that is forked


def _import() -> None:
    """All that a command imports, but not the pages of the web application, which are a second more."""
    for package in (constraints, optimizer):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.startswith("optimizer.web") and not found.name.endswith("__main__"):
                importlib.import_module(found.name)


def _commands() -> list[str]:
    """The words of a command, in a process of its own; the process that is forked stays in here until its end."""
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            with open(os.devnull, "rb") as nothing, open(asked["out"], "wb") as out, open(asked["err"], "wb") as err:
                for number, file in enumerate((nothing, out, err)):
                    os.dup2(file.fileno(), number)
            os.environ.clear()
            os.environ.update(asked["environment"])
            os.chdir(asked["folder"])
            return list(asked["words"])
        os.write(1, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    sys.exit(0)


if __name__ == "__main__":
    _import()
    words = _commands()
    cli.main(words)
