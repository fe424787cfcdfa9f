"""What people hand over, wrong in every way that came to mind: one clear answer each, nothing endless, nothing left.

Most go through the command line in this process, so that they are quick; pipes and devices go through one of their own.
"""

import dataclasses
import io
import json
import os
import pathlib
import struct
import tarfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from optimizer import cli
from tests import forked

STUDY = """\
study_version: 1
name: mine
base: demo
dataset: ./data
space:
  learning_rate: {float: [1.0e-3, 2.0e-2], log: true}
  network_dim: {choices: [4, 8]}
  lr_scheduler: {choices: [cosine, cosine_with_restarts]}
  lr_scheduler_num_cycles: {int: [1, 3], when: lr_scheduler == "cosine_with_restarts"}
fixed: {resolution: 64, max_train_epochs: 2}
rules: [rules.yaml]
objectives: {clip_score: maximize, failure_rate: minimize}
search: {trials: 2, seed: 3}
evaluation:
  prompts: [a zorbit on a mat, a zorbit in a hat]
  seeds: [1, 2]
  steps: 4
"""
RULES = """\
rules_version: 1
name: mine
rules:
  - id: high-rate
    refuse: learning_rate > 0.01
    because: It diverges.
"""


PROMPTS = "[a zorbit on a mat, a zorbit in a hat]"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the command line said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@dataclasses.dataclass(frozen=True)
class Desk:
    """A person's folder: a study, its rules and images; and a data folder without a database."""

    folder: pathlib.Path
    home: pathlib.Path
    capture: pytest.CaptureFixture[str]

    @property
    def study(self) -> pathlib.Path:
        return self.folder / "study.yaml"

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    def change(self, old: str, new: str) -> None:
        text = self.study.read_text(encoding="utf-8")
        assert old in text
        self.study.write_text(text.replace(old, new), encoding="utf-8")

    def call(self, *words: object) -> Answer:
        self.capture.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        said = self.capture.readouterr()
        return Answer(int(left.value.code or 0), said.out, said.err)

    def check(self) -> Answer:
        return self.call("study", "check", self.study)


