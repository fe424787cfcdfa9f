"""A study's files lie in a folder of its own, and it is linked to its Optuna study by id and mark, not by name.

Studies from before keep their folders. Optuna's tables are made after ours, so a new database has none of them yet.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE tuneguard_data.studies ADD COLUMN folder text;
UPDATE tuneguard_data.studies SET folder = name;
ALTER TABLE tuneguard_data.studies ALTER COLUMN folder SET NOT NULL;

ALTER TABLE tuneguard_data.studies ADD COLUMN optuna_id integer;
DO $$
BEGIN
    IF to_regclass('studies') IS NOT NULL THEN
        UPDATE tuneguard_data.studies AS ours SET optuna_id = study_id FROM studies WHERE study_name = ours.name;
        INSERT INTO study_user_attributes (study_id, key, value_json)
            SELECT optuna_id, 'tuneguard_study', to_json(CAST(id AS text))::text FROM tuneguard_data.studies
            WHERE optuna_id IS NOT NULL;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
