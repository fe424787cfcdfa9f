"""Real training on the demo base, a few steps at a time."""

import contextlib
import itertools
import pathlib
import random
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch

from trainers.bases import models
from trainers.contract import events, interruption, job
from trainers.lora import sections

Make = Callable[..., job.TrainJob]
Run = Callable[..., Any]


def lora(train_job: job.TrainJob) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(pathlib.Path(train_job.trials[0].directory) / "lora.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class StopAfter(interruption.Interruption):
    """As if SIGTERM came during a given step."""

    def __init__(self, looks: int) -> None:
        self._looks = itertools.count(1)
        self._limit = looks
        self.idle = False

    @property  # type: ignore[override]
    def requested(self) -> bool:
        return next(self._looks) > self._limit


@pytest.mark.slow
def test_a_healthy_trial_tells_its_story_in_order(make_job: Make, run: Run) -> None:
    told = run(make_job())
    story = [name for name, _ in itertools.groupby(event.event for event in told.events)]
    assert story == [
        *("baseline", "loaded", "train-started", "step", "trained", "checkpoint", "saved"),
        *("sampled", "scored", "trial-finished"),
    ]
    assert told.one("train-started")["total_steps"] == 6
    assert [step["step"] for step in told.all("step")] == [1, 2, 3, 4, 5, 6]
    finished = told.one("trial-finished")
    assert finished["outcome"] == "finished"
    assert list(finished["seconds"]) == ["load", "train", "sample", "score"]
    scored = told.one("scored")
    assert all(pathlib.Path(image["path"]).is_file() for image in scored["images"])
    assert scored["metrics"]["failure_rate"] == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_scores(make_job: Make, run: Run) -> None:
    first, second = make_job(name="first"), make_job(name="second")
    one, other = run(first), run(second)
    assert same(lora(first), lora(second))
    assert one.one("scored")["metrics"] == other.one("scored")["metrics"]
    third = make_job({"seed": 8}, name="third")
    run(third)
    assert not same(lora(first), lora(third))


@pytest.mark.slow
def test_the_base_is_left_as_it_was(make_job: Make, run: Run, kept: Any) -> None:
    first = make_job({"text_encoder_lr": 1e-3, "gradient_checkpointing": True})
    run(first)
    base = kept.base("demo", "no", torch.device("cpu"), pathlib.Path(first.cache))
    fresh = models.load("demo", "no", torch.device("cpu"), pathlib.Path(first.cache))
    for name in ("unet", "text_encoder", "vae"):
        used, unused = getattr(base.pipeline, name), getattr(fresh.pipeline, name)
        assert same(used.state_dict(), unused.state_dict())
        assert not used.training
        assert not any(weight.requires_grad for weight in used.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"optimizer_type": "AdamW", "lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 2},
        {"optimizer_type": "AdamW8bit", "min_8bit_size": 64, "text_encoder_lr": 1e-3},
        {"optimizer_type": "Prodigy", "learning_rate": 1.0, "d0": 1e-3, "network_dropout": 0.2},
    ],
    ids=["AdamW", "AdamW8bit", "Prodigy"],
)
def test_a_run_interrupted_twice_ends_with_the_same_weights(params: dict[str, Any], make_job: Make, run: Run) -> None:
    params = {"max_train_steps": 9, "gradient_accumulation_steps": 2, **params}
    whole, broken = make_job(params, name="whole"), make_job(params, name="broken")
    run(whole)
    for _ in range(2):
        with pytest.raises(interruption.Interrupted):
            run(broken, StopAfter(looks=7))
    told = run(broken)
    assert 1 < told.one("resumed")["step"] < 9
    assert same(lora(whole), lora(broken))


class Killed(BaseException):
    """What nothing may catch."""


class KillAfter(StopAfter):
    """As if SIGKILL came."""

    @property  # type: ignore[override]
    def requested(self) -> bool:
        if next(self._looks) > self._limit:
            raise Killed
        return False


