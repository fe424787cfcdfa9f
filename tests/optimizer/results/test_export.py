"""A trial's settings in the words of other trainers: as it was trained, or not at all."""

import json
import pathlib
import tomllib
from typing import Any

import pytest
from PIL import Image

from optimizer import errors
from optimizer.results import export, records
from optimizer.study import resolved as study
from trainers.data import dataset
from trainers.kohya import images as sd_scripts_images
from trainers.kohya import settings as kohya_settings
from trainers.lora import parameters, sections

STUDY = """\
study_version: 1
name: my-character
base: {base}
dataset: ./data
space:
  learning_rate: {{float: [6.0e-5, 1.2e-4], log: true}}
  network_dim: {{choices: [64, 128]}}
  network_alpha_ratio: {{choices: [0.25, 0.5, 1.0]}}
  optimizer_type: {{choices: [AdamW, AdamW8bit, Prodigy]}}
  lr_warmup_ratio: {{choices: [0.1, 0.5]}}
  d_coef: {{float: [0.5, 2.0], when: optimizer_type == "Prodigy"}}
fixed: {{train_batch_size: 2, max_train_epochs: 3, lr_scheduler: cosine{fixed}}}
search: {{seed: 11}}
objectives: {{clip_score: maximize}}
evaluation: {{prompts: [a cat]}}
"""


@pytest.fixture
def images(tmp_path: pathlib.Path) -> pathlib.Path:
    """Five squares, three wide images and one tall one, each shown twice: 18 samples an epoch in three shapes."""
    folder = tmp_path / "data" / "2_cat"
    folder.mkdir(parents=True)
    for number, size in enumerate([(64, 64)] * 5 + [(128, 32)] * 3 + [(32, 128)]):
        Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"cat number {number}\n", encoding="utf-8")
    return tmp_path / "data"


def spec_of(folder: pathlib.Path, base: object = "demo", fixed: str = "") -> study.Study:
    path = folder.parent / "study.yaml"
    path.write_text(STUDY.format(base=base, fixed=fixed and f", {fixed}"), encoding="utf-8")
    return study.read(path)


@pytest.fixture
def spec(images: pathlib.Path) -> study.Study:
    return spec_of(images)


def trial(state: str = "usable", steps: int | None = None, repeat: int = 0, **params: Any) -> records.TrialRecord:
    sampled = {
        "learning_rate": 1e-4,
        "network_dim": 64,
        "network_alpha_ratio": 0.25,
        "optimizer_type": "AdamW",
        "lr_warmup_ratio": 0.1,
    }
    return records.TrialRecord(
        number=3,
        state=state,
        params={**sampled, **params},
        values={"clip_score": 0.3},
        refused_by=("too-high",) if state == "refused" else (),
        seconds=1.0,
        failure=None,
        phases={},
        metrics={},
        constraints={},
        lora=None,
        images=(),
        steps=steps,
        attempts=(),
        rule_version="",
        repeat=repeat,
    )


def source(spec: study.Study, record: records.TrialRecord | None = None, **params: Any) -> export.ExportedTrial:
    pictures = dataset.inspect(spec.dataset).pictures
    return export.source(spec, record or trial(**params), pictures)


def toml(spec: study.Study, record: records.TrialRecord | None = None, **params: Any) -> tuple[Any, Any]:
    made = export.to_sd_scripts(source(spec, record, **params), None)
    return tomllib.loads(made.texts[""]), tomllib.loads(made.texts[".dataset"])


def test_sd_scripts_gets_true_alpha_and_whole_steps_with_repeats(images: pathlib.Path) -> None:
    """18 samples in batches of 2 are 9 batches an epoch."""
    read, data = toml(spec_of(images))
    assert read["network_alpha"] == 16.0
    assert (read["max_train_steps"], read["lr_warmup_steps"]) == (27, 3)
    assert all(isinstance(read[name], int) for name in ("max_train_steps", "lr_warmup_steps", "network_dim", "seed"))
    assert data["datasets"][0]["subsets"][0]["num_repeats"] == 2


