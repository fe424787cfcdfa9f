"""What a report shows, as plain records, so that it can be drawn without a database."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution

from constraints.names import world as worlds
from optimizer.report import curves as told_curves
from optimizer.results import ledger, records


@dataclasses.dataclass(frozen=True)
class ShownPicture:
    """A validation picture. `content` is its file's bytes, None where the file is gone."""

    prompt: str
    seed: int
    held_out: bool = False
    clip_score: float | None = None
    failure: str | None = None
    content: bytes | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class LearntImage:
    """One of the images that the LoRAs are to learn."""

    name: str
    content: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """What the base does without any LoRA, with the same prompts and seeds."""

    metrics: Mapping[str, Any]
    pictures: Sequence[ShownPicture]


@dataclasses.dataclass(frozen=True)
class RefusingRule:
    """A rule, how many points it refused, and why it does."""

    id: str
    count: int
    because: str


@dataclasses.dataclass(frozen=True)
class RulesInForce:
    """The text of a rule file in force; `label` is its name and version."""

    label: str
    text: str


@dataclasses.dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    `objectives`: name -> maximize or minimize. `distributions` and `pictures`: trial number -> those of the trial.
    `refused_points` counts points; a point that several rules refused counts in each of `refusing_rules`.
    """

    name: str
    made_at: datetime.datetime
    objectives: Mapping[str, worlds.Direction]
    trials: Sequence[records.TrialRecord]
    distributions: Mapping[int, Mapping[str, BaseDistribution]]
    pictures: Mapping[int, Sequence[ShownPicture]]
    best: int | None
    baseline: Baseline | None
    refused_points: int
    refusing_rules: Sequence[RefusingRule]
    ledger: ledger.Ledger
    rule_texts: Sequence[RulesInForce]
    study_document: str
    environment: Mapping[str, str]
    #: the objective that trials are compared by while they run
    primary: str = ""
    #: what the newest trials told while they trained, by trial number
    curves: Mapping[int, told_curves.Curve] = dataclasses.field(default_factory=dict)
    #: the first of the training images, and how many there are in all
    training_images: Sequence[LearntImage] = ()
    training_count: int = 0
    #: trials whose pictures were not read, since they would not be shown
    unread_pictures: int = 0