@pytest.mark.slow
@pytest.mark.parametrize("chance", range(6))
def test_a_run_killed_and_interrupted_anywhere_ends_with_the_same_weights(
    chance: int, make_job: Make, run: Run
) -> None:
    """Two ends at random places in a row: kills fall back to the last checkpoint, interruptions lose nothing."""
    draw = random.Random(chance)
    params: dict[str, Any] = {
        **({"optimizer_type": "Prodigy", "learning_rate": 1.0, "d0": 1e-3} if chance % 2 else {}),
        **({"text_encoder_lr": 1e-3} if chance % 4 < 2 else {}),
        "gradient_accumulation_steps": draw.choice([1, 3]),
        "lr_scheduler": draw.choice(["cosine", "constant_with_warmup"]),
        "lr_warmup_steps": 3,
        "max_train_steps": 12,
    }
    every = draw.choice([0, 1, 2, 5])
    whole, broken = make_job(params, name="whole"), make_job(params, name="broken", checkpoint_every_steps=every)
    run(whole)
    for _ in range(2):
        end = draw.choice([StopAfter, KillAfter])(looks=draw.randint(3, 20))
        with contextlib.suppress(interruption.Interrupted, Killed):
            run(broken, end)
    told = run(broken)
    assert told.one("trial-finished")["outcome"] == "finished"
    assert same(lora(whole), lora(broken))


@pytest.mark.slow
def test_a_damaged_checkpoint_costs_its_steps_and_nothing_else(make_job: Make, run: Run) -> None:
    whole, broken = make_job(name="whole"), make_job(name="broken")
    run(whole)
    folder = pathlib.Path(broken.trials[0].directory) / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(b"half a checkpoint")
    told = run(broken)
    set_aside = told.one("checkpoint-set-aside")
    assert "cannot be read" in set_aside["message"]
    assert pathlib.Path(set_aside["path"]).read_bytes() == b"half a checkpoint"
    assert told.all("resumed") == []
    assert same(lora(whole), lora(broken))


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(make_job: Make, run: Run) -> None:
    broken = make_job(checkpoint_every_steps=2)
    with pytest.raises(Killed):
        run(broken, KillAfter(looks=12))
    assert run(broken).one("resumed")["step"] in (2, 4)


@pytest.mark.slow
def test_a_stop_file_ends_the_trial_without_pictures(make_job: Make, run: Run) -> None:
    train_job = make_job()
    directory = pathlib.Path(train_job.trials[0].directory)
    directory.mkdir()
    (directory / "stop.json").write_text('{"rule": "loss-too-high"}')
    told = run(train_job)
    assert told.one("stopped") == {"rule": "loss-too-high", "step": 1}
    assert told.one("trial-finished")["outcome"] == "stopped"
    assert told.all("sampled") == []


def test_weights_that_overflow_at_the_last_step_are_caught(make_job: Make, run: Run) -> None:
    params = {"optimizer_type": "SGDNesterov", "learning_rate": 1e3, "weight_decay": 1e37, "max_train_steps": 1}
    told = run(make_job(params))
    assert told.one("failed")["kind"] == "nonfinite-weights"


def test_learning_nothing_is_caught(make_job: Make, run: Run) -> None:
    told = run(make_job({"learning_rate": 1e-30, "max_train_steps": 1}))
    assert told.one("failed")["kind"] == "no-learning"


def test_broken_pictures_are_counted_by_kind(make_job: Make, run: Run) -> None:
    told = run(make_job({"learning_rate": 1e15, "max_train_steps": 1}))
    metrics = told.one("scored")["metrics"]
    assert (metrics["failure_rate"], metrics["nonfinite_share"], metrics["black_share"]) == (1.0, 1.0, 0.0)
    failed = told.one("failed")
    assert failed["kind"] == "nonfinite-latents"
    assert failed["fatal"] is False
    assert len(failed["evidence"]["images"]) == 2


