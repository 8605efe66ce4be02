"""What tests of commands do to a database behind the library's back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from pathlib import Path


def run_sql(settings: dict[str, Any], script: str) -> None:
    """Run statements as a database administrator would."""
    if "postgres_dsn" in settings:
        with psycopg.connect(settings["postgres_dsn"], autocommit=True) as connection:
            connection.execute(script)
        return
    with closing(sqlite3.connect(settings["database_path"], isolation_level=None)) as raw:
        raw.executescript(script)


def tables(settings: dict[str, Any]) -> set[str]:
    """Return the names of the tables that are there."""
    if "postgres_dsn" in settings:
        with psycopg.connect(settings["postgres_dsn"]) as connection:
            rows = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            ).fetchall()
            return {name for (name,) in rows}
    path: Path = settings["database_path"]
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as raw:
        return {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}


# The older product kept each entity as one document.
FOREIGN = "CREATE TABLE workflows (id TEXT PRIMARY KEY, payload TEXT NOT NULL);"
NEWER = (
    "INSERT INTO orcheo_migrations (version, name, checksum, applied_at) "
    "VALUES (9999, 'from_tomorrow', 'x', '2026-01-01T00:00:00.000000Z');"
)
EDITED = "UPDATE orcheo_migrations SET checksum = 'edited' WHERE version = 1;"