@pytest.fixture
def desk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    (tmp_path / "data").mkdir()
    for number in range(3):
        picture(tmp_path / "data" / f"{number}.png", shade=number)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("TUNEGUARD_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("TUNEGUARD_DATABASE_URL", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return Desk(tmp_path, home, capsys)


def picture(path: pathlib.Path, size: tuple[int, int] = (64, 64), shade: int = 9, caption: str = "a zorbit") -> None:
    Image.new("RGB", size, (shade, 0, 0)).save(path)
    path.with_suffix(".txt").write_text(caption, encoding="utf-8")


def assert_refused(desk: Desk, answer: Answer, *words: str) -> None:
    assert answer.code == 2, answer.said
    assert "Traceback" not in answer.said
    for word in words:
        assert word in answer.err
    assert not list(desk.home.iterdir())


def test_the_study_that_all_others_differ_from_is_right(desk: Desk) -> None:
    answer = desk.check()
    assert answer.code == 0, answer.said
    assert "note:" not in answer.out


# what is replaced in the study file, by what, and what the answer must hold: place, value, remedy
STUDY_FILES = [
    # the form
    ("study_version: 1", "study_version: 2", ["study.yaml:1:16", "must be 1, not 2"]),
    ("study_version: 1\n", "", ["'study_version' is missing"]),
    ("name: mine\n", "", ["'name' is missing"]),
    ("name: mine", "name: ../../etc", ["study.yaml:2:7", "../../etc"]),
    ("name: mine", "name: my study", ["study.yaml:2:7"]),
    ("name: mine", "name: ''", ["study.yaml:2:7"]),
    ("name: mine", "name: mine/yours", ["study.yaml:2:7"]),
    ("name: mine", 'name: "mine\\0"', ["study.yaml:2:7", "cannot be stored"]),
    ("name: mine", "name: mine\nname: yours", ["study.yaml:3:1", "duplicate key"]),
    ("name: mine", f"name: {'x' * 101}", ["study.yaml:2:7"]),
    ("name: mine", "name: naïve", ["study.yaml:2:7"]),
    ("name: mine", "name: [a, b]", ["must be text"]),
    ("name: mine", "name: 7", ["must be text"]),
    ("name: mine", "name: null", ["must be text"]),
    ("name: mine", "name: mine\n\tbase: x", ["is not valid YAML"]),
    ("name: mine", "name: &a mine\nother: *a", ["anchor"]),
    ("name: mine", "<<: {name: mine}", ["unknown key '<<'"]),
    ("name: mine", "name: !!python/object:os.system mine", ["tag"]),
    ("name: mine", "nam: mine", ["did you mean 'name'?"]),
    ("name: mine", "name: mine\n---\nname: yours", ["second document"]),
    ("name: mine", f"name: mine\ndeep: {'[' * 60}{']' * 60}", ["nested deeper"]),
    ("base: demo", "base: demo\ntrainer: diffusion_lora", ["did you mean diffusion-lora?"]),
    ("base: demo", "base: demo\ntrainer: 3", ["must be text"]),
    # the space
    ("space:\n", "space: []\nspaces:\n", ["space"]),
    ("[4, 8]", "[4, 4]", ["4 twice"]),
    ("[4, 8]", "[4, '8']", ["mix kinds"]),
    ("[4, 8]", "[true, 8]", ["mix kinds"]),
    ("[4, 8]", "[4, .nan]", ["finite"]),
    ("[4, 8]", "[[4], 8]", ["study.yaml:7"]),
    ("[4, 8]", "[4, null]", ["study.yaml:7"]),
    ("[4, 8]", "[4.5, 8]", ["not a whole number"]),
    ("[4, 8]", "[4, 8192]", ["outside of >= 1 and <= 1024"]),
    ("{choices: [4, 8]}", "{choices: [4, 8], int: [4, 8]}", ["exactly one of"]),
    ("{choices: [4, 8]}", "{}", ["exactly one of"]),
    ("{choices: [4, 8]}", "{int: [8, 4]}", ["above high"]),
    ("{choices: [4, 8]}", "{int: [4]}", ["study.yaml:7"]),
    ("{choices: [4, 8]}", "{int: [4, 8, 12]}", ["study.yaml:7"]),
    ("{choices: [4, 8]}", "{int: [1, 1e20]}", ["whole number"]),
    ("{choices: [4, 8]}", "{int: [1, 100000000000000000000]}", ["study.yaml:7"]),
    ("{choices: [4, 8]}", "{int: [4, 8], step: 0}", ["step 0"]),
    ("{choices: [4, 8]}", "{int: [4, 8], step: -1}", ["step -1"]),
    ("{choices: [4, 8]}", "{int: [4, 8], step: 1.5}", ["whole numbers"]),
    ("{choices: [4, 8]}", "{int: [4, 8], step: 2, log: true}", ["exclude each other"]),
    ("{choices: [4, 8]}", "{choices: [4, 8], log: true}", ["neither step nor log"]),
    ("log: true}", "log: 1}", ["must be true or false"]),
    ("log: true}", "log: true, step: 0.001}", ["exclude each other"]),
    ("log: true}", "step: 1.0e-300}", ["learning_rate", "step 1e-300"]),
    ("log: true}", "lg: true}", ["did you mean 'log'?"]),
    ("[1.0e-3, 2.0e-2]", "[0, 2.0e-2]", ["above 0 on a log scale"]),
    ("[1.0e-3, 2.0e-2]", "[-1.0, 2.0e-2]", ["log scale"]),
    ("[1.0e-3, 2.0e-2]", "[1.0e-3, 2.0e+400]", ["too large for a number"]),
    ("[1.0e-3, 2.0e-2]", "[1.0e-3, .inf]", ["not a finite number"]),
    ("[1.0e-3, 2.0e-2]", "[1.0e-3, true]", ["must be a number"]),
    ("[1.0e-3, 2.0e-2]", '["1e-3", 2.0e-2]', ["is text", "without quotes"]),
    ("[1.0e-3, 2.0e-2]", "1.0e-3", ["must be a list"]),
    ("[1.0e-3, 2.0e-2]", f"[1.0e-3, {'9' * 200}]", ["a number of 200 characters"]),
    ("[1.0e-3, 2.0e-2], log: true", "[-1.0, 2.0e-2]", ["outside of >= 0"]),
    ("learning_rate:", "learning_rte:", ["did you mean learning_rate?"]),
    ("when: lr_scheduler ==", "when: lr_schduler ==", ["lr_scheduler"]),
    ('when: lr_scheduler == "cosine_with_restarts"', "when: lr_scheduler_num_cycles > 1", ["depend on each other"]),
    ('when: lr_scheduler == "cosine_with_restarts"', "when: lr_scheduler ==", ["when"]),
    ('when: lr_scheduler == "cosine_with_restarts"', "when: __import__('os')", ["when"]),
    ('when: lr_scheduler == "cosine_with_restarts"', "when: 3", ["must be text"]),
    # what is fixed
    ("max_train_epochs: 2", "max_train_epochs: 100000000000000000000000000", ["max_train_epochs"]),
    ("max_train_epochs: 2", "max_train_epochs: 0", ["outside of"]),
    ("max_train_epochs: 2", "max_train_epochs: -1", ["outside of"]),
    ("max_train_epochs: 2", "max_train_epochs: true", ["not a number"]),
    ("max_train_epochs: 2", "max_train_epochs: '2'", ["not a number"]),
    ("max_train_epochs: 2", "max_train_epochs: 2, max_train_steps: 9", ["give one of them"]),
    ("max_train_epochs: 2", "max_train_steps: 1, lr_warmup_steps: 100000", ["lr_warmup_steps: 100000", "peak"]),
    ("max_train_epochs: 2", "max_train_epochs: 2, network_dim: 4", ["both searched and fixed"]),
    ("max_train_epochs: 2", "max_train_epochs: 2, optimizer_type: adamw", ["did you mean AdamW?"]),
    ("max_train_epochs: 2", "max_train_epochs: null", ["study.yaml:10"]),
    ("max_train_epochs: 2", "max_train_epochs: [2]", ["study.yaml:10"]),
    ("fixed: {resolution: 64", "fixed: [resolution", ["study.yaml"]),
    ("resolution: 64", "resolution: 100000", ["outside of"]),
    # objectives and rules
    ("clip_score: max", "clip_scor: max", ["study.yaml:12:14", "did you mean 'clip_score'?"]),
    ("clip_score: max", "subject_similarity_dino: max", ["evaluation.dino names a model"]),
    ("clip_score: max", "held_out_clip_score: max", ["evaluation.held_out has prompts"]),
    ("clip_score: maximize", "clip_score: up", ["maximize"]),
    ("{clip_score: maximize, failure_rate: minimize}", "{}", ["study.yaml:12"]),
    ("{clip_score: maximize, failure_rate: minimize}", "clip_score", ["must be a mapping"]),
    ("rules: [rules.yaml]", "rules: rules.yaml", ["must be a list"]),
    ("rules: [rules.yaml]", "rules: [gone.yaml]", ["gone.yaml", "No such file"]),
    ("rules: [rules.yaml]", "rules: [rules.yaml, rules.yaml]", ["also in"]),
    ("rules: [rules.yaml]", "rules: [lora-esentials]", ["lora-essentials"]),
    ("rules: [rules.yaml]", "rules: [data.yaml]", ["is a folder"]),
    ("rules: [rules.yaml]", "rules: [3]", ["must be text"]),
    # the search
    ("trials: 2", "trials: 0", ["greater than or equal to 1"]),
    ("trials: 2", "trials: 1000000000000", ["less than or equal to"]),
    ("trials: 2", "trials: 2.5", ["whole number"]),
    ("trials: 2", "trials: two", ["whole number"]),
    ("seed: 3", "seed: 99999999999", ["study.yaml:13", "99999999999"]),
    ("seed: 3", "seed: -1", ["-1"]),
    ("seed: 3", "seed: 3, sampler: tpee", ["tpe"]),
    ("seed: 3", "seed: 3, refusals: never", ["resample"]),
    ("seed: 3", "seed: 3, pruner: asha", ["during"]),
    ("seed: 3", "seed: 3, primary: clip_scor", ["did you mean 'clip_score'?"]),
    ("seed: 3", "seed: 3, startup_trials: 0", ["startup_trials"]),
    ("seed: 3", "seed: 3, repeats: 0", ["repeats"]),
    ("seed: 3", "seed: 3, start: [{network_dim: 5}]", ["5 is outside of 4, 8"]),
    ("seed: 3", "seed: 3, start: [{network_dm: 4}]", ["network_dm is not searched"]),
    ("seed: 3", "seed: 3, start: [{learning_rate: 0.02}]", ["refused by high-rate"]),
    ("seed: 3", "seed: 3, start: {network_dim: 4}", ["must be a list"]),
    ("seed: 3", "seed: 3, warm_start: [gone.csv]", ["gone.csv"]),
    ("seed: 3", "seed: 3, warm_start: [study.csv]", ["study.csv", "column"]),
    ("seed: 3", "seed: 3, warm_start: [data.csv]", ["data.csv", "folder"]),
    # the evaluation
    (PROMPTS, "[]", ["study.yaml:15:12", "prompts are empty"]),
    (PROMPTS, "['  ']", ["prompt 1 is blank"]),
    (PROMPTS, "[a zorbit, a zorbit]", ["'a zorbit' is there 2 times"]),
    (PROMPTS, "[a zorbit, 7]", ["must be text"]),
    (PROMPTS, "gone.txt", ["gone.txt", "No such file"]),
    (PROMPTS, "data", ["is a folder"]),
    (PROMPTS, "null", ["study.yaml:15"]),
    (PROMPTS, '["a zorbit\\0"]', ["cannot be stored"]),
    (PROMPTS, '["a \\uD800 zorbit"]', ["study.yaml"]),
    ("seeds: [1, 2]", "seeds: []", ["study.yaml:16"]),
    ("seeds: [1, 2]", "seeds: [1, 1]", ["1 is there 2 times"]),
    ("seeds: [1, 2]", "seeds: [-1]", ["-1"]),
    ("seeds: [1, 2]", "seeds: [100000000000000000000000]", ["study.yaml:16"]),
    ("seeds: [1, 2]", "seeds: 1", ["must be a list"]),
    ("seeds: [1, 2]", "seeds: [1.5]", ["whole number"]),
    ("steps: 4", "steps: 0", ["study.yaml:17"]),
    ("steps: 4", "steps: 100000", ["1000"]),
    ("steps: 4", "steps: 4\n  guidance_scale: .nan", ["not a finite number"]),
    ("steps: 4", "steps: 4\n  guidance_scale: -1", ["guidance_scale"]),
    ("steps: 4", "steps: 4\n  clip: {model: ViT-B-33, pretrained: openai}", ["did you mean ViT-B-32?"]),
    ("steps: 4", "steps: 4\n  clip: {model: ViT-B-32, pretrained: opnai}", ["did you mean openai?"]),
    ("steps: 4", "steps: 4\n  clip: {model: ViT-B-32, pretrained: ./gone.pt}", ["gone.pt", "no such file"]),
    ("steps: 4", "steps: 4\n  clip: {model: ViT-B-32, pretrained: ./rules.yaml.pt}", ["neither safetensors nor torch"]),
    ("steps: 4", "steps: 4\n  clip: {model: ViT-B-32}", ["pretrained"]),
    ("steps: 4", "steps: 4\n  clip: {model: ViT-B-32, pretrained: openai}", ["not cached here", "hf download"]),
    ("steps: 4", "steps: 4\n  clip: {model: ./data}", ["open_clip_config.json"]),
    ("steps: 4", "steps: 4\n  dino: {model: vit_smal_patch16_224}", ["did you mean vit_small_patch16_224?"]),
    ("steps: 4", "steps: 4\n  dino: {model: vit_small_patch16_224.dno}", ["vit_small_patch16_224.dino"]),
    ("steps: 4", "steps: 4\n  dino: {model: vit_small_patch16_224.dino, weights: ./gone.pth}", ["no such file"]),
    ("steps: 4", "steps: 4\n  dino: {}", ["'model' is missing"]),
    ("steps: 4", "steps: 4\n  during: {every_samples: 0}", ["every_samples"]),
    # thresholds and launch
    ("search:", "thresholds: {black_mean: -1}\nsearch:", ["black_mean"]),
    ("search:", "thresholds: {saturated_share: 2}\nsearch:", ["2"]),
    ("search:", "thresholds: {update_norm: .nan}\nsearch:", ["finite"]),
    ("search:", "thresholds: {blak_mean: 1}\nsearch:", ["did you mean 'black_mean'?"]),
    ("search:", "launch: {attempts: 0}\nsearch:", ["attempts"]),
    ("search:", "launch: {attempts: 1000000000}\nsearch:", ["1000"]),
    ("search:", "launch: {isolation: cold}\nsearch:", ["warm"]),
    ("search:", "launch: {trackers: [wandb]}\nsearch:", ["wandb is not installed"]),
    ("search:", "launch: {trackers: [mlflow]}\nsearch:", ["tensorboard"]),
    # base and data set
    ("base: demo", "base: ./gone", ["study.yaml:3:7", "no such folder or file"]),
    ("base: demo", "base: ./data", ["model_index.json"]),
    ("base: demo", "base: ./study.yaml", ["no .safetensors file"]),
    ("base: demo", "base: ./garbage.safetensors", ["is no safetensors file"]),
    ("base: demo", "base: runwayml/stable-diffusion-v1-5", ["runwayml/stable-diffusion-v1-5", "not cached here"]),
    ("base: demo", "base: ''", ["base"]),
    ("base: demo", "base: stable diffusion", ["not a hub id"]),
    ("base: demo", "base: ~nobody/x/y", ["no such folder or file"]),
    ("base: demo", "base: '~/gone'", ["no such folder or file"]),
    ("base: demo", 'base: "demo\\0"', ["cannot be stored"]),
    ("dataset: ./data", "dataset: ./gone", ["study.yaml:4:10", "no such folder"]),
    ("dataset: ./data", "dataset: ./study.yaml", ["is a file"]),
    ("dataset: ./data", "dataset: './data  '", ["did you mean"]),
    ("dataset: ./data", "dataset: ''", ["holds no images"]),
    ("dataset: ./data", "dataset: {path: ./data, repeats: 1000000000000}", ["repeats", "100000"]),
    ("dataset: ./data", "dataset: {path: ./data, repeats: 1.5}", ["whole number"]),
    ("dataset: ./data", "dataset: {path: ./data, repeats: 0}", ["greater than or equal to 1"]),
    ("dataset: ./data", "dataset: {pth: ./data}", ["path"]),
    ("dataset: ./data", "dataset: {path: ./data, flip: 1}", ["true or false"]),
    ("dataset: ./data", "dataset: ./loop", ["loop"]),
    # a trainer of one's own
    ("base: demo", "base: demo\ntrainer: command", ["script", "which Python script"]),
    ("base: demo", "base: demo\ntrainer: sd-scripts", ["sd_scripts"]),
]


@pytest.mark.parametrize(
    ("old", "new", "said"), STUDY_FILES, ids=[ascii(new).strip("'")[:60] for _, new, _ in STUDY_FILES]
)
def test_a_wrong_study_file_is_one_clear_answer(desk: Desk, old: str, new: str, said: list[str]) -> None:
    (desk.folder / "data.yaml").mkdir()
    (desk.folder / "data.csv").mkdir()
    (desk.folder / "study.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (desk.folder / "rules.yaml.pt").write_text("no weights", encoding="utf-8")
    (desk.folder / "garbage.safetensors").write_bytes(b"garbage" * 9)
    (desk.folder / "loop").symlink_to("loop")
    desk.change(old, new)
    assert_refused(desk, desk.check(), *said)


def whole(content: bytes) -> Callable[[Desk], None]:
    def write(desk: Desk) -> None:
        desk.study.write_bytes(content)

    return write


def folder_as_study(desk: Desk) -> None:
    desk.study.unlink()
    desk.study.mkdir()


# a study file as bytes
FILES: list[tuple[str, Callable[[Desk], None], list[str]]] = [
    ("empty", whole(b""), ["must be a mapping"]),
    ("a comment", whole(b"# nothing\n"), ["must be a mapping"]),
    ("a list", whole(b"- a\n- b\n"), ["must be a mapping"]),
    ("a number", whole(b"3"), ["must be a mapping"]),
    ("binary", whole(bytes(range(256))), ["is not UTF-8"]),
    ("an image", whole(b"\x89PNG\r\n\x1a\n\0\0"), ["is not UTF-8"]),
    ("latin-1", whole(STUDY.replace("mat", "mät").encode("latin-1")), ["is not UTF-8"]),
    ("utf-16", whole(STUDY.encode("utf-16")), ["is not UTF-8"]),
    ("NUL", whole(b"name: a\0b"), ["study.yaml"]),
    ("tabs", whole(STUDY.replace("  learning", "\tlearning").encode()), ["not valid YAML"]),
    ("unclosed", whole(STUDY.replace("[4, 8]", "[4, 8").encode()), ["not valid YAML"]),
    ("too large", whole(b"#" * 1_000_001), ["1,000,001 bytes"]),
    ("deep", whole(b"a: " + b"[" * 50_000), ["nested deeper"]),
    ("a folder", folder_as_study, ["is a folder"]),
    ("missing", lambda desk: desk.study.unlink(), ["No such file"]),
    ("json with a duplicate", whole(b'{"study_version": 1, "study_version": 1}'), ["duplicate key"]),
]


@pytest.mark.parametrize(("write", "said"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_file_that_is_no_study_is_one_clear_answer(
    desk: Desk, write: Callable[[Desk], None], said: list[str]
) -> None:
    write(desk)
    assert_refused(desk, desk.check(), *said)


def test_a_study_with_a_byte_order_mark_and_windows_line_ends_is_read(desk: Desk) -> None:
    desk.study.write_bytes(b"\xef\xbb\xbf" + STUDY.replace("\n", "\r\n").encode())
    assert desk.check().code == 0


def test_a_hundred_thousand_choices_are_refused_at_once(desk: Desk) -> None:
    desk.change("[4, 8]", f"[{', '.join(map(str, range(100_000)))}]")
    assert_refused(desk, desk.check(), "10,000 values")
    desk.study.write_text(STUDY.replace("[4, 8]", f"[{', '.join(map(str, range(1, 1020)))}]"), encoding="utf-8")
    assert_refused(desk, desk.check(), "choices")


PROMPT_FILES = [
    (b"# only\n# comments\n\n", ["holds no prompt"]),
    (b"", ["holds no prompt"]),
    (b"a zorbit\na zorbit\n", ["is there 2 times"]),
    ("ein Zörbit\n".encode("latin-1"), ["is not UTF-8", "line 1"]),
    (b"a\0b\n", ["line 1 holds a NUL byte"]),
    (b"x" * 1_000_001, ["1,000,001 bytes"]),
    (b"\n".join(b"prompt %d" % number for number in range(1001)), ["1,001 prompts"]),
]


@pytest.mark.parametrize(("content", "said"), PROMPT_FILES, ids=[str(said) for _, said in PROMPT_FILES])
def test_a_wrong_prompt_file_is_one_clear_answer(desk: Desk, content: bytes, said: list[str]) -> None:
    (desk.folder / "prompts.txt").write_bytes(content)
    desk.change(PROMPTS, "prompts.txt")
    assert_refused(desk, desk.check(), "study.yaml:15:12", *said)


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def bomb() -> bytes:
    """A PNG whose header speaks of 40000 x 40000 pixels."""
    content = bytearray(saved(Image.new("L", (8, 8))))
    content[16:24] = struct.pack(">II", 40_000, 40_000)
    import zlib

    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def put(name: str, content: bytes, caption: bytes | None = b"a zorbit") -> Callable[[Desk], None]:
    def write(desk: Desk) -> None:
        (desk.data / name).parent.mkdir(exist_ok=True)
        (desk.data / name).write_bytes(content)
        if caption is not None:
            (desk.data / name).with_suffix(".txt").write_bytes(caption)

    return write


def no_captions(desk: Desk) -> None:
    for path in desk.data.glob("*.txt"):
        path.unlink()


def no_images(desk: Desk) -> None:
    for path in desk.data.iterdir():
        path.unlink()


def one_level_too_deep(desk: Desk) -> None:
    desk.data.rename(desk.folder / "away")
    desk.data.mkdir()
    (desk.folder / "away").rename(desk.data / "zorbit")


def shard(desk: Desk, *members: tuple[str, bytes], cut: int | None = None) -> None:
    with tarfile.open(desk.data / "0.tar", "w") as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    if cut is not None:
        path = desk.data / "0.tar"
        path.write_bytes(path.read_bytes()[:cut])


def in_a_shard(*members: tuple[str, bytes], cut: int | None = None) -> Callable[[Desk], None]:
    return lambda desk: shard(desk, *members, cut=cut)


def metadata(content: bytes) -> Callable[[Desk], None]:
    return put("metadata.jsonl", content, None)


PNG = saved(Image.new("RGB", (64, 64), (80, 1, 1)))
CLEAR = saved(Image.new("RGBA", (64, 64), (80, 1, 1, 0)))
DATA: list[tuple[str, Callable[[Desk], None], list[str]]] = [
    ("no captions", no_captions, ["0.png: caption missing; write it to 0.txt"]),
    ("no images", no_images, ["holds no images"]),
    ("one level too deep", one_level_too_deep, ["zorbit", "name that folder"]),
    ("gif", put("x.gif", saved(Image.new("L", (64, 64)), "GIF")), ["x.gif: .gif files are not read", "save it as"]),
    ("heic", put("x.HEIC", b"heic"), [".HEIC files are not read"]),
    ("avif", put("x.avif", b"avif"), [".avif files are not read"]),
    ("tiff", put("x.tiff", saved(Image.new("L", (64, 64)), "TIFF")), [".tiff files are not read"]),
    ("video", put("x.mp4", b"mp4"), [".mp4 files are not read"]),
    ("one stem", put("0.jpg", saved(Image.new("RGB", (64, 64)), "JPEG"), None), ["share the caption 0.txt"]),
    ("one stem, other case", put("0.PNG", PNG, None), ["share the caption 0.txt"]),
    ("truncated png", put("x.png", PNG[: len(PNG) // 2]), ["x.png: image cannot be read"]),
    (
        "truncated jpeg",
        put("x.jpg", saved(Image.new("RGB", (640, 640)), "JPEG")[:400]),
        ["x.jpg: image cannot be read"],
    ),
    ("text as png", put("x.png", b"hello"), ["x.png: image cannot be read"]),
    ("empty png", put("x.png", b""), ["x.png: image cannot be read"]),
    ("html as jpg", put("x.jpg", b"<html>not found</html>"), ["x.jpg: image cannot be read"]),
    ("bomb", put("x.png", bomb()), ["x.png", "more than 178,956,970 pixels"]),
    ("8 x 8", put("x.png", saved(Image.new("RGB", (7, 7)))), ["too small", "x.png 7x7"]),
    ("3000 x 20", put("x.png", saved(Image.new("RGB", (3000, 20)))), ["too narrow", "x.png 3000x20"]),
    ("wholly transparent", put("x.png", CLEAR), ["x.png", "wholly transparent"]),
    ("latin-1 caption", put("x.png", PNG, "Zörbit".encode("latin-1")), ["x.txt: caption cannot be read", "UTF-8"]),
    ("NUL caption", put("x.png", PNG, b"a\0b"), ["x.txt", "NUL"]),
    ("10 MB caption", put("x.png", PNG, b"word " * 2_000_000), ["x.txt", "10,000,000 bytes"]),
    ("caption of another tool", put("x.png", PNG, None), ["x.png: caption missing"]),
    ("image is a folder", lambda desk: (desk.data / "x.png").mkdir(), ["x.png", "folder"]),
    ("caption is a folder", lambda desk: [put("x.png", PNG, None)(desk), (desk.data / "x.txt").mkdir()][0], ["x.txt"]),
    ("image is a symlink loop", lambda desk: (desk.data / "x.png").symlink_to("x.png"), ["x.png"]),
    ("image is a dead symlink", lambda desk: (desk.data / "x.png").symlink_to("gone.png"), ["x.png"]),
    ("too many repeats", lambda desk: (desk.data / "999999999999_x").mkdir(), ["999999999999 repeats"]),
    ("binary metadata", metadata(bytes(range(256))), ["metadata.jsonl: cannot be read"]),
    ("latin-1 metadata", metadata('{"file_name": "0.png", "text": "Zörbit"}'.encode("latin-1")), ["metadata.jsonl"]),
    ("metadata without text", metadata(b'{"file_name": "0.png"}'), ["metadata.jsonl:1: expected"]),
    ("metadata of numbers", metadata(b'{"file_name": "0.png", "text": 7}'), ["metadata.jsonl:1: expected"]),
    ("metadata list", metadata(b"[1, 2]"), ["metadata.jsonl:1: expected"]),
    ("deep metadata", metadata(b"[" * 100_000), ["metadata.jsonl:1: expected"]),
    ("metadata twice", metadata(b'{"file_name": "0.png", "text": "a"}\n' * 2), ["a second time"]),
    ("metadata elsewhere", metadata(b'{"file_name": "../study.yaml", "text": "a"}'), ["lies in another folder"]),
    ("metadata NUL name", metadata(b'{"file_name": "a\\u0000.png", "text": "a"}'), ["which is not there"]),
    ("metadata for some", metadata(b'{"file_name": "0.png", "text": "a"}'), ["1.png: has no line in metadata.jsonl"]),
    ("shard cut off", in_a_shard(("a.png", PNG), ("a.txt", b"a"), cut=700), ["0.tar"]),
    ("shard of garbage", put("0.tar", b"garbage" * 100, None), ["0.tar: shard cannot be read"]),
    ("shard without caption", in_a_shard(("a.png", PNG)), ["a.png: caption missing"]),
    ("shard, one key", in_a_shard(("a.png", PNG), ("a.jpg", PNG), ("a.txt", b"a")), ["share the caption"]),
    ("shard, latin-1", in_a_shard(("a.png", PNG), ("a.txt", b"\xf6")), ["a.txt: caption cannot be read"]),
    ("shard, NUL", in_a_shard(("a.png", PNG), ("a.txt", b"\0")), ["a.txt: caption cannot be read"]),
    ("shard is a folder", lambda desk: (desk.data / "0.tar").mkdir(), ["0.tar: shard cannot be read"]),
]


@pytest.mark.parametrize(("spoil", "said"), [case[1:] for case in DATA], ids=[case[0] for case in DATA])
def test_a_wrong_data_set_is_one_clear_answer(desk: Desk, spoil: Callable[[Desk], None], said: list[str]) -> None:
    spoil(desk)
    assert_refused(desk, desk.check(), *said)


def grey16(desk: Desk) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    Image.fromarray(ramp).save(desk.data / "0.png")


def animated(desk: Desk) -> None:
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (1, 200)]
    frames[0].save(desk.data / "x.webp", save_all=True, append_images=frames[1:])
    (desk.data / "x.txt").write_text("a zorbit", encoding="utf-8")


def cmyk(desk: Desk) -> None:
    put("x.jpg", saved(Image.new("CMYK", (64, 64)), "JPEG"))(desk)


# what trains, but not as a person may think: exit code 0 and a note
NOTES: list[tuple[str, Callable[[Desk], None], str]] = [
    ("16-bit grey", grey16, "16-bit grey"),
    ("alpha", put("x.png", saved(Image.new("RGBA", (64, 64), (1, 2, 3, 9)))), "partly transparent"),
    ("animation", animated, "animated"),
    ("the same image twice", put("x.png", saved(Image.new("RGB", (64, 64), (1, 0, 0)))), "x.png"),
    ("empty caption", put("x.png", PNG, b"  \n"), "caption is empty"),
    ("240 words", put("x.png", PNG, b"zorbit " * 240), "longer than the 75 tokens"),
    ("caption without image", put("lonely.txt", b"a zorbit", None), "without an image of that name"),
    ("images below", put("more/x.png", PNG), "more are not read"),
    ("small", put("x.png", saved(Image.new("RGB", (20, 20)))), "enlarged more than 2 times"),
    ("long", put("x.png", saved(Image.new("RGB", (200, 64)))), "enable_bucket"),
    ("prompts without the token", lambda desk: desk.change("zorbit", "cat"), "every caption says 'zorbit'"),
    ("a long prompt", lambda desk: desk.change("in a hat", "in a hat" * 60), "tokens that are read"),
    (
        "rates below the polynomial's end",
        lambda desk: [
            desk.change("[1.0e-3, 2.0e-2]", "[1.0e-9, 1.0e-3]"),
            desk.change("[cosine, cosine_with_restarts]", "[polynomial, cosine_with_restarts]"),
        ][0],
        "the trainer cannot train",
    ),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in NOTES], ids=[case[0] for case in NOTES])
def test_what_is_only_worth_a_note_is_noted(desk: Desk, change: Callable[[Desk], None], said: str) -> None:
    change(desk)
    answer = desk.check()
    assert answer.code == 0, answer.said
    assert any(said in line for line in answer.out.splitlines() if line.startswith("note: ")), answer.out
    assert not list(desk.home.iterdir())


HARMLESS: list[tuple[str, Callable[[Desk], None]]] = [
    ("caption with a byte order mark", put("x.png", PNG, b"\xef\xbb\xbfa zorbit")),
    ("unicode caption", put("x.png", PNG, "a zorbit 猫 🐈".encode())),
    ("unicode name", put("猫.png", PNG)),
    ("opaque alpha", put("x.png", saved(Image.new("RGBA", (64, 64), (1, 2, 3, 255))))),
    ("palette", put("x.png", saved(Image.new("P", (64, 64))))),
    ("one bit", put("x.png", saved(Image.new("1", (64, 64))))),
    ("CMYK", cmyk),
    ("hidden files", put(".DS_Store", b"\0", None)),
    ("latent caches", put("0.npz", b"\0", None)),
]


@pytest.mark.parametrize("change", [case[1] for case in HARMLESS], ids=[case[0] for case in HARMLESS])
def test_what_is_harmless_is_not_spoken_of(desk: Desk, change: Callable[[Desk], None]) -> None:
    change(desk)
    answer = desk.check()
    assert answer.code == 0, answer.said
    assert "note:" not in answer.out


def test_every_stage_is_answered_at_once(desk: Desk) -> None:
    """The form, the values, the data set, the base, the judge, the rules and the trackers, in one answer."""
    for old, new in [
        ("search:", "serch: {}\nlaunch: {trackers: [wandb]}\nsearch:"),
        ("base: demo", "base: ./gone"),
        ("clip_score: max", "clip_scor: max"),
        ("learning_rate:", "learning_rte:"),
        ("steps: 4", "steps: 4\n  clip: {model: ViT-B-32, pretrained: opnai}"),
        (PROMPTS, "[a zorbit, ' ']"),
        ("rules: [rules.yaml]", "rules: [rules.yaml, gone.yaml]"),
    ]:
        desk.change(old, new)
    (desk.data / "0.txt").unlink()
    assert_refused(
        desk,
        desk.check(),
        *("did you mean 'search'?", "wandb", "./gone", "clip_scor'", "learning_rate?", "opnai", "blank", "gone.yaml"),
        "0.png: caption missing",
    )


README_MISTAKES: list[tuple[Callable[[Desk], None], str]] = [
    (lambda desk: desk.change("base: demo", "base: ./models/sd15"), "no such folder or file"),
    (no_captions, "caption missing"),
    (lambda desk: desk.change("clip_score: max", "clip_scor: max"), "did you mean 'clip_score'?"),
]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("mistake", "said"), README_MISTAKES, ids=["base", "captions", "objective"])
def test_a_mistake_on_the_first_way_is_found_before_anything_is_made(
    desk: Desk, command: str, mistake: Callable[[Desk], None], said: str
) -> None:
    mistake(desk)
    assert_refused(desk, desk.call("study", command, desk.study), said)


def test_a_base_whose_weights_were_cut_off_is_named(desk: Desk) -> None:
    shipped = pathlib.Path(__file__).resolve().parents[2] / "examples" / "demo" / "base"
    base = desk.folder / "base"
    for path in shipped.rglob("*"):
        if path.is_file():
            (base / path.relative_to(shipped)).parent.mkdir(parents=True, exist_ok=True)
            (base / path.relative_to(shipped)).write_bytes(path.read_bytes())
    desk.change("base: demo", "base: ./base")
    assert desk.check().code == 0
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    assert_refused(desk, desk.check(), "unet", "is not whole")
    weights.unlink()
    (base / "vae" / "config.json").write_text("{", encoding="utf-8")
    (base / "tokenizer" / "tokenizer.json").unlink()
    assert_refused(desk, desk.check(), "diffusion_pytorch_model.safetensors", "config.json: is no JSON", "tokenizer")
    (base / "model_index.json").write_text('{"_class_name": "FluxPipeline"}', encoding="utf-8")
    assert_refused(desk, desk.check(), "is a FluxPipeline", "StableDiffusionPipeline")


def test_a_lora_is_no_base(desk: Desk) -> None:
    header = json.dumps(
        {"lora_unet_x.lora_down.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    ).encode()
    (desk.folder / "mine.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    desk.change("base: demo", "base: ./mine.safetensors")
    assert_refused(desk, desk.check(), "is a LoRA")


def pipe(name: str, *changes: tuple[str, str]) -> Callable[[Desk], None]:
    """A pipe in the place of a file, and what the study says to come upon it."""

    def spoil(desk: Desk) -> None:
        (desk.folder / name).unlink(missing_ok=True)
        for old, new in changes:
            desk.change(old, new)
        os.mkfifo(desk.folder / name)

    return spoil


def device(name: str, *changes: tuple[str, str]) -> Callable[[Desk], None]:
    """A link to a device that never ends, and what the study says to come upon it."""

    def spoil(desk: Desk) -> None:
        (desk.folder / name).symlink_to("/dev/zero")
        for old, new in changes:
            desk.change(old, new)

    return spoil


ENDLESS: list[tuple[str, Callable[[Desk], None], str]] = [
    ("study is a pipe", pipe("study.yaml"), "pipe"),
    ("image is a pipe", pipe("data/x.png"), "pipe"),
    ("caption is a pipe", pipe("data/0.txt"), "pipe"),
    ("shard is a pipe", pipe("data/x.tar"), "pipe"),
    ("rules are a pipe", pipe("rules.yaml"), "pipe"),
    ("prompts are a pipe", pipe("p.txt", (PROMPTS, "p.txt")), "pipe"),
    ("prompts are random", lambda desk: desk.change(PROMPTS, "/dev/urandom"), "device"),
    ("prompts are zero", lambda desk: desk.change(PROMPTS, "/dev/zero"), "device"),
    ("warm start is a device", device("x.csv", ("seed: 3", "seed: 3, warm_start: [x.csv]")), "device"),
    ("base is a device", device("x.safetensors", ("base: demo", "base: ./x.safetensors")), "device"),
    (
        "script is a pipe",
        pipe("t.py", ("base: demo", "base: demo\ntrainer: command"), ("fixed: {", "fixed: {script: t.py, ")),
        "pipe",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "said"), [case[1:] for case in ENDLESS], ids=[case[0] for case in ENDLESS])
def test_pipes_and_devices_are_not_waited_for(desk: Desk, spoil: Callable[[Desk], None], said: str) -> None:
    spoil(desk)
    done = forked.run(["study", "check", str(desk.study)], {**os.environ, "HF_HUB_OFFLINE": "1"}, seconds=120)
    assert_refused(desk, Answer(done.returncode, done.stdout, done.stderr), said)