@pytest.mark.slow
def test_pictures_that_lost_their_prompt_and_a_score_far_below_the_base_are_told(make_job: Make, run: Run) -> None:
    thresholds = job.Thresholds(below_base_margin=0.01, off_prompt_margin=0.25, grad_norm_ratio=1e30)
    evaluation = {"steps": 6}
    told = run(make_job({"learning_rate": 0.3, "max_train_steps": 8}, evaluation, thresholds=thresholds))
    kinds = [failed["kind"] for failed in told.all("failed")]
    assert kinds[0] == "off-prompt"
    assert "below-base" in kinds
    metrics = told.one("scored")["metrics"]
    assert metrics["failure_rate"] >= metrics["off_prompt_share"] > 0
    assert "off-prompt" in [image["failure"] for image in told.one("scored")["images"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"optimizer_type": name, "max_train_steps": 2, "min_8bit_size": 64}
        for name in ("AdamW8bit", "PagedAdamW8bit", "Lion", "Lion8bit", "SGDNesterov", "AdaFactor", "Prodigy")
    ]
    + [{"lr_scheduler": name, "max_train_steps": 3, "lr_warmup_steps": 1} for name in ("linear", "polynomial")],
    ids=lambda params: params.get("optimizer_type") or params["lr_scheduler"],
)
@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
def test_every_optimizer_and_schedule_trains(params: dict[str, Any], make_job: Make, run: Run) -> None:
    rate = 1.0 if params.get("optimizer_type") == "Prodigy" else 1e-3
    train_job = make_job({"learning_rate": rate, **params})
    assert run(train_job).one("trial-finished")["outcome"] == "finished"
    assert any(bool(tensor.any()) for key, tensor in lora(train_job).items() if "lora_up" in key)


@pytest.mark.slow
def test_min_snr_noise_offset_flips_and_repeats_change_the_training(make_job: Make, run: Run) -> None:
    plain = make_job(name="plain")
    run(plain)
    for number, params in enumerate([{"min_snr_gamma": 5.0}, {"noise_offset": 0.1}, {"network_dropout": 0.5}]):
        changed = make_job(params, name=str(number))
        run(changed)
        assert not same(lora(plain), lora(changed)), params
    flipped = make_job(name="flipped", dataset=plain.dataset.model_copy(update={"flip": True, "repeats": 2}))
    told = run(flipped)
    assert told.one("train-started")["steps_per_epoch"] == 16
    assert not same(lora(plain), lora(flipped))


@pytest.mark.slow
def test_points_are_counted_in_samples_and_the_last_step_has_none(make_job: Make, run: Run) -> None:
    """Batches of 2, averaged over 2: four samples a step, 24 in all."""
    params = {"gradient_accumulation_steps": 2}
    told = run(make_job(params, {"during": sections.During(every_samples=6, prompts=1)}))
    found = told.all("evaluated")
    assert [(point["step"], point["samples"], point["milestone"]) for point in found] == [
        *((2, 8, 6), (3, 12, 12), (5, 20, 18)),
    ]
    assert told.all("step")[-1]["step"] == 6
    seconds = told.one("trial-finished")["seconds"]
    assert seconds["sample"] + seconds["score"] > sum(point["seconds"] for point in found) > 0
    assert seconds["train"] > 0


@pytest.mark.slow
def test_pictures_that_lost_their_prompt_count_as_failed_at_a_point_too(make_job: Make, run: Run) -> None:
    params = {"learning_rate": 1e-2}
    thresholds = {"thresholds": job.Thresholds(off_prompt_margin=0.0)}
    told = run(make_job(params, {"during": sections.During(every_samples=2, prompts=1)}, **thresholds))
    found = [point["metrics"] for point in told.all("evaluated")]
    assert any(metrics["clip_score_gain"] < 0 for metrics in found)
    assert [metrics["off_prompt_share"] for metrics in found] == [float(each["clip_score_gain"] < 0) for each in found]


@pytest.mark.slow
def test_an_untrained_lora_scores_at_a_point_as_its_base_does(make_job: Make, run: Run) -> None:
    """The same pictures from the same noise: as long as the LoRA is zero the paired gain is exactly zero."""
    params = {"learning_rate": 1e-2, "lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 10_000}
    during = {"during": sections.During(every_samples=2, seeds=2, steps=1), "seeds": (1, 2, 3)}
    told = run(make_job({**params, "max_train_steps": 2}, during))
    metrics = told.one("evaluated")["metrics"]
    assert metrics["clip_score_gain"] == 0
    assert len(metrics["clip_score_by_prompt"]) == 2
    assert len(metrics["clip_score_by_seed"]) == 2
    assert metrics["failure_rate"] == metrics["black_share"] == metrics["saturated_share"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"text_encoder_lr": 1e-3, "gradient_checkpointing": True},
        {"optimizer_type": "Prodigy", "learning_rate": 1.0, "d0": 1e-3, "network_dropout": 0.2},
    ],
    ids=["text encoder, checkpointing", "dropout"],
)
def test_points_change_nothing_of_the_training_also_where_it_is_resumed(
    params: dict[str, Any], make_job: Make, run: Run
) -> None:
    params = {"max_train_steps": 9, "gradient_accumulation_steps": 2, **params}
    during = {"during": sections.During(every_samples=8, prompts=1, steps=1)}
    plain, watched = make_job(params, name="plain"), make_job(params, during, name="watched")
    broken = make_job(params, during, name="broken")
    run(plain)
    points = run(watched).all("evaluated")
    for looks in range(5, 25):  # one look later each time, so that it is interrupted within points and between steps
        try:
            run(broken, StopAfter(looks))
            break
        except interruption.Interrupted:
            continue
    told, _ = events.read(pathlib.Path(broken.directory) / "events.jsonl")
    seen = [dict(event.data) for event in told if event.event == "evaluated"]
    assert sum(event.event == "resumed" for event in told) > 2
    assert same(lora(plain), lora(watched))
    assert same(lora(plain), lora(broken))
    for point in points:
        again = [each["metrics"] for each in seen if each["step"] == point["step"]]
        assert again
        assert all(each == point["metrics"] for each in again)


