"""Results and refusals keep every rule version that was in force, not one of several."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLE = """
ALTER TABLE tuneguard_data.{table} ADD COLUMN rule_version_ids bigint[] NOT NULL DEFAULT '{{}}';
UPDATE tuneguard_data.{table} SET rule_version_ids = ARRAY[rule_version_id] WHERE rule_version_id IS NOT NULL;
ALTER TABLE tuneguard_data.{table} DROP COLUMN rule_version_id;
"""


def upgrade() -> None:
    for table in ("results", "refusals"):
        op.execute(_TABLE.format(table=table))
