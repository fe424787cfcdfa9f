"""What every stage's loop shares: learning rate over time, progress with time left, and going on after a stop."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

State = dict[str, Any]

_SECONDS_BETWEEN_CHECKPOINTS = 120


def learning_rate(step: int, total: int, peak: float, *, hold: float, warmup: int = 100) -> float:
    """Linear warmup, then `peak` until the share `hold` of all steps, then linear down to a fiftieth of it."""
    done = step / total
    decay = 1.0 if done < hold else max(0.02, (1 - done) / (1 - hold))
    return peak * min(1.0, (step + 1) / warmup) * decay


@dataclasses.dataclass
class Stage:
    """One stage of the training: counts its steps, prints progress, keeps a checkpoint.

    `save` gives everything that the loop needs to go on; `load` takes it back. The checkpoint is replaced atomically.
    """

    name: str
    total: int
    checkpoint: pathlib.Path
    save: Callable[[], State]
    load: Callable[[State], None]
    report_every: int = 100
    loss: float = 0.0

    def steps(self) -> Iterator[int]:
        """The steps still to do; a finished stage has none."""
        first, seconds_before = self._resume()
        started = saved = time.monotonic()
        for step in range(first, self.total):
            yield step
            seconds = time.monotonic() - started
            if (step + 1) % self.report_every == 0:
                left = seconds / (step + 1 - first) * (self.total - step - 1)
                print(
                    f"{self.name}: step {step + 1} of {self.total}, loss {self.loss:.4f}, "
                    f"{seconds_before + seconds:.0f} s, about {left:.0f} s left",
                    flush=True,
                )
            if time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS or step + 1 == self.total:
                self._keep(step + 1, seconds_before + seconds)
                saved = time.monotonic()

    def observe(self, loss: float, step: int) -> None:
        """Take a step's loss into the running mean that progress shows."""
        self.loss = loss if step == 0 else 0.99 * self.loss + 0.01 * loss

    def _resume(self) -> tuple[int, float]:
        if not self.checkpoint.exists():
            return 0, 0.0
        state = torch.load(self.checkpoint, weights_only=True)
        self.load(state["loop"])
        torch.set_rng_state(state["random"])
        self.loss = state["loss"]
        print(f"{self.name}: going on at step {state['step']} of {self.total}", flush=True)
        return state["step"], state["seconds"]

    def _keep(self, step: int, seconds: float) -> None:
        state = {
            "step": step,
            "seconds": seconds,
            "loss": self.loss,
            "random": torch.get_rng_state(),
            "loop": self.save(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)