def test_steps_are_counted_in_buckets_where_there_are_some(images: pathlib.Path) -> None:
    """10, 6 and 2 samples of three shapes are 3, 2 and 1 batches of 4; all 18 together are 5."""
    whole = spec_of(images).model_dump(include={"fixed"})["fixed"] | {"train_batch_size": 4}
    together = spec_of(images).model_copy(update={"fixed": whole})
    apart = together.model_copy(update={"fixed": {**whole, "enable_bucket": True, "bucket_reso_steps": 8}})
    assert toml(together)[0]["max_train_steps"] == 3 * 5
    assert toml(apart)[0]["max_train_steps"] == 3 * 6


def test_the_resolution_is_the_one_that_was_trained_at(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The demo base was made for 64 pixels, an SDXL base is for 1024."""
    assert toml(spec_of(images))[1]["datasets"][0]["resolution"] == 64
    sdxl = folder_of("StableDiffusionXLPipeline", tmp_path / "sdxl", sample_size=128)
    assert toml(spec_of(images, sdxl))[1]["datasets"][0]["resolution"] == 1024
    assert toml(spec_of(images, fixed="resolution: 96"))[1]["datasets"][0]["resolution"] == 96


def folder_of(kind: str, folder: pathlib.Path, **unet: Any) -> pathlib.Path:
    """The configuration of a base without its weights."""
    shape = {
        "block_out_channels": [320, 640, 1280],
        "cross_attention_dim": 2048,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        **unet,
    }
    files = {
        "model_index.json": {"_class_name": kind},
        "unet/config.json": shape,
        "vae/config.json": {"block_out_channels": [128, 256, 512, 512]},
        "scheduler/scheduler_config.json": {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_what_the_base_predicts_is_told(spec: study.Study) -> None:
    """The demo base predicts velocities, and its noise ends in noise alone."""
    read, _ = toml(spec)
    assert read["v_parameterization"] is True
    assert read["zero_terminal_snr"] is True
    assert "--prediction_type=v_prediction" in export.to_diffusers(source(spec), None).texts[""].splitlines()


def test_a_repeat_is_exported_with_its_own_seed(spec: study.Study) -> None:
    assert toml(spec)[0]["seed"] == 11
    assert toml(spec, trial(repeat=2))[0]["seed"] == 13


def test_a_repeat_has_its_own_seed_where_the_study_sets_one_itself(images: pathlib.Path) -> None:
    assert toml(spec_of(images, fixed="seed: 40"), trial(repeat=2))[0]["seed"] == 42


def test_steps_are_those_that_were_done_where_the_data_set_has_changed_since(spec: study.Study) -> None:
    read, _ = toml(spec, trial(steps=20))
    assert (read["max_train_steps"], read["lr_warmup_steps"]) == (20, 2)
    assert "it took 20 steps" in export.to_sd_scripts(source(spec, trial(steps=20)), None).texts[""]


def test_sd_scripts_is_told_whether_the_text_encoder_is_trained(spec: study.Study) -> None:
    """Its own default trains the text encoder at the full learning rate."""
    assert toml(spec)[0]["network_train_unet_only"] is True
    with_text, _ = toml(spec, text_encoder_lr=5e-5)
    assert with_text["text_encoder_lr"] == 5e-5
    assert "network_train_unet_only" not in with_text


def test_the_exported_files_are_those_that_the_recipe_runs(spec: study.Study) -> None:
    """One function makes both; only the name of the LoRA and where tokenizers lie are a run's own."""
    made = source(spec)
    own, base = made.trained, kohya_settings.known_base(spec.base)
    folders = sd_scripts_images.as_they_lie(made.pictures)
    plan = kohya_settings.plan(own, made.pictures, base)
    run = kohya_settings.files(own, plan, base, folders, pathlib.Path("/runs/lora.safetensors"), flip=False)
    exported = export.to_sd_scripts(made, None)
    assert tomllib.loads(exported.texts[".dataset"]) == tomllib.loads(run.dataset)
    differing = {"output_dir", "output_name"}
    ours, theirs = tomllib.loads(exported.texts[""]), tomllib.loads(run.config)
    assert {k: v for k, v in ours.items() if k not in differing} == {
        k: v for k, v in theirs.items() if k not in differing
    }


def test_a_data_set_that_sd_scripts_would_read_otherwise_is_lost_unless_it_is_written_beside(
    spec: study.Study, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "data" / "2_cat" / "0.txt").write_text("cat\nof two lines\n", encoding="utf-8")
    without = export.to_sd_scripts(source(spec), None)
    assert "first line" in without.lost[0]
    assert "NOT AS TRAINED" in without.texts[""]
    beside = export.to_sd_scripts(source(spec), tmp_path / "images")
    assert (beside.lost, beside.needs_images) == ((), True)
    (subset,) = tomllib.loads(beside.texts[".dataset"])["datasets"][0]["subsets"]
    assert subset["image_dir"] == str(tmp_path / "images" / "2_images")


def test_bucket_steps_that_sd_scripts_would_stop_at_are_lost(images: pathlib.Path) -> None:
    (line,) = export.to_sd_scripts(
        source(spec_of(images, fixed="enable_bucket: true, bucket_reso_steps: 8")), None
    ).lost
    assert "multiples of 64" in line


def arguments(made: export.Export) -> dict[str, str]:
    lines = [line for line in made.texts[""].splitlines() if not line.startswith("#")]
    return dict(line.removeprefix("--").split("=", 1) if "=" in line else (line[2:], "") for line in lines)


def test_diffusers_is_told_what_it_can_carry(spec: study.Study, tmp_path: pathlib.Path) -> None:
    made = export.to_diffusers(source(spec, network_alpha_ratio=1.0, optimizer_type="AdamW8bit"), tmp_path / "images")
    assert made.lost == ()
    told = arguments(made)
    assert (told["rank"], told["max_train_steps"], told["lr_warmup_steps"]) == ("64", "27", "3")
    assert (told["resolution"], told["seed"], told["adam_weight_decay"]) == ("64", "11", "0.01")
    assert told["train_data_dir"] == str(tmp_path / "images")
    assert "use_8bit_adam" in told


@pytest.mark.parametrize(("name", "known"), parameters.NO_SYNC.items())
def test_an_optimizer_under_a_name_of_our_own_is_exported_as_the_one_whose_steps_it_takes(
    name: str, known: str, spec: study.Study, tmp_path: pathlib.Path
) -> None:
    ours, theirs = (export.to_sd_scripts(source(spec, optimizer_type=each), None) for each in (name, known))
    assert tomllib.loads(ours.texts[""]) == tomllib.loads(theirs.texts[""])
    (remark,) = set(ours.remarks) - set(theirs.remarks)
    assert remark.startswith(f"trained with {name}, written as {known}")
    told = export.to_diffusers(source(spec, optimizer_type=name), tmp_path / "images")
    assert ("use_8bit_adam" in arguments(told)) == (known == "AdamW8bit") == (remark in told.remarks)


def test_what_diffusers_cannot_carry_is_named_each(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    spec = spec_of(
        images,
        fixed="text_encoder_lr: 1.0e-5, network_dropout: 0.1, caption_dropout: 0.2, save_precision: fp16, "
        "enable_bucket: true",
    )
    made = export.to_diffusers(source(spec, optimizer_type="Prodigy"), tmp_path / "images")
    assert [line.split(":")[0] for line in made.lost] == [
        *("optimizer_type", "network_alpha", "network_dropout", "text_encoder_lr", "save_precision"),
        *("caption_dropout", "enable_bucket"),
    ]
    for line in made.lost:
        assert f"# NOT AS TRAINED: {line}" in made.texts[""].splitlines()


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ("lr_scheduler_num_cycles: 3, lr_scheduler: cosine_with_restarts", "lr_scheduler_num_cycles: 3"),
        ("lr_scheduler_power: 2.0, lr_scheduler: polynomial", "lr_scheduler_power: 2"),
    ],
)
def test_schedules_that_diffusers_cannot_carry_are_named(images: pathlib.Path, fixed: str, said: str) -> None:
    text = STUDY.format(base="demo", fixed=f", {fixed}").replace("lr_scheduler: cosine,", "", 1)
    path = images.parent / "study.yaml"
    path.write_text(text, encoding="utf-8")
    made = export.to_diffusers(source(study.read(path), network_alpha_ratio=1.0), None)
    assert any(line.startswith(said) for line in made.lost)


