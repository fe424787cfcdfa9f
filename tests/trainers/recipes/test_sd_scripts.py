"""The sd-scripts trainer up to the door of sd-scripts itself, which is not installed here.

A stand-in of its command line reads the two TOML files as sd-scripts does and leaves a LoRA file in kohya's layout;
what lies behind that door is not tested.
"""

import pathlib
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from trainers import adapters, errors, events, interruption, job, lora_files, models, paths, sd_scripts, settings, steps
from trainers.recipes import sd_scripts as recipe

Make = Callable[..., job.TrainJob]

#: options of train_network.py that a trial may set, by the kinds its argument parser converts to
OPTIONS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("pretrained_model_name_or_path", "output_dir", "output_name", "save_model_as", "save_precision"), (str,)
    ),
    **dict.fromkeys(("network_module", "optimizer_type", "lr_scheduler", "mixed_precision"), (str,)),
    **dict.fromkeys(("network_dim", "lr_scheduler_num_cycles", "max_train_steps", "seed"), (int,)),
    **dict.fromkeys(("gradient_accumulation_steps", "lr_warmup_steps"), (int,)),
    **dict.fromkeys(("network_alpha", "network_dropout", "learning_rate", "unet_lr", "max_grad_norm"), (float, int)),
    **dict.fromkeys(("min_snr_gamma", "noise_offset", "lr_scheduler_power"), (float, int)),
    **dict.fromkeys(("gradient_checkpointing", "cache_latents", "no_half_vae", "sdpa"), (bool,)),
    "network_train_unet_only": (bool,),
    "optimizer_args": (list,),
    "text_encoder_lr": (float,),
    "v_parameterization": (bool,),
}
STAND_IN = """
import pathlib, shutil, sys, tomllib
given = dict(argument.lstrip("-").split("=", 1) for argument in sys.argv[1:])
config = tomllib.loads(pathlib.Path(given["config_file"]).read_text())
tomllib.loads(pathlib.Path(given["dataset_config"]).read_text())
target = pathlib.Path(config["output_dir"]) / (config["output_name"] + "." + config["save_model_as"])
shutil.copy(pathlib.Path(__file__).with_name("lora.safetensors"), target)
"""


def resolve(**params: Any) -> tuple[settings.LoraSettings, steps.StepPlan]:
    own = settings.lora_settings(params, seed=3)
    return own, steps.plan(4, own)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"optimizer_type": "Prodigy", "d_coef": 2.0, "text_encoder_lr": 1.0, "network_dropout": 0.1},
        {"optimizer_type": "AdamW8bit", "min_8bit_size": 256, "min_snr_gamma": 5.0, "noise_offset": 0.05},
        {"lr_scheduler": "cosine", "lr_warmup_ratio": 0.1, "max_train_samples": 100, "network_alpha_ratio": 0.5},
    ],
)
def test_only_options_that_sd_scripts_knows_are_written_in_the_kind_it_expects(params: dict[str, Any]) -> None:
    own, plan = resolve(**params)
    options = sd_scripts.config(own, plan, "/models/base", pathlib.Path("/out/lora.safetensors"), v_prediction=True)
    for name, value in tomllib.loads(sd_scripts.toml(options)).items():
        assert type(value) in OPTIONS[name], (name, value)
    assert ("network_train_unet_only" in options) != ("text_encoder_lr" in options)
    assert options["no_half_vae"]  # SDXL's VAE overflows in half precision; our own trainer keeps it in float32, too
    assert all(argument.count("=") == 1 for argument in options["optimizer_args"])


def test_the_dataset_file_says_what_the_job_says() -> None:
    own, _ = resolve(train_batch_size=2, caption_dropout=0.1, enable_bucket=True)
    text = sd_scripts.toml(sd_scripts.dataset_config(own, job.Dataset(path='/a "b"', repeats=10, flip=True), 512))
    (images,) = tomllib.loads(text)["datasets"]
    assert (images["resolution"], images["batch_size"], images["enable_bucket"]) == (512, 2, True)
    assert images["subsets"] == [
        {"image_dir": '/a "b"', "num_repeats": 10, "flip_aug": True, "caption_dropout_rate": 0.1}
    ]


