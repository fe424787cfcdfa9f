"""Make the demo models from nothing: `python -m benchmarks.demo_models.make`.

Four stages, each resumable: run the same command again after a stop and it goes on from the last checkpoint (written
every two minutes) in the work folder. Nothing is downloaded; every picture is drawn here.
"""

import argparse
import dataclasses
import pathlib
import shutil
import time

import torch
import transformers

from benchmarks.demo_models import autoencoder, denoiser, scorer, vocabulary

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "examples" / "demo"
WORK = ROOT / "build" / "demo-models"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long each stage trains, in steps, and how many pictures the denoiser sees."""

    autoencoder: int = 20_000
    pictures: int = 80_000
    denoiser: int = 12_000
    scorer: int = 5_000


#: every stage runs, nothing is learned: shows in a minute that the scripts work
SMOKE = Plan(autoencoder=20, pictures=200, denoiser=20, scorer=5)


def make(plan: Plan, work: pathlib.Path, output: pathlib.Path, *, start: pathlib.Path | None) -> None:
    """Train all parts and write `base/` and `clip/` into `output`.

    Args:
        start: a folder with `base/` and `clip/` to go on from; None starts from nothing.
    """
    started = time.monotonic()
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(work, start)
    vae = autoencoder.train(plan.autoencoder, work, start=start / "base" / "vae" if start else None)
    latents, captions = denoiser.examples(vae, plan.pictures, work, seed=0)
    networks = denoiser.read(start / "base") if start else denoiser.build(tokenizer)
    networks = denoiser.train(networks, latents, captions, tokenizer, plan.denoiser, work)
    model = scorer.train(tokenizer, plan.scorer, work, start=start / "clip" if start else None)
    tokenizer = _tokenizer(work, start)  # a fresh one: padding and truncation stay with one that was used
    for part in ("base", "clip"):
        shutil.rmtree(output / part, ignore_errors=True)
    denoiser.write(networks, vae, tokenizer, output / "base")
    scorer.write(model, tokenizer, output / "clip")
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    print(f"wrote {output} ({size / 1e6:.1f} MB), {(time.monotonic() - started) / 60:.0f} min in this run")


def _tokenizer(work: pathlib.Path, start: pathlib.Path | None) -> transformers.CLIPTokenizer:
    folder = start / "base" / "tokenizer" if start else work / "tokenizer"
    if (folder / "tokenizer_config.json").exists():
        return transformers.CLIPTokenizer.from_pretrained(folder)
    return vocabulary.train(folder)


def main() -> None:
    """Parse the command line and make the models."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_models.make", description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, default=MODELS, help="folder that takes base/ and clip/")
    parser.add_argument("--work", type=pathlib.Path, default=WORK, help="folder of checkpoints")
    parser.add_argument("--start", type=pathlib.Path, help="folder with base/ and clip/ to go on from")
    parser.add_argument("--smoke", action="store_true", help="a few steps of every stage, to see that it works")
    given = parser.parse_args()
    torch.set_num_threads(1)  # the networks are too small to gain from more
    make(SMOKE if given.smoke else Plan(), given.work, given.output, start=given.start)


if __name__ == "__main__":
    main()
