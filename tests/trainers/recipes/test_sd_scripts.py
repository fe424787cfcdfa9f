"""The sd-scripts trainer up to the door of sd-scripts itself, which needs an environment of its own.

A stand-in of its command line reads the two TOML files as sd-scripts does and leaves a LoRA file in kohya's layout;
what lies behind that door was tried by hand (docs/howto/sd-scripts.md).
"""

import json
import pathlib
import sys
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from trainers.adapters import adapters, lora_files
from trainers.bases import models
from trainers.contract import errors, events, interruption, job, paths
from trainers.kohya import images as sd_scripts_images
from trainers.kohya import settings as kohya_settings
from trainers.lora import architecture, noise, sections, settings, steps
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
    **dict.fromkeys(("v_parameterization", "zero_terminal_snr", "v2", "network_train_text_encoder_only"), (bool,)),
    "tokenizer_cache_dir": (str,),
}
STAND_IN = """
import json, os, pathlib, shutil, sys, tomllib
given = dict(argument.lstrip("-").split("=", 1) for argument in sys.argv[1:])
config = tomllib.loads(pathlib.Path(given["config_file"]).read_text())
tomllib.loads(pathlib.Path(given["dataset_config"]).read_text())
target = pathlib.Path(config["output_dir"]) / (config["output_name"] + "." + config["save_model_as"])
shutil.copy(pathlib.Path(__file__).with_name("lora.safetensors"), target)
environment = {name: os.environ.get(name) for name in ("PYTHONPATH", "ACCELERATE_USE_CPU")}
said = {"interpreter": sys.executable, "environment": environment}
(pathlib.Path(config["output_dir"]) / "said.json").write_text(json.dumps(said))
"""
FOLDERS = [sd_scripts_images.Folder(pathlib.Path('/a "b"'), 10)]


def base(**changes: Any) -> kohya_settings.BaseTraits:
    known: dict[str, Any] = {
        "source": "/models/base",
        "family": "sd15",
        "resolution": 512,
        "is_sd2": False,
        "noise": noise.STABLE_DIFFUSION,
        "configuration": None,
    }
    return kohya_settings.BaseTraits(**{**known, **changes})


V_PREDICTION = noise.Noise(prediction_type="v_prediction", rescale_betas_zero_snr=True, beta_schedule="scaled_linear")


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
    described, output = base(noise=V_PREDICTION, is_sd2=True), pathlib.Path("/out/lora.safetensors")
    options = kohya_settings.config(own, plan, described, output, tokenizer_folder=pathlib.Path("/out/tokenizers"))
    assert options.keys() <= set(kohya_settings.OPTIONS)
    for name, value in tomllib.loads(kohya_settings.toml(options)).items():
        assert type(value) in OPTIONS[name], (name, value)
    assert OPTIONS.keys() == set(kohya_settings.OPTIONS)
    assert ("network_train_unet_only" in options) != ("text_encoder_lr" in options)
    assert options["no_half_vae"]  # SDXL's VAE overflows in half precision; our own trainer keeps it in float32, too
    assert all(argument.count("=") == 1 for argument in options["optimizer_args"])


def options_of(described: kohya_settings.BaseTraits, **params: Any) -> dict[str, Any]:
    own, plan = resolve(**params)
    return kohya_settings.config(own, plan, described, pathlib.Path("/out/lora.safetensors"))


def test_sd_scripts_is_told_what_the_base_predicts_and_where_its_noise_ends() -> None:
    told = options_of(base(noise=V_PREDICTION))
    assert told["v_parameterization"] is True
    assert told["zero_terminal_snr"] is True
    assert {"v_parameterization", "zero_terminal_snr", "v2"}.isdisjoint(options_of(base()))


def test_a_unet_that_is_left_alone_has_no_lora_and_the_schedule_still_has_a_rate() -> None:
    """With a rate of 0 its polynomial schedule refuses to start."""
    told = options_of(base(), learning_rate=0.0, text_encoder_lr=1e-4)
    assert (told["learning_rate"], told["unet_lr"], told["text_encoder_lr"]) == (1e-4, 0.0, 1e-4)
    assert told["network_train_text_encoder_only"] is True


