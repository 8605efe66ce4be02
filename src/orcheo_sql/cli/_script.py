"""Migrations as a script that a database administrator can run by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql._errors import ConfigError
from orcheo_sql._migrate import BOOKKEEPING, LOCK_KEY, TABLE, load_migrations

if TYPE_CHECKING:
    from orcheo_sql._migrate import Migration
    from orcheo_sql.codecs.rows import Dialect

_RUN_WITH = {
    "sqlite": 'sqlite3 -bail "$HOME/.orcheo/orcheo.sqlite" < FILE',
    "postgres": 'psql -v ON_ERROR_STOP=1 "$ORCHEO_POSTGRES_DSN" -f FILE',
}
_BEGIN = {
    "sqlite": "BEGIN IMMEDIATE;",
    # The lock is the one that every orcheo-sql takes before it migrates.
    "postgres": f"BEGIN;\nSELECT pg_advisory_xact_lock({LOCK_KEY});",
}
_NOW = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
    "postgres": """to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
}


def script(dialect: Dialect, first: int) -> str:
    """Return what `migrate up` runs from a number on: each migration and its record in one transaction."""
    migrations = load_migrations(dialect)
    if first > len(migrations) + 1:
        raise ConfigError(f"--from {first}: the last migration is {len(migrations):04d}")
    if first > len(migrations):
        return f"-- Up to date: nothing after {len(migrations):04d} ({dialect}).\n"
    head = f"-- Run with: {_RUN_WITH[dialect]}\n"
    return head + "".join(_transaction(dialect, m) for m in migrations[first - 1 :])


def _transaction(dialect: Dialect, migration: Migration) -> str:
    bookkeeping = f"{BOOKKEEPING[dialect]};\n" if migration.version == 1 else ""
    return (
        f"\n-- {migration.version:04d}_{migration.name}\n{_BEGIN[dialect]}\n{bookkeeping}"
        f"{migration.sql.rstrip()}\n"
        f"INSERT INTO {TABLE} (version, name, checksum, applied_at)\n"
        f"VALUES ({migration.version}, '{migration.name}', '{migration.checksum}', {_NOW[dialect]});\n"
        "COMMIT;\n"
    )