def test_buckets_are_those_that_our_own_trainer_uses() -> None:
    """sd-scripts takes no bucket resolution above the training's own, and knows none below 256 unless it is told."""
    own, _ = resolve(enable_bucket=True, bucket_reso_steps=8)
    (images,) = sd_scripts.dataset_config(own, job.Dataset(path="/a"), 64)["datasets"]
    assert (images["min_bucket_reso"], images["max_bucket_reso"], images["bucket_reso_steps"]) == (8, 128, 8)
    square, _ = resolve()
    (images,) = sd_scripts.dataset_config(square, job.Dataset(path="/a"), 1536)["datasets"]
    assert {"min_bucket_reso", "max_bucket_reso"}.isdisjoint(images)


def test_each_folder_of_kohya_s_layout_is_a_subset_with_its_own_repeats(tmp_path: pathlib.Path) -> None:
    for name in ("3_dog", "1_cat", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ("image.png" if "_" in name else "image.txt")).touch()
    own, _ = resolve()
    (images,) = sd_scripts.dataset_config(own, job.Dataset(path=str(tmp_path), repeats=2), 512)["datasets"]
    found = [(pathlib.Path(each["image_dir"]).name, each["num_repeats"]) for each in images["subsets"]]
    assert found == [("1_cat", 2), ("3_dog", 6)]


def test_captions_that_sd_scripts_would_not_find_are_refused(
    make_job: Make, checkout: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "described"
    folder.mkdir()
    source = next(iter(sorted(pathlib.Path(make_job().dataset.path).glob("*.png"))))
    (folder / "image.png").write_bytes(source.read_bytes())
    (folder / "metadata.jsonl").write_text('{"file_name": "image.png", "text": "a monster"}\n')
    train_job = make_job({"sd_scripts": str(checkout)}, dataset=job.Dataset(path=str(folder)), trainer="sd-scripts")
    with pytest.raises(errors.DatasetError, match=r"described.*\.txt file beside each image"):
        run(train_job)


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "sd-scripts"
    folder.mkdir()
    (folder / "train_network.py").write_text(STAND_IN)
    base = models.load("demo", "no", torch.device("cpu"), tmp_path)
    adapters.attach(base.unet, adapters.UNET_TARGETS, dim=4, alpha=2.0, dropout=0.0, seed=1)
    for weight in adapters.weights(base.unet):
        weight.data = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) * 0.03
    lora_files.save(folder / "lora.safetensors", lora_files.kohya(base, "float"), {})
    return folder


def run(train_job: job.TrainJob) -> list[events.Event]:
    file = paths.JobPaths(pathlib.Path(train_job.directory)).events
    reporter = events.Reporter(file)
    recipe.Recipe().run(train_job, reporter, interruption.Interruption())
    reporter.close()
    return events.read(file)[0]


def test_a_lora_of_sd_scripts_is_measured_like_any_other(make_job: Make, checkout: pathlib.Path) -> None:
    told = run(make_job({"sd_scripts": str(checkout)}, trainer="sd-scripts"))
    assert [event.event for event in told] == [
        *("baseline", "loaded", "train-started", "trained", "saved", "sampled", "scored", "trial-finished"),
    ]
    (scored,) = [event.data for event in told if event.event == "scored"]
    assert scored["metrics"]["clip_score_gain"] != 0


def test_a_lora_with_nan_is_a_failed_trial(make_job: Make, checkout: pathlib.Path) -> None:
    tensors = {"lora_unet_a.lora_up.weight": torch.full((2, 2), torch.nan)}
    lora_files.save(checkout / "lora.safetensors", tensors, {})
    told = run(make_job({"sd_scripts": str(checkout)}, trainer="sd-scripts"))
    assert [event.data["kind"] for event in told if event.event == "failed"] == ["nonfinite-weights"]
    assert told[-1].data["outcome"] == "failed"


def test_a_folder_without_sd_scripts_is_named(make_job: Make, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.JobError, match=r"train_network\.py: no such file"):
        run(make_job({"sd_scripts": str(tmp_path)}, trainer="sd-scripts"))


def test_a_script_that_fails_is_an_error(make_job: Make, checkout: pathlib.Path) -> None:
    (checkout / "train_network.py").write_text("raise SystemExit(4)")
    with pytest.raises(RuntimeError, match="ended with code 4"):
        run(make_job({"sd_scripts": str(checkout)}, trainer="sd-scripts"))
