"""Which recipients already have a message that its client was told to send again."""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delivered",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("delivered_at", "delivered", ["at"])


def downgrade() -> None:
    op.drop_table("delivered")
