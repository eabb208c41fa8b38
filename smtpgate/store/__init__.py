"""The database: tables, statements, the writer thread."""
