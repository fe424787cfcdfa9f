"""What noise a base model was trained with, as its scheduler's configuration says. Torch-free."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Noise:
    """A training schedule in the words of diffusers; where a configuration leaves a field out, these are meant.

    `prediction_type` is what the model predicts (epsilon, v_prediction or sample). With `rescale_betas_zero_snr` the
    last timestep is noise alone (Lin et al. 2023, arXiv 2305.08891).
    """

    prediction_type: str = "epsilon"
    rescale_betas_zero_snr: bool = False
    beta_schedule: str = "linear"
    beta_start: float = 0.0001
    beta_end: float = 0.02
    num_train_timesteps: int = 1000

    @property
    def betas(self) -> tuple[str, float, float, int]:
        """The schedule before any rescaling."""
        return self.beta_schedule, self.beta_start, self.beta_end, self.num_train_timesteps


#: what Stable Diffusion and SDXL were trained with; a single checkpoint file is read as trained with it
STABLE_DIFFUSION = Noise(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)


def of(config: Mapping[str, Any]) -> Noise:
    """The noise that a scheduler's configuration names."""
    known = {field.name for field in dataclasses.fields(Noise)}
    return Noise(**{name: value for name, value in config.items() if name in known})


def read(folder: pathlib.Path) -> Noise:
    """The noise of a base in diffusers' folder layout.

    Raises:
        OSError, ValueError: the folder holds no scheduler's configuration, or none that can be read.
    """
    return of(json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8")))
