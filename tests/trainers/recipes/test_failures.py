"""Kinds of failure: trainings that diverge, and what needs something broken around them (a base, memory)."""

import pathlib
import resource
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import safetensors.torch
import torch

from trainers.contract import errors, failures, job
from trainers.lora import architecture
from trainers.training import loop, signals

Make = Callable[..., job.TrainJob]
Run = Callable[..., Any]


def base_with_decoder(folder: pathlib.Path, scale: float, bias: float) -> str:
    """The demo base with its VAE's last layer corrupted: pixels are `scale` times what they were, plus `bias`."""
    shutil.copytree(architecture.DEMO / "base", folder)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = {name: tensor.float() for name, tensor in safetensors.torch.load_file(file).items()}
    last = max((name for name in weights if name.startswith("decoder.")), key=lambda name: int(name.split(".")[2]))
    stem = last.rsplit(".", 1)[0]
    weights[f"{stem}.weight"] *= scale
    weights[f"{stem}.bias"] = weights[f"{stem}.bias"] * scale + bias
    safetensors.torch.save_file(weights, file)
    return str(folder)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that a training took."""
    steps, all_steps = loop._steps, []

    def counted(*args: Any) -> Iterator[Any]:
        for step, batches in steps(*args):
            all_steps.append(step)
            yield step, batches

    monkeypatch.setattr(loop, "_steps", counted)
    return all_steps


WARMED_UP = {"lr_scheduler": "constant_with_warmup", "max_grad_norm": 0.0, "max_train_steps": 60}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("nonfinite-loss", {"learning_rate": 1e6, "max_train_steps": 60}),
        ("nonfinite-gradient", {"network_alpha": 1e22, "max_train_steps": 60}),  # its elements are finite, not its norm
        ("nonfinite-gradient", {**WARMED_UP, "learning_rate": 1e3, "lr_warmup_steps": 30}),
        (
            "nonfinite-gradient",
            {**WARMED_UP, "optimizer_type": "SGDNesterov", "learning_rate": 300.0, "lr_warmup_steps": 60},
        ),
    ],
    ids=["rate", "alpha", "warmup-AdamW", "warmup-SGD"],
)
def test_a_divergence_is_named_by_its_kind_and_first_step_within_20_steps(
    kind: str, params: dict[str, Any], make_job: Make, run: Run, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the signals are looked at as rarely as on a GPU, which would wait for each look."""
    failed = run(make_job(params, name="each step")).one("failed")
    assert (failed["kind"], failed["fatal"]) == (kind, True)
    assert failed["step"] == taken[-1]

    monkeypatch.setattr(signals, "_look_every", lambda device, reported_every: min(reported_every, 20))
    told = run(make_job(params, name="seldom", report_every_steps=1000))
    assert told.one("failed") == failed
    assert taken[-1] - failed["step"] < 20
    assert told.one("trial-finished")["outcome"] == "failed"
    assert told.all("sampled") == []


@pytest.mark.slow
def test_an_exploding_gradient_is_caught_after_five_steps(make_job: Make, run: Run) -> None:
    thresholds = job.Thresholds(grad_norm_ratio=3.0, grad_norm_after_step=3)
    params = {"learning_rate": 0.05, "max_train_steps": 60, "lr_scheduler": "constant_with_warmup"}
    told = run(make_job({**params, "lr_warmup_steps": 30}, thresholds=thresholds))
    failed = told.one("failed")
    assert failed["kind"] == "exploding-gradient"
    *before, first, second, third, fourth = [step["grad_norm"] for step in told.all("step")]
    limit = 3 * failed["evidence"]["grad_norm_median"]
    assert min(first, second, third, fourth, failed["evidence"]["grad_norm"]) > limit
    assert before[-1] <= limit
    assert failed["step"] == len(before) + 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "bias", "kind", "share"),
    [
        (0.0, -50.0, "black-images", "black_share"),
        (0.0, 0.5, "flat-images", "flat_share"),
        (1e4, -5e3, "saturated-images", "saturated_share"),
        (float("nan"), 0.0, "nonfinite-pixels", "nonfinite_share"),
    ],
)
def test_each_kind_of_broken_picture_is_found_in_a_real_trial(
    scale: float, bias: float, kind: str, share: str, make_job: Make, run: Run, tmp_path: pathlib.Path
) -> None:
    told = run(make_job({"max_train_steps": 1}, base=base_with_decoder(tmp_path / "base", scale, bias)))
    assert [failed["kind"] for failed in told.all("failed")] == [kind]
    metrics = told.one("scored")["metrics"]
    assert (metrics["failure_rate"], metrics[share]) == (1.0, 1.0)
    assert told.one("trial-finished")["outcome"] == "finished"