def test_clipping_that_is_off_stays_off_in_a_script_that_always_clips(images: pathlib.Path) -> None:
    """With 0 it would make every gradient 0."""
    told = arguments(export.to_diffusers(source(spec_of(images, fixed="max_grad_norm: 0.0")), None))
    assert float(told["max_grad_norm"]) >= 1e20


def test_captions_that_diffusers_does_not_read_are_lost_unless_they_are_written_beside(spec: study.Study) -> None:
    assert any(line.startswith("captions") for line in export.to_diffusers(source(spec), None).lost)


def test_json_holds_everything_as_it_was_trained(spec: study.Study) -> None:
    record = trial(steps=27, repeat=1)
    read = json.loads(export.to_json(spec, record, source(spec, record)).texts[""])
    assert read["params"]["network_dim"] == 64
    assert (read["seed"], read["settings"]["seed"], read["settings"]["network_alpha"]) == (12, 12, 16.0)
    assert (read["settings"]["resolution"], read["plan"]["total_steps"], read["plan"]["warmup_steps"]) == (64, 27, 3)
    assert read["base"]["noise"]["prediction_type"] == "v_prediction"


def test_json_needs_neither_base_nor_data_set(spec: study.Study) -> None:
    read = json.loads(export.to_json(spec, trial(), None).texts[""])
    assert read["params"]["network_dim"] == 64
    assert "settings" not in read


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("refused", "too-high refused it"),
        ("waiting", "not begun"),
        ("running", "still trains"),
        ("crashed", "machine"),
        ("interrupted", "begun"),
    ],
)
def test_a_trial_that_never_trained_is_not_exported(spec: study.Study, state: str, why: str) -> None:
    with pytest.raises(errors.BadInput, match=f"trial 3 .* is {state}: .*{why}"):
        export.chosen(spec, [trial(state)], 3)


