"""One file a trainer: load, adapt, train, save, draw, score. Read a recipe from top to bottom."""

import pkgutil
from typing import Protocol

from trainers.contract import events, interruption, job
from trainers.declared import registry


class Recipe(Protocol):
    """How one kind of trainer runs a job. One object serves all jobs of a process and keeps what they share."""

    device: str

    def run(self, train_job: job.TrainJob, reporter: events.Reporter, asked: interruption.Interruption) -> None:
        """Run every trial of a job; each ends with `trial-finished` in the event file.

        Raises:
            errors.TrainersError: the job cannot be run as it is.
            interruption.Interrupted: asked to stop; a checkpoint was written where there was something to keep.
            OSError: the disk is full or failed.
        """


def load(trainer: str) -> Recipe:
    """Import the recipe of a trainer that `trainers.declared.registry` knows; seconds for those that need torch."""
    recipe: Recipe = pkgutil.resolve_name(registry.of(trainer).recipe)()
    return recipe
