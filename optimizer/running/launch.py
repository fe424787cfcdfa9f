"""The trainer process, started through `accelerate launch`: one warm process for many jobs, or a fresh one for each.

A trainer runs in a process group of its own, so Ctrl-C in the terminal reaches only the worker, which then asks the
trainer to checkpoint.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import psutil

#: said in full, so that accelerate neither asks nor warns nor reads a user's own default configuration
_ACCELERATE = (
    "--num_processes=1",
    "--num_machines=1",
    "--mixed_precision=no",
    "--dynamo_backend=no",
    "--num_cpu_threads_per_process=1",
)
#: seconds a trainer has to write its checkpoint after SIGTERM before it is killed
GRACE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Device:
    """What a worker trains on: the CPU, or one GPU by its index."""

    gpu: int | None
    threads: int | None

    @property
    def name(self) -> str:
        return "cpu" if self.gpu is None else f"cuda:{self.gpu}"

    def environment(self) -> dict[str, str]:
        """The environment of a trainer on this device."""
        environment = dict(os.environ)
        environment["CUDA_VISIBLE_DEVICES"] = "" if self.gpu is None else str(self.gpu)
        environment["TOKENIZERS_PARALLELISM"] = "false"
        if self.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        elif self.gpu is None:
            environment.setdefault("OMP_NUM_THREADS", str(cores()))
        return environment

    def accelerate(self) -> tuple[str, ...]:
        return (*_ACCELERATE, "--cpu") if self.gpu is None else _ACCELERATE


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclasses.dataclass
class TrainerProcess:
    """A process that serves one job after another: imports, base model and caches stay.

    It is replaced after `replace_after` jobs (1 gives every trial a fresh process) and when it has died. It ends by
    itself when its standard input closes, so it never outlives the worker, however that one ends.
    """

    device: Device
    #: the trainer that it will be asked for, whose imports it makes beforehand
    trainer: str
    console: pathlib.Path
    replace_after: int
    _process: subprocess.Popen[bytes] | None = None
    _served: int = 0

    def warm_up(self) -> None:
        """Start the process before there is a job, so that its imports overlap with proposing."""
        if not self.is_alive():
            self.close()
            self.console.parent.mkdir(parents=True, exist_ok=True)
            self._process = spawn(self.device, ["-m", "trainers", "--serve", self.trainer], self.console)
            self._served = 0

    def start(self, job: pathlib.Path) -> None:
        """Hand a job file over; its events appear in the job's folder."""
        if self._served >= self.replace_after:
            self.close()
        self.warm_up()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"job": str(job)}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it has died just now; is_alive will say so
        self._served += 1

    def printed(self) -> int:
        """Bytes that processes have printed beside their jobs so far."""
        return self.console.stat().st_size if self.console.exists() else 0

    def is_alive(self) -> bool:
        """Whether a process is there that works on the job."""
        return self._process is not None and self._process.poll() is None

    def interrupt(self) -> None:
        """Ask the trainer to checkpoint and end; returns when it has, or was killed after `GRACE_SECONDS`."""
        if self._process is not None:
            end(self._process)

    def close(self) -> None:
        """End the process, if one is there."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        end(self._process)
        self._process = None


def spawn(device: Device, program: list[str], console: pathlib.Path) -> subprocess.Popen[bytes]:
    """Start `accelerate launch PROGRAM` in a process group of its own; what it prints is appended to `console`."""
    command = [sys.executable, "-m", "accelerate.commands.launch", *device.accelerate(), *program]
    with console.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=device.environment(),
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole group, then SIGKILL to what is left after the grace.

    accelerate itself dies at once of SIGTERM while its child still writes a checkpoint, so the group is what is waited
    for, not the process that was started.
    """
    if not _signal(process, signal.SIGTERM):
        return
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        if not _is_left(process):
            return
        time.sleep(0.05)
    _signal(process, signal.SIGKILL)
    process.wait()
    _reap(process)


def _is_left(process: subprocess.Popen[bytes]) -> bool:
    """Whether anybody of the process's group still runs.

    accelerate's orphans go to process 1. That may be this worker, which then has to bury them, or a program that never
    does: the dead that lie about count as gone.
    """
    if process.poll() is not None:
        _reap(process)
    if not _signal(process, 0):
        return False
    return any(_is_running(pid) for pid in psutil.pids() if _group(pid) == process.pid)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Bury the dead of the group that became our children, once the process itself has been waited for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-process.pid, os.WNOHANG) != (0, 0):
            pass


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to the process's group; False when nobody is left in it."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