@pytest.mark.slow
def test_a_point_finds_a_diverged_lora_worse_than_its_base(make_job: Make, run: Run) -> None:
    thresholds = job.Thresholds(grad_norm_ratio=1e30)
    evaluation = {"steps": 6, "during": sections.During(every_samples=8)}
    told = run(make_job({"learning_rate": 0.3, "max_train_steps": 8}, evaluation, thresholds=thresholds))
    assert [point["metrics"]["clip_score_gain"] < -0.05 for point in told.all("evaluated")] == [True]


def test_broken_pictures_at_a_point_are_counted_and_the_training_goes_on(make_job: Make, run: Run) -> None:
    evaluation = {"during": sections.During(every_samples=2, prompts=1)}
    told = run(make_job({"learning_rate": 1e15, "max_train_steps": 2}, evaluation))
    assert told.one("evaluated")["metrics"]["nonfinite_share"] == 1


@pytest.mark.slow
def test_held_out_prompts_are_scored_apart(make_job: Make, run: Run) -> None:
    train_job = make_job(evaluation={"held_out": ("a small zorbit monster on a green background",), "seeds": (1, 2)})
    told = run(train_job)
    scored = told.one("scored")
    shown = [image["clip_score"] for image in scored["images"] if not image["held_out"]]
    assert len(shown) == 4
    assert scored["metrics"]["clip_score"] == pytest.approx(sum(shown) / 4)
    hidden = [image["clip_score"] for image in scored["images"] if image["held_out"]]
    assert scored["metrics"]["held_out_clip_score"] == pytest.approx(sum(hidden) / 2)


@pytest.mark.slow
def test_the_gain_is_paired_with_the_untrained_base(make_job: Make, run: Run) -> None:
    told = run(make_job())
    untrained, scored = told.one("baseline"), told.one("scored")
    pairs = zip(scored["images"], untrained["images"], strict=True)
    gains = [after["clip_score"] - before["clip_score"] for after, before in pairs]
    assert scored["metrics"]["clip_score_gain"] == pytest.approx(sum(gains) / len(gains))


@pytest.mark.slow
@pytest.mark.parametrize("text_encoder_lr", [0.0, 1e-3])
def test_sdxl_trains_with_and_without_its_text_encoders(
    text_encoder_lr: float, make_job: Make, run: Run, sdxl_folder: pathlib.Path
) -> None:
    params = {"text_encoder_lr": text_encoder_lr, "enable_bucket": True, "bucket_reso_steps": 8}
    train_job = make_job(
        params, base=str(sdxl_folder), dataset=sections.Dataset(path=make_job().dataset.path, flip=True)
    )
    told = run(train_job)
    assert told.one("trial-finished")["outcome"] == "finished"
    prefixes = {key.split("_")[1] for key in lora(train_job)}
    assert prefixes == ({"unet", "te1", "te2"} if text_encoder_lr else {"unet"})


@pytest.mark.slow
def test_bf16_trains_close_to_float32(make_job: Make, run: Run) -> None:
    exact = run(make_job(name="float32")).all("step")
    rounded = run(make_job({"mixed_precision": "bf16"}, name="bf16")).all("step")
    for one, other in zip(exact, rounded, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.05)
