"""A database and a study to search in: the source experiment's space under its rules, without any training."""

import pathlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import optuna
import sqlalchemy as sa
from psycopg2 import extras

from optimizer import opening, remembered, settings, wiring
from optimizer.designs import judgement
from optimizer.designs.search import search as searches
from optimizer.forecast import situation as situations
from optimizer.rules import compiled
from optimizer.running import launch, worker
from optimizer.study import resolved as studies
from optimizer.study import space
from storage.server import embedded
from trainers.data import showings

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

#: nine parameters and seven hard rules of the source experiment; nothing is trained, so the data set may be any
STUDY = f"""\
study_version: 1
name: {{name}}
base: demo
dataset: {CHECKOUT / "examples" / "quickstart" / "dataset"}
space:
  learning_rate:       {{{{float: [6.0e-5, 1.2e-4], log: true}}}}
  text_encoder_lr:     {{{{float: [3.0e-5, 8.0e-5], log: true}}}}
  network_dim:         {{{{choices: [64, 128, 256]}}}}
  network_alpha_ratio: {{{{float: [0.25, 0.9], step: 0.05}}}}
  max_train_epochs:    {{{{choices: [12, 16, 20]}}}}
  optimizer_type:      {{{{choices: [AdamW, AdamW8bit, Prodigy]}}}}
  lr_scheduler:        {{{{choices: [cosine, cosine_with_restarts, polynomial]}}}}
  lr_warmup_steps:     {{{{choices: [50, 100, 150, 200]}}}}
  gradient_accumulation_steps: {{{{choices: [1, 2, 4]}}}}
rules: [lora-v2.1]
objectives: {{{{clip_score: maximize, failure_rate: minimize}}}}
search: {{{{sampler: tpe, trials: 1000000, seed: {{seed}}}}}}
evaluation: {{{{prompts: [a prompt]}}}}
"""


@contextmanager
def services() -> Iterator[opening.Services]:
    """An embedded Postgres of its own, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        try:
            yield open_services(home)
        finally:
            embedded.stop(home)


def open_services(home: pathlib.Path) -> opening.Services:
    return opening.services(settings.read({"TUNEGUARD_HOME": str(home)}))


def study(name: str, seed: int = 1) -> studies.Study:
    return studies.parse(STUDY.format(name=name, seed=seed), name)


def open_worker(opened: opening.Services, spec: studies.Study) -> worker.Worker:
    return wiring.open_worker(opened, spec, launch.Device(None, 1))


def search(spec: studies.Study) -> searches.Search:
    """A search without a database, over sixteen pictures of one size."""
    shown = showings.Showings(16, ((64, 64, 16),))
    situation = situations.Situation(situations.Gpu(0, None), remembered.step_counter(spec, shown))
    return searches.once(judgement.Admission(spec, compiled.of_files(spec), situation), 0)


def load_history(opened: opening.Services, optuna_study: optuna.Study, spec: studies.Study, trials: int) -> None:
    """Write finished trials in bulk, as no product code does; their points are accepted by the rules."""
    chance = np.random.default_rng(trials)
    there = search(spec).feasible.reservoir
    forms = {name: space.distribution(domain) for name, domain in spec.space.items()}
    with opened.database.transaction() as connection:
        study_id = connection.execute(
            sa.text("SELECT study_id FROM studies WHERE study_name = :name"), {"name": optuna_study.study_name}
        ).scalar_one()
        rows = connection.execute(
            sa.text(
                "INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete) "
                "SELECT :study, number, 'COMPLETE', now(), now() FROM generate_series(0, :last) AS number "
                "RETURNING trial_id"
            ),
            {"study": study_id, "last": trials - 1},
        )
        numbers = list(rows.scalars())
        parameters, values, attributes = [], [], []
        for number in numbers:
            for name, value in (there.take(None, lambda _: False) or {}).items():
                form = forms[name]
                parameters.append(
                    (number, name, form.to_internal_repr(value), optuna.distributions.distribution_to_json(form))
                )
            values += [(number, objective, float(chance.random()), "FINITE") for objective in range(2)]
            attributes.append((number, "constraints:training", "0.0"))
        cursor = connection.connection.cursor()
        for table, columns, data in (
            ("trial_params", "trial_id, param_name, param_value, distribution_json", parameters),
            ("trial_values", "trial_id, objective, value, value_type", values),
            ("trial_system_attributes", "trial_id, key, value_json", attributes),
        ):
            extras.execute_values(cursor, f"INSERT INTO {table} ({columns}) VALUES %s", data, page_size=5000)
    with opened.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))
