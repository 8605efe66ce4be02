"""What operators meet when something around the database is wrong: each is said clearly, and shows no secret."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import time
import traceback
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.fixtures.databases import postgres_settings

from orcheo_sql import (
    ConfigError,
    ConnectionLostError,
    Database,
    DatabaseBusyError,
    PendingMigrationsError,
    PoolTimeoutError,
    QueryError,
    Subsystem,
    postgres_connection,
    sqlite_connection,
)
from orcheo_sql.engines.postgres_errors import Reasons

if TYPE_CHECKING:
    from orcheo_sql.check.scratch_postgres import ScratchPostgres

SOURCES = Path(__file__).parents[2] / "src"
FORGETFUL = """
import asyncio, os
from orcheo_sql import Database

async def main():
    db = Database()
    await db.open()
    await db.workflows.list_workflows()
    raise RuntimeError("forgot to close")

asyncio.run(main())
"""
# Ends while the pool is making a connection to a server that does not answer any more.
INTERRUPTED = """
import asyncio
from orcheo_sql import Database
from orcheo_sql.engines.postgres_connection import Gate

async def work(db):
    async with db.transaction() as unit:
        await unit.workflows.list_workflows()
        await asyncio.sleep(60)

async def hang(*_):
    await asyncio.sleep(3600)

async def main():
    db = Database()
    await db.open()
    Gate._connect = hang
    for _ in range(20):
        asyncio.create_task(work(db))
    await asyncio.sleep(1)
    raise RuntimeError("forgot to close")

