"""Where a step's time goes: a clock that charges each moment to the innermost part it falls into."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import accelerate

from benchmarks.trainer.bench import Bench
from trainers.bases import models
from trainers.recipes import diffusion_lora
from trainers.training import loop

DATA, VAE, TEXT, FORWARD = "data, noise, loss", "VAE", "text encoder", "forward"
BACKWARD, OPTIMIZER, REST = "backward", "clip and optimizer", "looking, telling"
NAMES = (DATA, VAE, TEXT, FORWARD, BACKWARD, OPTIMIZER, REST)


class Parts:
    """`seconds` by part. The device is waited for at each change of part, so their sum exceeds an unwatched run's."""

    def __init__(self, bench: Bench) -> None:
        self.seconds = dict.fromkeys(NAMES, 0.0)
        self._bench = bench
        self._open: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What happens inside belongs to `name`, but for parts within it."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, charged to a part."""

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return call

    @contextlib.contextmanager
    def watch(self, base: models.Base, accelerator: accelerate.Accelerator) -> Iterator[None]:
        """Charge models, backward pass and optimizer to their parts."""
        modules = {base.unet: FORWARD, base.vae.encoder: VAE} | dict.fromkeys(base.text_encoders, TEXT)
        prepare = accelerator.prepare_optimizer

        def prepared(optimizer: Any) -> Any:
            wrapped = prepare(optimizer)
            wrapped.step = self.timed(OPTIMIZER, wrapped.step)
            wrapped.zero_grad = self.timed(OPTIMIZER, wrapped.zero_grad)
            return wrapped

        accelerator.prepare_optimizer = prepared
        accelerator.backward = self.timed(BACKWARD, accelerator.backward)
        accelerator.clip_grad_norm_ = self.timed(OPTIMIZER, accelerator.clip_grad_norm_)
        for module, name in modules.items():
            module.forward = self.timed(name, module.forward)
        try:
            yield
        finally:
            for module in modules:
                del module.forward

    @contextlib.contextmanager
    def watch_ours(self, method: diffusion_lora.DiffusionLora) -> Iterator[None]:
        """`watch` for the trainer's own loop, from its first step to its last."""
        steps, loss = loop._steps, diffusion_lora.DiffusionLora.loss

        def timed_steps(*args: Any) -> Iterator[Any]:
            with self.part(REST):
                yield from steps(*args)

        loop._steps = cast(Any, timed_steps)
        diffusion_lora.DiffusionLora.loss = self.timed(DATA, loss)  # type: ignore[method-assign]
        try:
            with self.watch(method.base, method.accelerator):
                yield
        finally:
            loop._steps = steps
            diffusion_lora.DiffusionLora.loss = loss  # type: ignore[method-assign]

    def _charge(self) -> None:
        now = self._bench.clock()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now