@pytest.mark.parametrize("folder", ["demo", "sdxl"])
def test_what_is_told_of_a_base_is_what_the_loaded_one_says(
    folder: str, sdxl_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    source = "demo" if folder == "demo" else str(sdxl_folder)
    read = kohya_settings.known_base(source)
    loaded = models.load(source, "no", torch.device("cpu"), tmp_path)
    assert (read.family, read.resolution) == (loaded.family, loaded.resolution)
    assert read.noise == noise.of(loaded.pipeline.scheduler.config)


def test_a_base_that_is_not_here_is_named() -> None:
    with pytest.raises(errors.ModelError, match=r"'someone/model'.*hf download someone/model"):
        kohya_settings.known_base("someone/model")


def test_text_outside_of_the_basic_plane_is_toml_too() -> None:
    """TOML has no halves of characters, as JSON writes them."""
    assert tomllib.loads(kohya_settings.toml({"image_dir": "/a \U0001f600\x7f"})) == {"image_dir": "/a \U0001f600\x7f"}


def test_the_dataset_file_says_what_the_job_says() -> None:
    own, _ = resolve(train_batch_size=2, caption_dropout=0.1, enable_bucket=True)
    text = kohya_settings.toml(kohya_settings.dataset_config(own, FOLDERS, 512, flip=True))
    (images,) = tomllib.loads(text)["datasets"]
    assert (images["resolution"], images["batch_size"], images["enable_bucket"]) == (512, 2, True)
    assert images["subsets"] == [
        {"image_dir": '/a "b"', "num_repeats": 10, "flip_aug": True, "caption_dropout_rate": 0.1}
    ]


def test_buckets_are_those_that_our_own_trainer_uses() -> None:
    """sd-scripts takes no bucket resolution above the training's own, and knows none below 256 unless it is told."""
    own, _ = resolve(enable_bucket=True, bucket_reso_steps=64)
    (images,) = kohya_settings.dataset_config(own, FOLDERS, 64, flip=False)["datasets"]
    assert (images["min_bucket_reso"], images["max_bucket_reso"], images["bucket_reso_steps"]) == (64, 128, 64)
    square, _ = resolve()
    (images,) = kohya_settings.dataset_config(square, FOLDERS, 1536, flip=False)["datasets"]
    assert {"min_bucket_reso", "max_bucket_reso"}.isdisjoint(images)


def test_bucket_steps_that_sd_scripts_would_stop_at_are_refused(make_job: Make, checkout: pathlib.Path) -> None:
    """Its train_network.py asserts multiples of 64."""
    params = {"sd_scripts": str(checkout), "enable_bucket": True, "bucket_reso_steps": 32}
    with pytest.raises(errors.JobError, match=r"bucket_reso_steps.*multiples of 64.*SD 1\.5, not 32"):
        run(make_job(params, trainer="sd-scripts"))


@pytest.mark.slow
def test_captions_of_any_layout_reach_sd_scripts_in_one_line(
    make_job: Make, checkout: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "described"
    folder.mkdir()
    source = next(iter(sorted(pathlib.Path(make_job().dataset.path).glob("*.png"))))
    (folder / "image.png").write_bytes(source.read_bytes())
    (folder / "metadata.jsonl").write_text('{"file_name": "image.png", "text": "a monster\\nof two lines"}\n')
    train_job = make_job(
        {"sd_scripts": str(checkout)}, dataset=sections.Dataset(path=str(folder)), trainer="sd-scripts"
    )
    run(train_job)
    written = tomllib.loads((trial_folder(train_job) / "sd-scripts-dataset.toml").read_text(encoding="utf-8"))
    (subset,) = written["datasets"][0]["subsets"]
    (caption,) = pathlib.Path(subset["image_dir"]).glob("*.txt")
    assert " ".join(caption.read_text(encoding="utf-8").splitlines()[0].split()) == "a monster of two lines"


def trial_folder(train_job: job.TrainJob) -> pathlib.Path:
    return pathlib.Path(train_job.trials[0].directory)


@pytest.mark.slow
def test_it_runs_in_the_interpreter_that_is_named_and_finds_nothing_of_ours_there(
    make_job: Make, checkout: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "environment" / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(architecture.DEMO))
    train_job = make_job({"sd_scripts": str(checkout), "sd_scripts_python": str(interpreter)}, trainer="sd-scripts")
    run(train_job)
    said = json.loads((trial_folder(train_job) / "said.json").read_text(encoding="utf-8"))
    assert said["interpreter"] == str(interpreter)
    assert said["environment"] == {"PYTHONPATH": None, "ACCELERATE_USE_CPU": "true"}


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
    recipe.SdScriptsRecipe().run(train_job, reporter, interruption.Interruption())
    reporter.close()
    return events.read(file)[0]


@pytest.mark.slow
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
