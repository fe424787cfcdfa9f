"""A study's files lie in a folder of its own; studies from before keep theirs."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE tuneguard_data.studies ADD COLUMN folder text;
UPDATE tuneguard_data.studies SET folder = name;
ALTER TABLE tuneguard_data.studies ALTER COLUMN folder SET NOT NULL;
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
