"""The tables. alembic/versions/ brings a database to this shape; a test holds the two against each other."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, Table, Text

metadata = MetaData()

# What greylisting remembers. Times are seconds since 1970. passes: above zero once the triplet was let in.
# expires: when the row is dead by the options of the rule that last touched it; only the deletion reads it.
greylist = Table(
    "greylist",
    metadata,
    Column("client", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("passes", Integer, nullable=False),
    Column("expires", Double, nullable=False),
    Index("greylist_expires", "expires"),
    sqlite_with_rowid=False,
)

# One transaction each. story: all of it, as JSON; the other columns are what is searched and counted.
# SQLite fills in an omitted key only if its type is exactly INTEGER.
record = Table(
    "record",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("ref", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("client", Text, nullable=False),
    Column("helo", Text),
    Column("sender", Text),
    Column("outcome", Text, nullable=False),
    Column("story", Text, nullable=False),
    Index("record_ref", "ref"),
    Index("record_at", "at"),
)

# Under which addresses a record is found: sender, recipients, the client's IP address; all lower case.
record_address = Table(
    "record_address",
    metadata,
    Column("record_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("address", Text, primary_key=True),
    Index("record_address_address", "address", "record_id"),
    sqlite_with_rowid=False,
)

# Which recipients already have a message that its client was told to send again.
# digest: of envelope sender and content.
delivered = Table(
    "delivered",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Index("delivered_at", "at"),
    sqlite_with_rowid=False,
)

# Access tables that are edited by command. key: lower case. result: as access(5) has it.
access_entry = Table(
    "access_entry",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("result", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What was found out about addresses by asking who takes their mail. kind: "sender", "recipient". reason: what was said.
# at, expires: seconds since 1970; the latter is read by the deletion only.
verified_address = Table(
    "verified_address",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("deliverable", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Index("verified_address_expires", "expires"),
    sqlite_with_rowid=False,
)
