"""Runs the migrations on the connection, and in the transaction, that smtpgate/store/migrate.py opened."""

from alembic import context
from smtpgate.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot ALTER most things: such a change is a copy of the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
