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

from trainers import recipes
from trainers.contract import errors, events, interruption, job, paths
from trainers.declared import jobs, registry
from trainers.files import atomic, console
from trainers.recipes import orders
from trainers.training import tracking

#: what a full or failing disk answers with
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run one job or serve many; returns a `job.ExitCode`."""
    parser = argparse.ArgumentParser(prog="python -m trainers", description=__doc__)
    parser.add_argument("job", nargs="?", type=pathlib.Path, help="job file to run")
    parser.add_argument("--serve", metavar="TRAINER", help='read {"job": PATH} lines for it from standard input')
    given = parser.parse_args(arguments)
    if (given.serve is None) == (given.job is None):
        parser.error("give a job file or --serve TRAINER")
    asked = interruption.Interruption()
    asked.install()
    try:
        if given.serve is not None:
            return serve(given.serve, asked)
        return WarmProcess(asked).work(given.job)
    except interruption.Interrupted:
        return job.ExitCode.INTERRUPTED


def serve(trainer: str, asked: interruption.Interruption) -> int:
    """Run the jobs named on standard input, one JSON line each; when it closes, a job in progress is interrupted.

    What a job prints is kept in its folder. After each job its exit code is written there, or this process ends.
    """
    process = WarmProcess(asked)
    process.recipe(trainer)  # seconds of imports, while the first job is still being proposed
    for line in _lines(asked):
        try:
            path = pathlib.Path(json.loads(line)["job"])
        except (ValueError, KeyError, TypeError):
            print(f'trainers: expected a line {{"job": PATH}}, got {line!r}', file=sys.stderr, flush=True)
            return job.ExitCode.BAD_INPUT
        files = paths.JobPaths(path.parent)
        try:
            with console.into(files.console):
                code = process.work(path)
            atomic.write(files.exit_code, f"{int(code)}\n".encode())
        except OSError as error:
            console.say(_disk_message(error))
            return job.ExitCode.MACHINE
        if code == job.ExitCode.INTERRUPTED:
            return code
    return job.ExitCode.DONE


class WarmProcess:
    """What lives as long as the process: imports, base model, scorer."""

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
                console.say(message)
            reporter.tell("job-finished", exit_code=int(code), message=message)
        except OSError as error:  # the disk that took the events away takes these last words too
            console.say(_disk_message(error))
            return job.ExitCode.MACHINE
        finally:
            reporter.close()
        return code

    def _run(self, path: pathlib.Path, reporter: events.Reporter) -> tuple[job.ExitCode, str]:
        try:
            self._train(_without_contradictions(jobs.read(path), reporter), reporter)
        except interruption.Interrupted:
            return job.ExitCode.INTERRUPTED, ""
        except errors.TrainersError as error:
            kind = "refused-job" if isinstance(error, errors.JobError) else "unusable-input"
            reporter.tell("failed", kind=kind, step=None, message=str(error), evidence={}, fatal=True)
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

    def _train(self, train_job: job.TrainJob, reporter: events.Reporter) -> None:
        if not train_job.trials:
            return
        if train_job.trackers:
            reporter.listeners.append(tracking.Trackers(train_job))
        warm = train_job.trainer in self._recipes
        recipe = self.recipe(train_job.trainer)
        reporter.tell("job-started", pid=os.getpid(), device=recipe.device, warm=warm)
        recipe.run(train_job, reporter, self._asked)


def _without_contradictions(train_job: job.TrainJob, reporter: events.Reporter) -> job.TrainJob:
    """The job with those of its trials alone that can be trained; of each other one it is told why not.

    Raises:
        errors.JobError: the trainer has no parameter of such a name, or one that it needs is missing.
    """
    declared, sound = registry.of(train_job.trainer), []
    needed = set(declared.check({}))
    for spec in train_job.trials:
        problems = declared.check(spec.params)
        if needed & set(problems) or any(declared.unknown_name(name) for name in spec.params):
            raise errors.JobError("\n".join(f"trial {spec.number}: {problem}" for problem in problems))
        if problems:
            orders.refuse(reporter, spec, "\n".join(problems), {})
        else:
            sound.append(spec)
    return train_job.model_copy(update={"trials": tuple(sound)})


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
