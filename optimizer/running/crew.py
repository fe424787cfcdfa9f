"""More workers beside this one: a process for each further device, on the same study."""

import dataclasses
import logging
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Sequence

from optimizer.running import launch

logger = logging.getLogger(__name__)

#: seconds that a worker has to let its trainer checkpoint before it is killed
GRACE_SECONDS = launch.GRACE_SECONDS + 10


@dataclasses.dataclass(frozen=True)
class Crew:
    """Worker processes; each logs into a file of the study's runs."""

    processes: tuple[subprocess.Popen[bytes], ...]
    logs: tuple[pathlib.Path, ...]
    _told: set[pathlib.Path] = dataclasses.field(default_factory=set)

    def is_working(self) -> bool:
        """Whether any worker is still at its last trial."""
        return any(process.poll() is None for process in self.processes)

    def stop(self) -> None:
        """Ask every worker to checkpoint and end, and wait until they have."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def tell_failed(self) -> None:
        """Say once of each worker that has died that it has, and where its last words stand."""
        for log in self.failed():
            if log not in self._told:
                self._told.add(log)
                logger.warning("a worker ended with an error, the others go on; its log is %s", log)

    def failed(self) -> list[pathlib.Path]:
        """Logs of the workers that did not end well; one that was stopped did."""
        return [
            log for process, log in zip(self.processes, self.logs, strict=True) if process.poll() not in (None, 0, 130)
        ]


def start(study: str, folder: pathlib.Path, until: int, devices: Sequence[launch.Device]) -> Crew:
    """Start a worker for each device; they work until the study has so many trials.

    Args:
        folder: where the study's files lie; each worker logs there.
    """
    processes, logs = [], []
    for number, device in enumerate(devices, start=2):
        log = folder / f"worker-{number}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "optimizer", "worker", "run", study]
        command += ["--until", str(until)]
        command += ["--cpu"] if device.gpu is None else ["--gpu", str(device.gpu)]
        environment = dict(os.environ)
        if device.threads is not None:
            environment["TUNEGUARD_TRAINER_THREADS"] = str(device.threads)
        with log.open("ab") as console:
            processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C in the terminal reaches us alone, and we pass it on once
                )
            )
        logs.append(log)
    return Crew(tuple(processes), tuple(logs))
