"""Programs in processes of their own that need not import again: each is forked from one that has.

A start of the command line is a second of imports, one of a trainer six, and the tests give some two hundred commands.
What is forked is the program as it is: its own process, environment, output and exit code, and an ordinary end.
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
from collections.abc import Callable, Mapping, Sequence
from typing import IO

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
#: program -> what Python is started with
OPTIONS = {"command-line": (), "trainer": ("-W", "error::UserWarning")}


def run(words: Sequence[str], environment: Mapping[str, str], seconds: float = 280) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` of the command line with these words gives.

    Raises:
        subprocess.TimeoutExpired: it did not end in time; it was killed.
    """
    process = Process(_program("command-line"), words, environment)
    try:
        code = process.wait(seconds)
    finally:
        process.close()
    return subprocess.CompletedProcess(list(words), code, process.out.decode(), process.err.decode())


def trainer(words: Sequence[str], environment: Mapping[str, str]) -> "Process":
    """`python -m trainers` with these words, and an open standard input."""
    return Process(_program("trainer"), words, environment, has_input=True)


class Process:
    """A forked process, as `subprocess.Popen` shows one; the program that it was forked from waits for its end."""

    def __init__(
        self, program: "_Program", words: Sequence[str], environment: Mapping[str, str], has_input: bool = False
    ) -> None:
        self._program, self._words = program, list(words)
        self._folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._folder.name)
        files = {name: str(folder / name) for name in ("in", "out", "err")}
        self.returncode: int | None = None
        self.out = self.err = b""
        if has_input:
            os.mkfifo(files["in"])
        else:
            files["in"] = os.devnull
        self.pid = program.fork(
            {"words": self._words, "environment": dict(environment), "folder": str(pathlib.Path.cwd()), **files}
        )
        self.stdin: IO[bytes] | None = os.fdopen(os.open(files["in"], os.O_WRONLY), "wb") if has_input else None

    def wait(self, timeout: float) -> int:
        """Its exit code; raises `subprocess.TimeoutExpired` where it has not ended by then."""
        if self.returncode is None:
            self.returncode = self._program.wait(timeout)
            if self.returncode is None:
                raise subprocess.TimeoutExpired(self._words, timeout)
            folder = pathlib.Path(self._folder.name)
            self.out, self.err = ((folder / name).read_bytes() for name in ("out", "err"))
        return self.returncode

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """Close its input and wait; what it printed."""
        if self.stdin is not None:
            self.stdin.close()
        self.wait(timeout)
        return self.out, self.err

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        """Kill it where it still runs."""
        if self.returncode is None:
            self.send_signal(signal.SIGKILL)
            self.wait(60)
        if self.stdin is not None:
            self.stdin.close()
        self._folder.cleanup()


class _Program:
    """The process that is forked: one process at a time comes from it."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *OPTIONS[name], "-m", "tests.forked", name],
            cwd=CHECKOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what `select` does not see is not there
        )
        atexit.register(self._process.communicate)

    def fork(self, asked: Mapping[str, object]) -> int:
        """The process's number."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return self._number()

    def wait(self, seconds: float) -> int | None:
        """The exit code of the process that was forked last; None where it runs on after so long."""
        return self._number() if select.select([self._process.stdout], [], [], seconds)[0] else None

    def _number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@functools.cache
def _program(name: str) -> _Program:
    return _Program(name)


# The process that is forked


def _command_line() -> Callable[[list[str]], object]:
    """All that a command imports, but not the pages of the web application, which are a second more."""
    import constraints
    import optimizer
    from optimizer import cli

    for package in (constraints, optimizer):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.startswith("optimizer.web") and not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    return cli.main


def _trainer() -> Callable[[list[str]], object]:
    """The trainer with the recipe that is asked for most."""
    from trainers import __main__ as trainer
    from trainers import recipes

    recipes.load("diffusion-lora")
    return trainer.main


def _asked() -> list[str]:
    """The words for a process, in that process; the one that is forked stays in here until its end."""
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            with open(asked["out"], "wb") as out, open(asked["err"], "wb") as err, open(asked["in"], "rb") as given:
                for number, file in enumerate((given, out, err)):
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
    main = {"command-line": _command_line, "trainer": _trainer}[sys.argv[1]]()
    sys.exit(main(_asked()))