def test_a_trial_that_is_not_there_is_named(spec: study.Study) -> None:
    with pytest.raises(errors.BadInput, match="no trial 9; it has 1"):
        export.chosen(spec, [trial()], 9)
    with pytest.raises(errors.BadInput, match="no usable trial yet"):
        export.chosen(spec, [trial("unusable")], None)


def test_an_unusable_trial_says_so_on_top(spec: study.Study) -> None:
    record = export.chosen(spec, [trial("unusable")], 3)
    assert "# this trial is unusable" in export.to_sd_scripts(source(spec, record), None).texts[""].splitlines()


def test_a_script_of_one_s_own_is_no_lora_trainer(images: pathlib.Path) -> None:
    command = spec_of(images).model_copy(update={"trainer": "command", "fixed": {"script": "train.py"}})
    with pytest.raises(errors.BadInput, match=r"trained by train\.py.*--format json"):
        export.source(command, trial(), ())


def test_a_base_that_is_not_here_is_named(images: pathlib.Path) -> None:
    with pytest.raises(errors.BadInput, match="'someone/model'"):
        source(spec_of(images, "someone/model"))


def test_files_are_written_together_or_not_at_all(tmp_path: pathlib.Path) -> None:
    made = export.Export({"": "one", ".dataset": "two"})
    texts = export.paths(tmp_path / "best.toml", made)
    export.write(texts)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "best.toml": "one",
        "best.dataset.toml": "two",
    }
    (tmp_path / "other.dataset.toml").mkdir()
    with pytest.raises(errors.BadInput, match=r"other\.dataset\.toml: is a folder"):
        export.write(export.paths(tmp_path / "other.toml", made))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_that_is_not_there_and_a_folder_as_file_are_named(tmp_path: pathlib.Path) -> None:
    made = export.Export({"": "one"})
    with pytest.raises(errors.BadInput, match=r"there is no folder .*none"):
        export.paths(tmp_path / "none" / "best.toml", made)
    with pytest.raises(errors.BadInput, match="is a folder"):
        export.paths(tmp_path, made)


def test_the_demo_base_is_no_base_of_sd_scripts_and_that_is_said(spec: study.Study) -> None:
    assert any("own size" in remark for remark in export.to_sd_scripts(source(spec), None).remarks)


def test_images_of_another_data_set_are_not_taken_for_these(spec: study.Study, tmp_path: pathlib.Path) -> None:
    pictures = dataset.inspect(sections.Dataset(path=spec.dataset.path)).pictures
    whole, part = (export.images_beside(tmp_path / "best.toml", each) for each in (pictures, pictures[:4]))
    assert whole != part
