"""Facts of a study are those of a record, workers keep their versions, refusals only what is read of them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE tuneguard_data.studies ADD COLUMN joined integer NOT NULL DEFAULT 0;
UPDATE tuneguard_data.studies SET joined = coalesce((facts ->> 'joined')::integer, 0);
UPDATE tuneguard_data.studies SET facts = coalesce((
    SELECT jsonb_object_agg(key, value) FROM jsonb_each(facts)
    WHERE key IN ('shown', 'dataset_hash', 'rule_sets', 'environment', 'baseline', 'warm_start')
), '{}');

ALTER TABLE tuneguard_data.workers ADD COLUMN environment jsonb NOT NULL DEFAULT '{}';

ALTER TABLE tuneguard_data.refusals DROP COLUMN trial_number;
ALTER TABLE tuneguard_data.refusals DROP CONSTRAINT ck_refusals_source;
ALTER TABLE tuneguard_data.refusals ADD CONSTRAINT ck_refusals_source CHECK (source IN ('sampled', 'enqueued'));
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
