"""The greylist, and the records with the addresses under which they are found."""

import sqlalchemy as sa

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "greylist",
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("passes", sa.Integer, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("greylist_expires", "greylist", ["expires"])
    op.create_table(
        "record",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("helo", sa.Text),
        sa.Column("sender", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("story", sa.Text, nullable=False),
    )
    op.create_index("record_ref", "record", ["ref"])
    op.create_index("record_at", "record", ["at"])
    op.create_table(
        "record_address",
        sa.Column("record_id", _KEY, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("record_address_address", "record_address", ["address", "record_id"])


def downgrade() -> None:
    op.drop_table("record_address")
    op.drop_table("record")
    op.drop_table("greylist")