asyncio.run(main())
"""


def postgres(server: ScratchPostgres, **more: Any) -> dict[str, Any]:
    return {**postgres_settings(server.create_database()), **more}


def test_a_program_that_does_not_close_ends(settings_of: dict[str, Any]) -> None:
    ends(FORGETFUL, settings_of)


def test_a_program_that_ends_while_the_pool_connects_ends(postgres_server: ScratchPostgres) -> None:
    ends(INTERRUPTED, postgres(postgres_server))


def ends(program: str, settings_of: dict[str, Any]) -> None:
    variables = {f"ORCHEO_{name.upper()}": str(value) for name, value in settings_of.items()}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "forgot to close" in done.stderr
    assert "error connecting" not in done.stderr


async def test_a_cancelled_attempt_to_connect_is_over(dead_server: str) -> None:
    """psycopg reports a cancelled attempt as a failed one, which must not be tried again."""
    db = Database(repository_backend="postgres", postgres_dsn=dead_server)
    opening = asyncio.create_task(db.open())
    await asyncio.sleep(0.2)
    opening.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await opening


@pytest.fixture
def dead_server() -> str:
    return "postgresql://ada:hunter2@127.0.0.1:9/orcheo"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://app:hunter2%zz@localhost:5611/app",
        "postgresql://app:hunter2@x@localhost/app",
        "host=localhost pasword=hunter2",
        "hunter2",
    ],
)
async def test_no_dsn_shows_its_password(postgres_server: ScratchPostgres, dsn: str) -> None:
    async def migrate() -> None:
        settings = postgres(postgres_server, postgres_migration_dsn=dsn)
        async with Database(**settings):
            pass

    async def connect() -> None:
        async with postgres_connection(dsn):
            pass

    for work in (migrate, connect):
        with pytest.raises(ConfigError) as caught:
            await work()
        shown = "".join(traceback.format_exception(caught.value))
        assert "hunter2" not in shown.replace(repr(dsn), "")


async def test_migrations_wait_for_their_server_as_long_as_all_else(
    postgres_server: ScratchPostgres, dead_server: str
) -> None:
    settings = postgres(
        postgres_server, postgres_migration_dsn=dead_server, postgres_connect_timeout_seconds=0.5
    )
    begun = time.monotonic()
    with pytest.raises(ConnectionLostError, match="connect"):
        await Database(**settings).open()
    assert time.monotonic() - begun < 10


async def test_a_wrong_password_is_called_that_even_if_it_is_the_name(
    postgres_server: ScratchPostgres,
) -> None:
    error = psycopg.OperationalError('FATAL: password authentication failed for user "app"')
    reasons = Reasons("postgresql://app:app@localhost/app", "there")
    assert "password authentication failed" in str(reasons.refusal(error))
    other = Reasons("postgresql://app:hunter2@localhost/app", "there")
    assert "hunter2" not in other.of(psycopg.OperationalError("host hunter2 not found"))


def test_reasons_can_be_shown_whatever_the_dsn() -> None:
    made = Reasons.__new__(Reasons)
    with pytest.raises(ConfigError):
        made.__init__("postgresql://%zz@", "there")  # type: ignore[misc]
    assert repr(made) == "<Reasons there>"


@pytest.mark.parametrize("parameters", ["sslmode=nonsense", "service=none", "connect_timeout=soon"])
async def test_what_will_not_change_is_not_waited_for(
    postgres_server: ScratchPostgres, parameters: str
) -> None:
    dsn = f"{postgres_server.create_database()}?{parameters}"
    begun = time.monotonic()
    with pytest.raises(ConfigError):
        await Database(repository_backend="postgres", postgres_dsn=dsn).open()
    assert time.monotonic() - begun < 10


async def test_the_application_name_of_the_dsn_counts(postgres_server: ScratchPostgres) -> None:
    settings = postgres(postgres_server)
    settings["postgres_dsn"] += "?application_name=billing"
    async with Database(**settings) as db:
        with psycopg.connect(settings["postgres_dsn"].partition("?")[0], autocommit=True) as raw:
            names = raw.execute(
                "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchall()
        assert ("billing",) in names
        assert ("orcheo-sql",) not in names
        await db.health()


async def test_verifying_creates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "new.sqlite"
    with pytest.raises(PendingMigrationsError, match="migrate up"):
        await Database(database_path=path, auto_migrate=False).open()
    assert not path.parent.exists()


async def test_a_file_with_other_tables_has_wal_from_the_first_opening_on(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE theirs (id INTEGER)")
    async with Database(database_path=path) as db:
        [health] = await db.health()
        assert not [warning for warning in health.warnings if "journal mode" in warning]
        await db.workflows.list_workflows()


async def test_own_connections_are_like_those_of_the_library(
    tmp_path: Path, postgres_server: ScratchPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with sqlite_connection("~/mine.sqlite") as connection:
        await connection.execute("SELECT 1")
    assert stat.S_IMODE((tmp_path / "mine.sqlite").stat().st_mode) == 0o600
    dsn = postgres_server.create_database()
    with psycopg.connect(dsn, autocommit=True) as raw:
        name = raw.info.dbname
        raw.execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Kolkata'")
    async with postgres_connection(dsn) as mine:
        row = await (await mine.execute("SELECT now()")).fetchone()
        assert row is not None
        assert row[0].utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("sqlite/queries/workflows/mine.sql", "", "no query"),
        ("sqlite/queries/workflows/mine.sql", "-- only a comment\n", "no query"),
        ("workflows/mine.sql", "-- name: x\nSELECT 1;\n", "<dialect>/queries/<folder>"),
        ("queries/workflows/mine.sql", "-- name: x\nSELECT 1;\n", "<dialect>/queries/<folder>"),
        ("sqlite/mine.sql", "-- name: x\nSELECT 1;\n", "<dialect>/queries/<folder>"),
    ],
)
async def test_overrides_that_can_not_be_are_refused(
    tmp_path: Path, path: str, content: str, message: str
) -> None:
    folder = tmp_path / "overrides"
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_text(content)
    with pytest.raises(QueryError, match=message) as caught:
        await Database(database_path=tmp_path / "x.sqlite", sql_override_dir=folder).open()
    assert path in str(caught.value)


async def test_the_pool_counts_its_timeouts(settings_of: dict[str, Any], dialect: str) -> None:
    limits: dict[str, Any] = (
        {"sqlite_busy_timeout_seconds": 0.2}
        if dialect == "sqlite"
        else {"postgres_pool_max_size": 1, "postgres_pool_timeout": 0.2}
    )

    async def hold() -> None:
        async with db.transaction() as unit:
            await unit.workflows.reset()
            await asyncio.sleep(1)

    async with Database(**settings_of, **limits) as db:
        holder = asyncio.create_task(hold())
        await asyncio.sleep(0.2)
        for _ in range(2):
            with pytest.raises((PoolTimeoutError, DatabaseBusyError)):
                await db.workflows.reset()
        waiting = asyncio.create_task(db.workflows.reset())
        await asyncio.sleep(0.05)
        waiting.cancel()
        await holder
        figures = db.engine(Subsystem.WORKFLOWS)
        health = await figures.health()
        assert health.pool is not None
        assert health.pool.timeouts == 2, "what was cancelled did not time out"
