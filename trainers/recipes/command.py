"""A user's own training script as a trainer. Torch-free.

The script is run with the job file as its one argument, inside the environment that `accelerate launch` made. It tells
its events itself, through `trainers.contract.events.Reporter`, into the job's event file, and answers with the exit
codes of `trainers.contract.job.ExitCode`.
"""

import os
import pathlib
import subprocess
import sys

from trainers.contract import errors, events, interruption, job, paths
from trainers.recipes import processes


class CommandRecipe:
    """Serves jobs by running their script."""

    def __init__(self) -> None:
        self.device = "the script's own"

    def run(self, train_job: job.TrainJob, reporter: events.Reporter, asked: interruption.Interruption) -> None:
        """Run the script once for the job; see `recipes.Recipe.run`."""
        script = pathlib.Path(str(train_job.trials[0].params["script"])).expanduser()
        if not script.is_file():
            raise errors.JobError(f"script: {script}: no such file")
        file = paths.JobPaths(pathlib.Path(train_job.directory))
        _, told_before = events.read(file.events)
        process = subprocess.Popen([sys.executable, str(script), str(file.job)], env=_environment())
        code = processes.wait(process, asked)
        if code == job.ExitCode.INTERRUPTED or asked.requested:
            raise interruption.Interrupted
        if code == job.ExitCode.BAD_INPUT:
            raise errors.JobError(f"{script}: refused the job; see {file.console}")
        finished = {
            event.trial for event in events.read(file.events, told_before)[0] if event.event == "trial-finished"
        }
        missing = sorted({spec.number for spec in train_job.trials} - finished)
        if code != 0 or missing:
            what = (
                f"told no trial-finished for trial {missing[0]}" if missing and code == 0 else f"ended with code {code}"
            )
            raise RuntimeError(f"{script} {what}; see {file.console}")


def _environment() -> dict[str, str]:
    """The script can `import trainers` wherever it lies."""
    checkout = str(pathlib.Path(__file__).resolve().parents[2])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{before}" if before else checkout}
