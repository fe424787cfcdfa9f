"""No step makes the host wait for the device, except where the trainer looks at its signals.

There is no device here that one could wait for. What is counted is every call that would wait on one: a value read
by the host, an output whose size depends on values (nonzero, boolean masks), a tensor made of the host's numbers.
"""

import collections
import pathlib
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from trainers.contract import job
from trainers.lora import sections
from trainers.training import loop

Make = Callable[..., job.TrainJob]
Run = Callable[..., Any]

SOURCE = pathlib.Path(loop.__file__).parents[1]
#: operators that give the host a value, or a tensor whose size is a value
WAITING = {
    *("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "bincount"),
    *("_unique2", "unique_dim", "unique_consecutive", "repeat_interleave"),
}
#: methods that copy a tensor to the host; on a CPU some of them reach no operator
READING = {"item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "__array__"}
#: functions that make a tensor of the host's numbers
MAKING = {"tensor", "as_tensor", "from_numpy"}
#: where the trainer looks at its signals, and where it shuffles numbers that never leave the host
LOOKING = ("signals.py:_read", "signals.py:now")
ON_THE_HOST = ("latents.py:epoch",)


class Waits:
    """Counts the calls that would wait, by the innermost function of ours that they come from."""

    def __init__(self) -> None:
        self.seen: collections.Counter[tuple[str, str]] = collections.Counter()

    def __enter__(self) -> None:
        self._modes = (_Functions(self), _Operators(self))
        for mode in self._modes:
            mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    def add(self, name: str) -> None:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and not pathlib.Path(frame.f_code.co_filename).is_relative_to(SOURCE):
            frame = frame.f_back
        origin = f"{pathlib.Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}" if frame else "elsewhere"
        self.seen[origin, name] += 1

    def outside(self, *origins: str) -> dict[tuple[str, str], int]:
        return {call: count for call, count in self.seen.items() if call[0] not in origins}


class _Functions(TorchFunctionMode):
    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        made = name in MAKING and args and not isinstance(args[0], torch.Tensor)
        if name in READING or made:
            self._waits.add(name)
        return function(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name.removeprefix("aten::")
        if name in WAITING or (name in ("index", "index_put", "index_put_") and _has_mask(args[1])):
            self._waits.add(name)
        return function(*args, **(kwargs or {}))


def _has_mask(indices: Any) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Watches the real loop, from its first step until it ends."""
    watched, steps = Waits(), loop._steps

    def watched_steps(*args: Any) -> Iterator[Any]:
        with watched:
            yield from steps(*args)

    monkeypatch.setattr(loop, "_steps", watched_steps)
    for module in ("torch.cuda.synchronize", "bitsandbytes.optim.optimizer.sync_gpu"):
        monkeypatch.setattr(module, lambda *_: watched.add("synchronize"))
    return watched


OPTIMIZERS = [
    {"optimizer_type": name, "min_8bit_size": 64}
    for name in ("AdamW", "AdamW8bit-no-sync", "SGDNesterov", "AdaFactor", "Prodigy-no-sync")
]
#: libraries' own, which wait within their steps
WAITING_OPTIMIZERS = ("AdamW8bit", "Lion", "Lion8bit", "Prodigy")
OPTIONS: list[dict[str, Any]] = [
    {"min_snr_gamma": 5.0, "noise_offset": 0.1, "caption_dropout": 0.5},
    {"text_encoder_lr": 1e-3, "gradient_accumulation_steps": 2},
    {"network_dropout": 0.5, "max_grad_norm": 0.0},
    {"mixed_precision": "bf16", "gradient_checkpointing": True},
    {"lr_scheduler": "cosine_with_restarts", "lr_warmup_steps": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("params", OPTIMIZERS + OPTIONS, ids=lambda params: "-".join(map(str, params.values())))
def test_no_step_waits_for_the_device_outside_of_looking(
    params: dict[str, Any], make_job: Make, run: Run, waits: Waits
) -> None:
    rate = 1.0 if params.get("optimizer_type") == "Prodigy-no-sync" else 1e-3
    told = run(make_job({"learning_rate": rate, "max_train_steps": 5, **params}, report_every_steps=10))
    assert told.one("trial-finished")["outcome"] == "finished"
    assert waits.outside(*LOOKING, *ON_THE_HOST) == {}
    assert waits.seen["signals.py:_read", "tolist"] == 5  # one look takes everything over at once


@pytest.mark.slow
@pytest.mark.parametrize("name", WAITING_OPTIMIZERS)
def test_an_optimizer_of_a_library_may_wait_within_its_step_and_the_loop_does_not(
    name: str, make_job: Make, run: Run, waits: Waits
) -> None:
    rate = 1.0 if name == "Prodigy" else 1e-3
    params = {"optimizer_type": name, "learning_rate": rate, "max_train_steps": 3, "min_8bit_size": 64}
    run(make_job(params, report_every_steps=10))
    assert waits.outside(*LOOKING, *ON_THE_HOST, "learner.py:step", "elsewhere") == {}
    assert waits.outside(*LOOKING, *ON_THE_HOST)


@pytest.mark.slow
@pytest.mark.parametrize("text_encoder_lr", [0.0, 1e-3])
def test_no_step_of_sdxl_waits_for_the_device(
    text_encoder_lr: float, make_job: Make, run: Run, waits: Waits, sdxl_folder: pathlib.Path
) -> None:
    params = {"text_encoder_lr": text_encoder_lr, "enable_bucket": True, "bucket_reso_steps": 8}
    flipped = sections.Dataset(path=make_job().dataset.path, flip=True)
    run(make_job(params, base=str(sdxl_folder), dataset=flipped, report_every_steps=10))
    assert waits.outside(*LOOKING, *ON_THE_HOST) == {}


def test_the_count_sees_every_kind_of_wait() -> None:
    waits = Waits()
    values = torch.arange(4.0)
    with waits:
        values.tolist()
        float(values[0])
        values[values > 1]
        torch.nonzero(values)
        torch.tensor([1.0])
        values.cpu()
        if values.any():
            pass
    names = {name for _, name in waits.seen}
    assert {"tolist", "__float__", "index", "nonzero", "tensor", "cpu", "__bool__", "_local_scalar_dense"} <= names


@pytest.mark.slow
@pytest.mark.parametrize("text_encoder_lr", [0.0, 1e-3])
def test_no_step_walks_through_the_models_modules(
    text_encoder_lr: float, make_job: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host would be busy for milliseconds in which it hands the device nothing to do."""
    steps, walk = loop._steps, torch.nn.Module.named_modules
    walks: list[str] = []

    def named_modules(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("memo") is None and not args:  # not the walk's own steps down
            walks.append(type(self).__name__)
        return walk(self, *args, **kwargs)

    def watched_steps(*args: Any) -> Iterator[Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.Module, "named_modules", named_modules)
            yield from steps(*args)

    monkeypatch.setattr(loop, "_steps", watched_steps)
    run(make_job({"text_encoder_lr": text_encoder_lr}))
    assert walks == []
