"""One word, one thing: attempts, the device that they trained on, their ending; where a refused point came from."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE tuneguard_data.runs RENAME TO attempts;
ALTER TABLE tuneguard_data.attempts RENAME CONSTRAINT runs_pkey TO attempts_pkey;
ALTER TABLE tuneguard_data.attempts RENAME CONSTRAINT runs_study_id_fkey TO attempts_study_id_fkey;
ALTER TABLE tuneguard_data.attempts RENAME COLUMN gpu TO device;
ALTER TABLE tuneguard_data.attempts RENAME COLUMN outcome TO ending;
ALTER TABLE tuneguard_data.workers RENAME COLUMN gpu TO device;
ALTER TABLE tuneguard_data.results RENAME COLUMN outcome TO ending;
ALTER TABLE tuneguard_data.refusals RENAME COLUMN source TO origin;
ALTER TABLE tuneguard_data.refusals RENAME CONSTRAINT ck_refusals_source TO ck_refusals_origin;
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