@pytest.mark.slow
def test_collapse_and_copying_are_found_in_a_real_trial(make_job: Make, run: Run) -> None:
    caption = "a zorbit monster on a blue background"
    thresholds = job.Thresholds(collapse_similarity=0.9, copying_similarity=0.4)
    evaluation = {"prompts": (caption, f"{caption} "), "steps": 6}
    told = run(make_job({"max_train_steps": 20, "learning_rate": 5e-3}, evaluation, thresholds=thresholds))
    assert [failed["kind"] for failed in told.all("failed")] == ["copying", "collapse"]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A gigabyte beyond what the process has."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.slow
def test_running_out_of_memory_fails_the_trial_and_not_the_process(
    make_job: Make, run: Run, little_memory: None
) -> None:
    big = make_job({"train_batch_size": 8000}, name="big")
    big = big.model_copy(update={"dataset": big.dataset.model_copy(update={"repeats": 500})})
    told = run(big)
    assert told.one("failed")["kind"] == "out-of-memory"
    assert told.one("trial-finished")["outcome"] == "failed"
    assert run(make_job(name="small")).one("trial-finished")["outcome"] == "finished"


def test_an_image_that_the_vae_cannot_represent_is_named(make_job: Make, run: Run, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(architecture.DEMO / "base", folder)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = safetensors.torch.load_file(file)
    first = min(name for name in weights if name.startswith("encoder.") and name.endswith("weight"))
    weights[first] = torch.full_like(weights[first], torch.nan)
    safetensors.torch.save_file(weights, file)
    with pytest.raises(errors.DatasetError, match=r"\.png: the VAE encodes it to NaN"):
        run(make_job(base=str(folder)))


@pytest.mark.parametrize("kind", sorted(failures.KINDS))
def test_every_kind_of_failure_is_provoked_by_a_test(kind: str) -> None:
    tests = pathlib.Path(__file__).parents[2]
    provoking = (
        pathlib.Path(__file__),
        tests / "trainers" / "recipes" / "test_diffusion_lora.py",
        tests / "trainers" / "test_main.py",
        tests / "trainers" / "training" / "test_tracking.py",
        tests / "optimizer" / "trials" / "test_conclusion.py",
    )
    told = "stopped" if kind == "stopped-by-rule" else kind  # a rule's stop has an event of its own
    assert any(f'"{told}"' in file.read_text(encoding="utf-8") for file in provoking)


@pytest.mark.slow
def test_healthy_trials_raise_no_alarm(make_job: Make, run: Run) -> None:
    """Rates, ranks, optimizers and schedules from the range that the demo base learns well in."""
    for number in range(6):
        params = {
            "learning_rate": (5e-4, 1e-3, 2e-3, 3e-3, 4e-3, 5e-3)[number],
            "network_dim": (4, 8, 16, 32, 8, 16)[number],
            "network_alpha": (2.0, 4.0, 8.0, 16.0, 4.0, 8.0)[number],
            "optimizer_type": ("AdamW", "AdamW8bit")[number % 2],
            "min_8bit_size": 256,
            "lr_scheduler": ("cosine", "constant", "polynomial")[number % 3],
            "max_train_steps": 40,
        }
        told = run(make_job(params, {"steps": 6}, name=str(number)))
        assert told.all("failed") == [], params
        assert told.one("scored")["metrics"]["failure_rate"] == 0
