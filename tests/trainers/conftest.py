"""Small real trials on the demo base: a few steps, two prompts, one process that keeps the models."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from trainers.contract import events, interruption, job, paths
from trainers.lora import sections

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DATASET = CHECKOUT / "examples" / "quickstart" / "dataset"
PARAMS = {
    "learning_rate": 2e-3,
    "network_dim": 4,
    "network_alpha": 2.0,
    "max_train_steps": 6,
    "train_batch_size": 2,
    "caption_dropout": 0.1,
}


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make_job(tmp_path: pathlib.Path, cache_folder: pathlib.Path) -> Callable[..., job.TrainJob]:
    """Builds a one-trial job; keyword arguments replace fields, `params` and `evaluation` are merged."""

    def make(
        params: dict[str, Any] | None = None,
        evaluation: dict[str, Any] | None = None,
        name: str = "trial",
        drop: tuple[str, ...] = (),
        **fields: Any,
    ) -> job.TrainJob:
        chosen = {key: value for key, value in {**PARAMS, **(params or {})}.items() if key not in drop}
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        spec = job.TrialSpec(number=3, params=chosen, seed=7, directory=str(directory / "trial"))
        shown = {
            "prompts": ("a zorbit monster on a blue background", "a zorbit monster on a red background"),
            "seeds": (1,),
            "steps": 2,
            "guidance_scale": 4.0,
            **(evaluation or {}),
        }
        defaults: dict[str, Any] = {
            "trainer": "diffusion-lora",
            "study": "test",
            "base": "demo",
            "dataset": sections.Dataset(path=str(DATASET)),
            "evaluation": sections.Evaluation(**shown),
            "trials": (spec,),
            "directory": str(directory),
            "cache": str(cache_folder),
            "report_every_steps": 1,
        }
        return job.TrainJob(**{**defaults, **fields})

    return make


@dataclasses.dataclass(frozen=True)
class Told:
    """What a job told, by event."""

    events: tuple[events.Event, ...]

    def all(self, name: str) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.events if event.event == name]

    def one(self, name: str) -> dict[str, Any]:
        (only,) = self.all(name)
        return only


@pytest.fixture(scope="session")
def kept() -> Any:
    import torch

    from trainers.recipes import kept as kept_models

    torch.set_num_threads(1)  # small tensors on shared cores: a second thread mostly waits for the first
    return kept_models.Kept()


@pytest.fixture
def run(kept: Any) -> Callable[..., Told]:
    """Runs a job in this process and returns what it told."""

    def run_job(train_job: job.TrainJob, asked: interruption.Interruption | None = None) -> Told:
        from trainers.recipes import diffusion_lora, orders

        file = paths.JobPaths(pathlib.Path(train_job.directory)).events
        _, offset = events.read(file)
        reporter = events.Reporter(file)
        try:
            order = orders.Order(train_job, reporter, asked or interruption.Interruption(), kept)
            diffusion_lora.run(order)
        finally:
            reporter.close()
        told, _ = events.read(file, offset)
        return Told(tuple(told))

    return run_job


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A random-weight SDXL pipeline with every part of the real one, in diffusers' folder layout."""
    import torch
    import transformers
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
        norm_num_groups=16,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        sample_size=16,
    )
    text = transformers.CLIPTextConfig(
        bos_token_id=719,
        eos_token_id=720,
        pad_token_id=720,
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=3,
        vocab_size=721,
        max_position_embeddings=24,
        projection_dim=32,
    )
    tokenizer = transformers.CLIPTokenizer.from_pretrained(CHECKOUT / "examples" / "demo" / "base" / "tokenizer")
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(text),
        text_encoder_2=transformers.CLIPTextModelWithProjection(text),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    )
    folder = tmp_path_factory.mktemp("sdxl")
    pipeline.save_pretrained(folder)
    return folder
