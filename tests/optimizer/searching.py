"""Searches for tests: a study from its space and rules as text, without a database."""

import json
from collections.abc import Mapping
from typing import Any

import optuna

from constraints.rules import loading
from optimizer.designs import design, judgement
from optimizer.designs.search import search as searches
from optimizer.forecast import situation as situations
from optimizer.rules import compiled
from optimizer.study import resolved as studies
from optimizer.study import space
from trainers.data import buckets, counters, showings

#: a space as a study file writes it: scales, choices, steps, whole numbers, a condition
LORA = {
    "learning_rate": {"float": [1e-5, 1e-2], "log": True},
    "network_dim": {"choices": [4, 8, 16, 32, 64, 128]},
    "network_alpha": {"float": [1.0, 128.0]},
    "network_dropout": {"float": [0.0, 0.5], "step": 0.05},
    "max_train_epochs": {"int": [1, 50]},
    "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts", "polynomial"]},
    "lr_scheduler_num_cycles": {"int": [1, 4], "when": 'lr_scheduler == "cosine_with_restarts"'},
}


def situation(gpu: situations.Gpu | None = None, images: int = 20, **more: Any) -> situations.Situation:
    """What is known where a data set holds square images, each shown once an epoch."""
    shown = showings.Showings(images, ((64, 64, images),))
    return situations.Situation(
        gpu or situations.Gpu(0, None), counters.StepCounter(buckets.training_size, shown, 64), **more
    )


SITUATION = situation()


def study(parameters: Mapping[str, Any], **search: Any) -> studies.Study:
    """A study over parameters as a study file writes them."""
    document = {
        "study_version": 1,
        "name": "test",
        "base": "demo",
        "dataset": "/nowhere",
        "space": parameters,
        "objectives": search.pop("objectives", {"clip_score": "maximize"}),
        "search": search,
        "evaluation": {"prompts": ["a prompt"]},
    }
    return studies.parse(json.dumps(document), "test")


def rules(of: studies.Study, *rules_: Mapping[str, Any]) -> Any:
    """Rules over a study's space; each is a mapping as a rule file writes it, without id and reason."""
    written = [{"id": f"rule-{at}", "because": "a test", **rule} for at, rule in enumerate(rules_)]
    text = json.dumps({"rules_version": 1, "name": "test", "rules": written})
    return compiled.load(of, [loading.RuleText(text=text, name="test.yaml")])


def search(of: studies.Study, *rules_: Mapping[str, Any], seed: int = 1) -> searches.Search:
    return searches.once(judgement.Admission(of, rules(of, *rules_), SITUATION), seed)


def drawn(of: design.Design) -> design.Proposal:
    """What a design proposes that has something left."""
    proposal = of.next()
    assert isinstance(proposal, design.Proposal)
    return proposal


class Trials:
    """The trials of a search, as Optuna would hand them back."""

    def __init__(self, of: searches.Search) -> None:
        self._search = of
        self.trials: list[optuna.trial.FrozenTrial] = []

    def add(
        self,
        params: Mapping[str, Any],
        values: list[float] | None,
        notes: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> optuna.trial.FrozenTrial:
        """A trial that ended: COMPLETE with values, PRUNED without."""
        state = optuna.trial.TrialState.PRUNED if values is None else optuna.trial.TrialState.COMPLETE
        domains = self._search.admission.study.space
        trial = optuna.trial.create_trial(
            state=more.pop("state", state),
            values=values,
            params=dict(params),
            distributions={name: space.distribution(domains[name]) for name in params},
            system_attrs=dict(notes or {}),
            **more,
        )
        trial.number = len(self.trials)
        self.trials.append(trial)
        return trial

    def look(self) -> None:
        self._search.learn(self.trials)
