"""The trainer process: `python -m trainers JOB.json`, or `--serve` for many jobs in one warm process.

Started through `accelerate launch`. It is told everything by job files and tells everything in their event files;
what it prints is for people.
"""

import argparse
import errno
import json
import os
import pathlib
import queue
import sys
import threading
import traceback
from collections.abc import Iterator

from trainers import errors, events, interruption, job, parameters, paths, recipes, tracking

#: what a full or failing disk answers with
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run one job or serve many; returns a `job.ExitCode`."""
    parser = argparse.ArgumentParser(prog="python -m trainers", description=__doc__)
    parser.add_argument("job", nargs="?", type=pathlib.Path, help="job file to run")
    parser.add_argument("--serve", action="store_true", help='read {"job": PATH} lines from standard input')
    given = parser.parse_args(arguments)
    if given.serve == (given.job is not None):
        parser.error("give a job file or --serve")
    asked = interruption.Interruption()
    asked.install()
    try:
        if given.serve:
            return serve(asked)
        return Process(asked).work(given.job)
    except interruption.Interrupted:
        return job.ExitCode.INTERRUPTED


def serve(asked: interruption.Interruption) -> int:
    """Run the jobs named on standard input, one JSON line each; when it closes, a job in progress is interrupted."""
    process = Process(asked)
    process.recipe("diffusion-lora")  # seconds of imports, while the first job is still being proposed
    for line in _lines(asked):
        try:
            path = pathlib.Path(json.loads(line)["job"])
        except (ValueError, KeyError, TypeError):
            print(f'trainers: expected a line {{"job": PATH}}, got {line!r}', file=sys.stderr, flush=True)
            return job.ExitCode.BAD_INPUT
        if process.work(path) == job.ExitCode.INTERRUPTED:
            return job.ExitCode.INTERRUPTED
    return job.ExitCode.DONE


class Process:
    """What lives as long as the process: imports, base model, judge."""

    def __init__(self, asked: interruption.Interruption) -> None:
        self._asked = asked
        self._recipes: dict[str, recipes.Recipe] = {}

    def recipe(self, trainer: str) -> recipes.Recipe:
        """The recipe of a trainer, imported at its first use."""
        if trainer not in self._recipes:
            self._recipes[trainer] = recipes.load(trainer)
        return self._recipes[trainer]

    def work(self, path: pathlib.Path) -> job.ExitCode:
        """Run one job; its event file ends with `job-finished`, whatever happens."""
        reporter = events.Reporter(paths.JobPaths(path.parent).events)
        try:
            code, message = self._run(path, reporter)
            if message:
                print(f"trainers: {message}", file=sys.stderr, flush=True)
            reporter.tell("job-finished", exit_code=int(code), message=message)
        except OSError as error:  # the disk that took the events away takes these last words too
            print(f"trainers: {_disk_message(error)}", file=sys.stderr, flush=True)
            return job.ExitCode.MACHINE
        finally:
            reporter.close()
        return code

    def _run(self, path: pathlib.Path, reporter: events.Reporter) -> tuple[job.ExitCode, str]:
        try:
            train_job = job.read(path)
            _check(train_job)
            if train_job.trackers:
                reporter.listeners.append(tracking.Trackers(train_job))
            warm = train_job.trainer in self._recipes
            recipe = self.recipe(train_job.trainer)
            reporter.tell("job-started", pid=os.getpid(), device=recipe.device, warm=warm)
            recipe.run(train_job, reporter, self._asked)
        except interruption.Interrupted:
            return job.ExitCode.INTERRUPTED, ""
        except errors.TrainersError as error:
            return job.ExitCode.BAD_INPUT, str(error)
        except OSError as error:
            if error.errno not in _DISK:
                traceback.print_exc()
                return job.ExitCode.BUG, f"{type(error).__name__}: {error}"
            message = _disk_message(error)
            reporter.tell("failed", kind="machine", step=None, message=message, evidence={}, fatal=True)
            return job.ExitCode.MACHINE, message
        except Exception as error:
            traceback.print_exc()
            return job.ExitCode.BUG, f"{type(error).__name__}: {error}"
        return job.ExitCode.DONE, ""


def _check(train_job: job.TrainJob) -> None:
    problems = [
        f"trial {spec.number}: {problem}"
        for spec in train_job.trials
        for problem in parameters.check(train_job.trainer, spec.params)
    ]
    if problems:
        raise errors.JobError("\n".join(problems))


def _lines(asked: interruption.Interruption) -> Iterator[str]:
    """Lines of standard input until it closes; while one is waited for, a signal interrupts at once.

    Input is read by a thread of its own: it closes when the worker dies, however that happens, and then the job in
    progress must stop too, since another worker will take its trial up.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines, asked), daemon=True).start()
    while True:
        asked.idle = True  # before the check, so that a signal in between is not lost
        if asked.signalled:
            raise interruption.Interrupted
        line = lines.get()
        asked.idle = False
        if line is None:
            return
        if line.strip():
            yield line


def _read(lines: "queue.SimpleQueue[str | None]", asked: interruption.Interruption) -> None:
    for line in sys.stdin:
        lines.put(line)
    asked.requested = True
    lines.put(None)


def _disk_message(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; free space on the disk or move the data folder, then run the trial again"


if __name__ == "__main__":
    sys.exit(main())
