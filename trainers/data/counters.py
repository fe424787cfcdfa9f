"""Counts the steps of trials before they run, for one point or a table of them. Torch-free.

The trainer counts its own steps with the same formulas (`trainers.lora.steps`) over the same buckets
(`trainers.data.buckets`).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from trainers.data import buckets
from trainers.data.showings import Showings, Sizing
from trainers.lora import parameters, settings, steps
from trainers.terms import columns
from trainers.terms.columns import ArrayLike

_BUCKET_STEP = cast(int, parameters.TABLE["bucket_reso_steps"].default)


@dataclasses.dataclass(frozen=True)
class Counted:
    """Steps of one point, or of each of a table; NaN where it cannot be known, None where it is known nowhere."""

    effective_batch: ArrayLike
    batches_per_epoch: ArrayLike
    steps_per_epoch: ArrayLike
    total_steps: ArrayLike
    warmup_steps: ArrayLike


@dataclasses.dataclass(frozen=True)
class StepCounter:
    """Counts the steps of a trainer's trials before they run.

    Of a script of one's own nobody knows how it cuts an epoch into batches, nor what it does where nothing is said:
    only what its parameters say outright is counted.

    Attributes:
        rule: how a trainer chooses the size of an image; None where nobody knows how it cuts an epoch.
        showings: what an epoch of the data set shows; None where that is not known.
        resolution: side in pixels of the square that the base was made for; None where that is not known.
    """

    rule: Sizing | None
    showings: Showings | None = None
    resolution: int | None = None

    def count(self, values: Mapping[str, ArrayLike]) -> Counted:
        """The steps of trials with these parameters.

        Args:
            values: each one value, or a column of shape (points,); what is not set trains with the default.
        """
        is_ours = self.rule is not None
        batch = columns.number(values, "train_batch_size", 1.0 if is_ours else None)
        accumulation = columns.number(values, "gradient_accumulation_steps", 1.0)
        effective_batch = None if batch is None else batch * accumulation
        batches = self._batches(values, batch) if is_ours else None
        per_epoch = None if batches is None else steps.rounded_up(batches, accumulation)
        samples = columns.number(values, "max_train_samples", None)
        epochs = columns.number(values, "max_train_epochs", settings.DEFAULT_EPOCHS)
        total = _first(
            columns.number(values, "max_train_steps", None),
            None if samples is None or effective_batch is None else steps.rounded_up(samples, effective_batch),
            None if per_epoch is None else epochs * per_epoch,
        )
        return Counted(effective_batch, batches, per_epoch, total, self._warmup_steps(values, total))

    def plan(self, trial: settings.LoraSettings) -> steps.StepPlan | None:
        """The steps of a trial of ours; None where its data set, or a resolution that it needs, is not known."""
        step = trial.bucket_reso_steps if trial.enable_bucket else None
        batches = self._batches_of(trial.train_batch_size, trial.resolution or self.resolution or math.nan, step)
        return None if math.isnan(batches) else steps.plan(int(batches), trial)

    def _warmup_steps(self, values: Mapping[str, ArrayLike], total: ArrayLike) -> ArrayLike:
        """Steps in which the rate climbs: none where it is constant."""
        is_ours = self.rule is not None
        scheduler = columns.text(values, "lr_scheduler", "constant" if is_ours else "")
        ratio = columns.number(values, "lr_warmup_ratio", None)
        asked = columns.number(values, "lr_warmup_steps", 0.0 if is_ours else None)
        climbing = _first(None if ratio is None or total is None else steps.warmup(ratio, total), asked)
        # adding 0 to -0.0 gives 0.0
        return None if climbing is None else np.where(scheduler == "constant", 0.0, climbing)[()] + 0.0

    def _batches(self, values: Mapping[str, ArrayLike], batch: ArrayLike) -> ArrayLike:
        """Batches of an epoch; None where the data set is not known, NaN where a bucket cannot be."""
        if self.showings is None:
            return None
        in_squares = steps.rounded_up(float(self.showings.samples), batch)
        in_buckets = columns.number(values, "enable_bucket", 0.0) > 0
        if not np.any(in_buckets):
            return in_squares
        resolution = columns.number(values, "resolution", math.nan if self.resolution is None else self.resolution)
        step = columns.number(values, "bucket_reso_steps", _BUCKET_STEP)
        counted: Any = np.where(in_buckets, self._bucketed(batch, resolution, step), in_squares)
        return counted[()]

    def _bucketed(self, *parts: ArrayLike) -> ArrayLike:
        """Batches by (train_batch_size, resolution, bucket_reso_steps), each distinct three of them counted once."""
        if not any(np.ndim(part) for part in parts):
            return self._batches_of(*parts)
        table: Any = np.broadcast_arrays(*parts)
        which = np.zeros(table[0].shape, dtype=int)
        for column in table:
            different, at = np.unique(column, return_inverse=True)
            which = which * len(different) + at.reshape(which.shape)
        _, first, at = np.unique(which, return_index=True, return_inverse=True)
        rows = zip(*(column.reshape(-1)[first] for column in table), strict=True)
        return np.array([self._batches_of(*row) for row in rows])[at].reshape(which.shape)[()]

    def _batches_of(self, batch: float, resolution: float, step: float | None) -> float:
        if self.showings is None:
            return math.nan
        if step is None:
            return buckets.batches_per_epoch([self.showings.samples], int(batch))
        if self.rule is None or math.isnan(resolution) or step > resolution:
            return math.nan
        shown = self.showings.by_bucket(int(resolution), int(step), self.rule)
        return buckets.batches_per_epoch(shown, int(batch))

    def beside(self, values: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
        """The parameters, and what follows from the data set and the base for them: `total_steps`, `resolution`."""
        found: dict[str, ArrayLike] = {"total_steps": self.count(values).total_steps}
        if self.resolution is not None:
            found["resolution"] = columns.number(values, "resolution", self.resolution)
        return {**values, **{name: value for name, value in found.items() if value is not None}}


def _first(*choices: ArrayLike) -> ArrayLike:
    """The first of several that is set, point by point; None where none is."""
    found: ArrayLike = None
    for choice in choices:
        if found is None:
            found = choice
        elif choice is not None:
            merged: Any = np.where(np.isnan(found), choice, found)
            found = merged[()]
    return found
