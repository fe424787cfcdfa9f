"""How alembic runs our migrations: on the connection that `storage.migration` hands over, in our own schema."""

from alembic import context

from storage import migration, tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    **migration.OPTIONS,
)
with context.begin_transaction():
    context.run_migrations()
