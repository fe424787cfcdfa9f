"""What a warm process keeps between jobs: base model and scorers, as long as the jobs ask for the same ones."""

import dataclasses
import pathlib

import torch

from trainers.bases import models
from trainers.lora import sections
from trainers.pictures.scoring import scorers


@dataclasses.dataclass
class Kept:
    """Loaded models with what they were asked for by."""

    _base: models.Base | None = None
    _base_key: tuple[str, str] | None = None
    _scorer: scorers.Scorers | None = None
    _scorer_key: str | None = None

    def base(self, source: str, precision: str, device: torch.device, cache: pathlib.Path) -> models.Base:
        """The base model, loaded if the last job had another; see `models.load`."""
        wanted = (source, precision)
        if self._base is None or self._base_key != wanted:
            self._base = None  # two bases need not fit into the device's memory
            self._base = models.load(source, precision, device, cache)
            self._base_key = wanted
        return self._base

    def scorer(self, wanted: sections.Evaluation, device: torch.device, cache: pathlib.Path) -> scorers.Scorers:
        """The scorers, loaded if the last job had others or their files have changed; see `scorers.load`."""
        version = scorers.version(wanted, cache)
        if self._scorer is None or self._scorer_key != version:
            self._scorer = scorers.load(wanted, device, cache)
            self._scorer_key = version
        return self._scorer
