"""The tables of the schema `tuneguard_data`, which lies beside Optuna's tables in the same database.

A trial is named by (study id, number): both are given once and never again. Optuna is the truth for a trial's
parameters, values and state; nothing of that is repeated here. All times are the database's clock.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

#: not `tuneguard`: Postgres looks into a schema named like the role first, `tuneguard` is a likely role, and Optuna's
#: own table `studies` would be mistaken for ours
SCHEMA = "tuneguard_data"

metadata = sa.MetaData(schema=SCHEMA)

_NOW = sa.text("clock_timestamp()")
_TIME = sa.DateTime(timezone=True)


def _study_id() -> sa.Column[str]:
    return sa.Column(
        "study_id", sa.Uuid(as_uuid=False), sa.ForeignKey(f"{SCHEMA}.studies.id", ondelete="CASCADE"), nullable=False
    )


def _rule_versions() -> sa.Column[object]:
    """Ids of rows of `rule_versions`, which never go away."""
    return sa.Column(
        "rule_version_ids", pg.ARRAY(sa.BigInteger), nullable=False, server_default=sa.text("'{}'::bigint[]")
    )


def _names(name: str) -> sa.Column[object]:
    return sa.Column(name, pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'::text[]"))


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, pg.JSONB(none_as_null=True), nullable=False, server_default=sa.text("'{}'::jsonb"))


#: one row a study; `name` is the Optuna study's name as it was last seen, `optuna_id` its id there, `folder` where its
#: files lie below the runs, `document` the resolved study file, `facts` what was measured once for all trials
studies = sa.Table(
    "studies",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("optuna_id", sa.Integer, nullable=True),
    sa.Column("document", sa.Text, nullable=False),
    _json("facts"),
    sa.Column("joined", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
)

#: every text that a rule set ever had; a trigger keeps rows from being changed or deleted
rule_versions = sa.Table(
    "rule_versions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("set_name", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    sa.UniqueConstraint("set_name", "number", name="uq_rule_versions_set_name_number"),
)

#: every point that rules kept from being trained
refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _study_id(),
    _rule_versions(),
    _json("params"),
    sa.Column("refused_by", pg.ARRAY(sa.Text), nullable=False),
    _json("violations"),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("refused_at", _TIME, nullable=False, server_default=_NOW),
    sa.CheckConstraint("origin IN ('sampled', 'enqueued')", name="ck_refusals_origin"),
    sa.Index("ix_refusals_study_id_id", "study_id", "id"),
)

#: who may run and tell a trial; a released lease keeps its row, so that tokens only grow
leases = sa.Table(
    "leases",
    metadata,
    _study_id(),
    sa.Column("trial_number", sa.Integer, nullable=False),
    sa.Column("worker_id", sa.Text, nullable=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires_at", _TIME, nullable=False),
    sa.PrimaryKeyConstraint("study_id", "trial_number"),
)

#: every attempt at training a trial
attempts = sa.Table(
    "attempts",
    metadata,
    _study_id(),
    sa.Column("trial_number", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("worker_id", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("started_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("finished_at", _TIME, nullable=True),
    sa.Column("exit_code", sa.Integer, nullable=True),
    sa.Column("ending", sa.Text, nullable=True),
    sa.Column("failure_kind", sa.Text, nullable=True),
    sa.Column("step", sa.Integer, nullable=True),
    _json("seconds"),
    sa.Column("message", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.PrimaryKeyConstraint("study_id", "trial_number", "attempt"),
)

#: the processes that train, and the versions that they train with; one that has gone away without a word stops beating
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    _json("environment"),
    sa.Column("started_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("heartbeat_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("left_at", _TIME, nullable=True),
)

#: what a trial measured and how that was judged, by the rule version of the time
results = sa.Table(
    "results",
    metadata,
    _study_id(),
    sa.Column("trial_number", sa.Integer, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    _rule_versions(),
    sa.Column("ending", sa.Text, nullable=False),
    _json("metrics"),
    sa.Column("images", pg.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
    sa.Column("failure", pg.JSONB(none_as_null=True), nullable=True),
    sa.Column("lora_path", sa.Text, nullable=True),
    sa.Column("lora_sha256", sa.String(64), nullable=True),
    sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
    sa.PrimaryKeyConstraint("study_id", "trial_number"),
)

#: why a trial may train: what the rules in force said of it each time that it was looked at; rows are only added
judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _study_id(),
    sa.Column("trial_number", sa.Integer, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("worker_id", sa.Text, nullable=False),
    _rule_versions(),
    _names("refused_by"),
    _names("discouraged_by"),
    sa.Column("weight", sa.Double, nullable=False),
    _json("margins"),
    _json("undecided"),
    _json("facts"),
    sa.Column("judged_at", _TIME, nullable=False, server_default=_NOW),
    sa.CheckConstraint("origin IN ('sampled', 'enqueued', 'repeat', 'taken-up')", name="ck_judgements_origin"),
    sa.Index("ix_judgements_study_id_trial_number_id", "study_id", "trial_number", "id"),
)

#: what an attempt does now: the latest of each signal, and how some of them went
signals = sa.Table(
    "signals",
    metadata,
    _study_id(),
    sa.Column("trial_number", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("step", sa.Integer, nullable=True),
    sa.Column("total_steps", sa.Integer, nullable=True),
    sa.Column("seconds_left", sa.Double, nullable=True),
    _json("latest"),
    _json("curve"),
    sa.Column("told_at", _TIME, nullable=False, server_default=_NOW),
    sa.PrimaryKeyConstraint("study_id", "trial_number", "attempt"),
)

#: what people ask of running work: of the study where `trial_number` is empty; rows stay, as the record of who did what
wishes = sa.Table(
    "wishes",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _study_id(),
    sa.Column("trial_number", sa.Integer, nullable=True),
    sa.Column("asks", sa.Text, nullable=False),
    _json("details"),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("asked_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("heard_by", sa.Text, nullable=True),
    sa.Column("heard_under", sa.BigInteger, nullable=True),
    sa.Column("heard_at", _TIME, nullable=True),
    sa.Column("answer", sa.Text, nullable=True),
    sa.Column("said", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("answered_at", _TIME, nullable=True),
    sa.CheckConstraint(
        "asks IN ('pause', 'resume') OR asks IN ('finish', 'change') AND trial_number IS NULL "
        "OR asks IN ('stop', 'requeue') AND trial_number IS NOT NULL",
        name="ck_wishes_asks",
    ),
    sa.CheckConstraint("answer IN ('done', 'declined', 'overtaken')", name="ck_wishes_answer"),
    sa.Index("ix_wishes_study_id_id", "study_id", "id"),
)
