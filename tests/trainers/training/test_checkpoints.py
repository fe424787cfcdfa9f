import pathlib
from collections.abc import Callable

import pytest
import torch

from trainers.contract import job
from trainers.training import checkpoints, health

CPU = torch.device("cpu")


def test_no_checkpoint_is_none(tmp_path: pathlib.Path) -> None:
    assert checkpoints.load(tmp_path, "print", CPU) is None


def test_what_was_saved_comes_back(tmp_path: pathlib.Path) -> None:
    checkpoints.save(tmp_path, {"fingerprint": "print", "weights": [torch.ones(2)]})
    state = checkpoints.load(tmp_path, "print", CPU)
    assert state is not None
    assert torch.equal(state["weights"][0], torch.ones(2))


def training(fingerprint: str = "print", size: int = 2) -> checkpoints.TrainingState:
    """A training of `size` weights that begin at 0, two steps of 0.5 on its way."""
    weight = torch.nn.Parameter(torch.zeros(size))
    optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    return checkpoints.TrainingState(fingerprint, [weight], optimizer, schedule, None, health.Health(job.Thresholds()))


def step(state: checkpoints.TrainingState) -> None:
    for weight in state.weights:
        weight.grad = torch.ones_like(weight)
    state.optimizer.step()
    state.schedule.step()


def test_a_training_goes_on_as_if_it_had_never_stopped(tmp_path: pathlib.Path) -> None:
    whole, broken = training(), training()
    step(whole)
    step(whole)
    step(broken)
    broken.save(tmp_path, 1)
    resumed = training()
    assert resumed.restore(tmp_path, CPU) == checkpoints.Restored(1)
    step(resumed)
    assert torch.equal(whole.weights[0], resumed.weights[0])


def truncated(file: pathlib.Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def emptied(file: pathlib.Path) -> None:
    file.write_bytes(b"")


def garbled(file: pathlib.Path) -> None:
    file.write_bytes(bytes(range(256)) * 20)


def of_another_trial(file: pathlib.Path) -> None:
    training("other").save(file.parent, 1)


def of_another_form(file: pathlib.Path) -> None:
    """As another version of a library might write it: it reads, and fits no more."""
    training(size=3).save(file.parent, 1)


def without_optimizer(file: pathlib.Path) -> None:
    state = torch.load(file, weights_only=True)
    state["optimizer"] = {"state": {}, "param_groups": []}
    torch.save(state, file)


def of_another_optimizer(file: pathlib.Path) -> None:
    """It reads and fits, and would break in the next step: an optimizer's name meant another one before."""
    state = torch.load(file, weights_only=True)
    del state["optimizer"]["param_groups"][0]["momentum"]
    torch.save(state, file)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (truncated, "cannot be read"),
        (emptied, "cannot be read"),
        (garbled, "cannot be read"),
        (of_another_trial, "belongs to other parameters"),
        (of_another_form, "size"),
        (without_optimizer, "group"),
        (of_another_optimizer, "momentum"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_kept_aside_and_the_training_begins_anew(
    tmp_path: pathlib.Path, spoil: Callable[[pathlib.Path], None], why: str
) -> None:
    before = training()
    step(before)
    before.save(tmp_path, 1)
    spoil(tmp_path / "state.pt")
    kept = (tmp_path / "state.pt").read_bytes()
    resumed = training()
    found = resumed.restore(tmp_path, CPU)
    assert (found.step, found.set_aside) == (0, tmp_path / "unusable-1.pt")
    assert why in found.why
    assert (tmp_path / "unusable-1.pt").read_bytes() == kept
    assert not (tmp_path / "state.pt").exists()
    fresh = training()
    for each in (resumed, fresh):
        step(each)
        step(each)
    assert torch.equal(resumed.weights[0], fresh.weights[0])
    assert training().restore(tmp_path, CPU) == checkpoints.Restored(0)


def test_a_second_unusable_checkpoint_does_not_take_the_place_of_the_first(tmp_path: pathlib.Path) -> None:
    for content in (b"one", b"two"):
        (tmp_path / "state.pt").write_bytes(content)
        training().restore(tmp_path, CPU)
    assert [(tmp_path / f"unusable-{number}.pt").read_bytes() for number in (1, 2)] == [b"one", b"two"]
