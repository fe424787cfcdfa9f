"""A small real study: the demo base, few short trials, the whole path through the command line."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from tests import forked

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

STUDY = """\
study_version: 1
name: {name}
base: demo
dataset: {dataset}
space:
  learning_rate: {{float: [1.0e-3, 2.0e-2], log: true}}
  network_dim: {{choices: [4, 8]}}
  lr_scheduler: {{choices: [cosine, cosine_with_restarts]}}
  lr_scheduler_num_cycles: {{int: [1, 3], when: lr_scheduler == "cosine_with_restarts"}}
fixed: {{resolution: 64, train_batch_size: 4, max_train_epochs: {epochs}, network_alpha_ratio: 0.5}}
rules: [rules.yaml]
objectives: {{clip_score: maximize, failure_rate: minimize}}
search: {{sampler: tpe, trials: {trials}, seed: 3, refusals: {refusals}}}
launch: {{isolation: {isolation}}}
evaluation:
  prompts: [a zorbit monster on a blue background, a zorbit monster on a red background]
  seeds: [1, 2]
  steps: 4
  guidance_scale: 4.0
"""

RULES = """\
rules_version: 1
name: {name}-rules
rules:
  - id: high-rate
    refuse: learning_rate > 0.004
    because: The demo base diverges above it.
  - id: usable
    expect: failure_rate <= 0.5
    because: A LoRA that fails on most images is not usable.
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """A data folder with a running Postgres, and the command line in it."""

    home: pathlib.Path
    folder: pathlib.Path
    #: name of a study -> the test that has it
    owners: dict[str, str] = dataclasses.field(default_factory=dict)

    def own(self, name: str) -> pathlib.Path:
        """The folder of a test's study. All tests share one database, so a name is one test's alone."""
        test = os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]
        owner = self.owners.setdefault(name, test)
        assert owner == test, f"{test} would go on with the study {name!r} of {owner}; give it a name of its own"
        here = self.folder / name
        here.mkdir(exist_ok=True)
        return here

    def study(
        self,
        name: str,
        *,
        trials: int = 2,
        refusals: str = "resample",
        epochs: int = 2,
        isolation: str = "warm",
        dataset: pathlib.Path | None = None,
        rules: str = RULES,
    ) -> pathlib.Path:
        """Write a study file and its rules; returns the study file."""
        here = self.own(name)
        (here / "rules.yaml").write_text(rules.format(name=name), encoding="utf-8")
        path = here / "study.yaml"
        text = STUDY.format(
            name=name,
            trials=trials,
            refusals=refusals,
            epochs=epochs,
            isolation=isolation,
            dataset=dataset or CHECKOUT / "examples" / "quickstart" / "dataset",
        )
        path.write_text(text, encoding="utf-8")
        return path

    def runs(self, name: str) -> pathlib.Path:
        """The folder of a study's runs."""
        (found,) = (self.home / "runs").glob(f"{name}-????????")
        return found

    def environment(self, **changes: str) -> dict[str, str]:
        return {**os.environ, "TUNEGUARD_HOME": str(self.home), "OMP_NUM_THREADS": "1", "COLUMNS": "200", **changes}

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-c", "from optimizer.cli import main; main()", *map(str, words)]

    def start(self, *words: object, **changes: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
        """What a command gives that is waited for; `start` starts Python, too."""
        return forked.run([str(word) for word in words], self.environment(**changes))

    def json(self, *words: object) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
