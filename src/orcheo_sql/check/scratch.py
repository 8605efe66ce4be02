"""Scratch databases for the checks: migrated and filled from a tree's own files, never a user's database."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg

from orcheo_sql._errors import OrcheoSqlError
from orcheo_sql._migrate import load_migrations, numbered_statements

from .findings import Finding, of_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orcheo_sql.codecs.rows import Dialect

PostgresConnection = psycopg.Connection[Any]


class BuildError(OrcheoSqlError):
    """A file of the tree can't be run; `finding` says which and why."""

    def __init__(self, finding: Finding):
        super().__init__(str(finding))
        self.finding = finding


@contextmanager
def sqlite_scratch(root: Path, *, seeded: bool = True) -> Iterator[sqlite3.Connection]:
    """Open a SQLite database in a temporary folder, migrated and, unless `seeded` is off, filled.

    Raises:
        BuildError: a migration or a seed file fails.
    """
    from orcheo_sql.engines.sqlite_connection import register_functions

    with tempfile.TemporaryDirectory(prefix="orcheo-sql-check-") as folder:
        raw = sqlite3.connect(Path(folder) / "scratch.sqlite", isolation_level=None)
        try:
            raw.execute("PRAGMA synchronous = OFF")
            raw.execute("PRAGMA journal_mode = MEMORY")
            raw.execute("PRAGMA foreign_keys = ON")
            register_functions(raw)
            raw.execute("BEGIN")
            build(root, "sqlite", lambda sql: raw.execute(sql), seeded=seeded)
            raw.execute("COMMIT")
            yield raw
        finally:
            raw.close()


@contextmanager
def postgres_scratch(
    root: Path, dsn: str | None = None, *, seeded: bool = True
) -> Iterator[PostgresConnection]:
    """Open a PostgreSQL database of our own, on a given server or one started for it, and drop it afterwards.

    Raises:
        BuildError: a migration or a seed file fails.
        ConfigError: there is no server, or it can't be used.
    """
    from .scratch_postgres import ScratchPostgres

    with ScratchPostgres(dsn) as server:
        own = server.create_database()
        try:
            with connect(own) as connection:
                # VACUUM marks pages as visible to all, which plans depend on, only when their commit is on disk.
                connection.execute("SET synchronous_commit = on")
                with connection.transaction():
                    build(root, "postgres", _runner(connection), seeded=seeded)
                if seeded:
                    # So many that ANALYZE looks at every row: what it says is then the same each time.
                    connection.execute("SET default_statistics_target = 1000")
                    connection.execute("VACUUM (ANALYZE)")
                yield connection
        finally:
            server.drop_database(own)


def connect(dsn: str) -> PostgresConnection:
    """Connect as the library does: same codecs, parameters as ``$1``."""
    from orcheo_sql.engines.postgres_connection import adapt

    connection = psycopg.connect(dsn, autocommit=True)
    adapt(cast("Any", connection))
    connection.cursor_factory = psycopg.RawCursor
    connection.execute("SET statement_timeout = '60s'")
    return connection


def _runner(connection: PostgresConnection) -> Callable[[str], Any]:
    def run(sql: str) -> Any:
        return connection.execute(sql.encode(), prepare=False)

    return run


def build(root: Path, dialect: Dialect, run: Callable[[str], Any], *, seeded: bool) -> None:
    """Apply the migrations of a tree and, if wanted, its seeds."""
    try:
        migrations = load_migrations(dialect, root)
    except OrcheoSqlError as error:
        raise BuildError(of_error(error, otherwise=root / dialect / "migrations")) from error
    paths = [m.path for m in migrations]
    for path in [*paths, *(seed_files(root, dialect) if seeded else ())]:
        _run_file(path, run)


def seed_files(root: Path, dialect: Dialect) -> list[Path]:
    """Return the seed files of a tree: one per folder of queries."""
    return sorted((root / dialect / "seeds").glob("*.sql"))


def _run_file(path: Path, run: Callable[[str], Any]) -> None:
    for line, statement in numbered_statements(path.read_text(encoding="utf-8")):
        try:
            run(statement)
        except (sqlite3.Error, psycopg.Error) as error:
            offset = _offset(error)
            shift = statement.lstrip().count("\n", 0, offset) if offset else 0
            raise BuildError(
                Finding(path, line + max(shift - _comment_lines(statement), 0), one_line(error))
            ) from error


def _comment_lines(statement: str) -> int:
    """Count the comment and blank lines that a statement begins with."""
    return len((re.match(r"(?:\s*--[^\n]*\n|\s*\n)*", statement.lstrip()) or [""])[0].splitlines())


def _offset(error: BaseException) -> int:
    position = error.diag.statement_position if isinstance(error, psycopg.Error) else None
    return int(position) - 1 if position else 0


def one_line(error: BaseException) -> str:
    """Return what a driver says, without its picture of the statement."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
