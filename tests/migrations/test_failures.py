"""Migrations that fail or are killed leave nothing half-done, and can be tried again."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.migrations.support import (
    add_migration,
    contents,
    copy_of_tree,
    migrator,
    number_of_migrations,
)
from tests.races.jobs import new_workflow

from orcheo_sql import Database, MigrationError, MigrationFailedError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

NEXT = number_of_migrations() + 1

# The error is on line 7, in the statement that begins there; a comment and a text with semicolons stand before it.
BROKEN = """-- A migration that fails half-way;
-- this line has a semicolon too;

CREATE TABLE half_done (id INTEGER NOT NULL);
INSERT INTO half_done (id) VALUES (1);

INSERT INTO no_such_table (id)
VALUES (2);

CREATE TABLE never (id INTEGER NOT NULL);
"""
BROKEN_LINE = 7
SLOW = {
    "sqlite": """CREATE TABLE half_done (id INTEGER NOT NULL);
INSERT INTO half_done (id)
WITH RECURSIVE counted (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM counted WHERE id < 4000000)
SELECT count(*) FROM counted;
""",
    "postgres": """CREATE TABLE half_done (id INTEGER NOT NULL);
INSERT INTO half_done (id) SELECT 4000000 FROM (SELECT pg_sleep(2)) AS slept;
""",
}


async def test_a_failing_migration_leaves_nothing_and_says_where(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    async with Database(**empty_settings) as db:
        workflow = await new_workflow(db, "kept")
    before = contents(empty_settings)
    broken = copy_of_tree(tmp_path / "broken")
    path = add_migration(broken, dialect, "breaks", BROKEN)
    async with migrator(empty_settings, broken) as migrations:
        for _ in range(2):
            with pytest.raises(MigrationFailedError) as caught:
                await migrations.up()
            assert str(caught.value).startswith(f"{path}:{BROKEN_LINE}: ")
            assert "no_such_table" in str(caught.value)
            assert contents(empty_settings) == before
        pending = [state.version for state in await migrations.status() if not state.applied_at]
        assert pending == [NEXT]

    mended = copy_of_tree(tmp_path / "mended")
    add_migration(mended, dialect, "breaks", BROKEN.replace("no_such_table", "half_done"))
    async with migrator(empty_settings, mended) as migrations:
        assert [m.version for m in await migrations.up()] == [NEXT]
        assert await migrations.verify() == NEXT
        assert await migrations.up() == []
    after = contents(empty_settings)
    assert sorted(after["half_done"]) == [(1,), (2,)]
    assert after["workflows"] == before["workflows"]
    assert str(workflow.id) in str(after["workflows"])


async def test_a_failing_first_migration_leaves_an_empty_database(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    folder = tmp_path / dialect / "migrations"
    folder.mkdir(parents=True)
    path = add_migration(tmp_path, dialect, "breaks", BROKEN)
    async with migrator(empty_settings, tmp_path) as migrations:
        with pytest.raises(MigrationFailedError, match="no_such_table") as caught:
            await migrations.up()
    assert str(caught.value).startswith(f"{path}:{BROKEN_LINE}: ")
    assert contents(empty_settings) == {}
    async with Database(**empty_settings) as db:
        await new_workflow(db, "w")


async def test_earlier_migrations_of_the_same_call_stay(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    broken = copy_of_tree(tmp_path / "broken")
    add_migration(broken, dialect, "works", "CREATE TABLE good (id INTEGER NOT NULL);\n")
    add_migration(broken, dialect, "breaks", BROKEN)
    async with migrator(empty_settings, broken) as migrations:
        with pytest.raises(MigrationFailedError):
            await migrations.up()
        applied = [state.version for state in await migrations.status() if state.applied_at]
    assert applied == list(range(1, NEXT + 1))
    assert "half_done" not in contents(empty_settings)
    assert contents(empty_settings)["good"] == []


def migrate_slowly(settings: dict[str, Any], root: Path, pipe: Connection) -> None:
    async def run() -> None:
        async with migrator(settings, root) as migrations:
            pipe.send("begun")
            await migrations.up()
            pipe.send("done")

    asyncio.run(run())


async def test_a_migration_that_is_killed_can_be_tried_again(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    async with Database(**empty_settings) as db:
        await new_workflow(db, "kept")
    before = contents(empty_settings)
    slow = copy_of_tree(tmp_path / "slow")
    add_migration(slow, dialect, "takes_long", SLOW[dialect])
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=migrate_slowly, args=(empty_settings, slow, theirs), daemon=True
    )
    process.start()
    theirs.close()
    assert ours.recv() == "begun"
    time.sleep(0.3)
    process.kill()
    process.join()
    process.close()
    assert not ours.poll() or not _hears(ours), "it was quicker than the test expects"
    ours.close()
    assert contents(empty_settings) == before
    async with migrator(empty_settings, slow) as migrations:
        assert [m.version for m in await migrations.up()] == [NEXT]
    after = contents(empty_settings)
    assert after["half_done"] == [(4000000,)]
    assert after["workflows"] == before["workflows"]


def _hears(pipe: Connection) -> bool:
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["0001_a.sql", "0003_c.sql"], "0003_c.sql: expected number 0002 here"),
        (["0001_a.sql", "0001_b.sql"], "0001_b.sql: expected number 0002 here"),
        (["0002_b.sql"], "0002_b.sql: expected number 0001 here"),
        (["0001_a.sql", "2_b.sql"], "2_b.sql: a migration is named like 0001_what_it_does.sql"),
    ],
)
async def test_wrong_numbers_are_found_before_anything_is_done(
    names: list[str], problem: str, empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    folder = tmp_path / dialect / "migrations"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("CREATE TABLE never (id INTEGER);")
    with pytest.raises(MigrationError) as caught:
        async with migrator(empty_settings, tmp_path):
            pass
    assert str(caught.value).endswith(problem)
    assert contents(empty_settings) == {}


def test_both_dialects_have_the_same_numbers_and_names() -> None:
    from orcheo_sql._migrate import load_migrations

    sqlite, postgres = (
        [(m.version, m.name) for m in load_migrations(dialect)]
        for dialect in ("sqlite", "postgres")
    )
    assert sqlite == postgres


async def test_a_migration_may_take_longer_than_a_query(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    root = copy_of_tree(tmp_path / "slow")
    add_migration(root, dialect, "slow", SLOW[dialect])
    async with migrator({**empty_settings, "statement_timeout_seconds": 0.3}, root) as migrations:
        assert [m.name for m in await migrations.up()][-1] == "slow"


DEFERRED = """CREATE TABLE parents (id INTEGER NOT NULL PRIMARY KEY);
CREATE TABLE children (
    parent_id INTEGER NOT NULL REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO children (parent_id) VALUES (4711);
"""


async def test_a_constraint_that_is_looked_at_in_the_end(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    root = copy_of_tree(tmp_path / "deferred")
    path = add_migration(root, dialect, "deferred", DEFERRED)
    async with migrator(empty_settings, root) as migrations:
        with pytest.raises(MigrationFailedError, match="nothing of this migration") as caught:
            await migrations.up()
        assert str(caught.value).startswith(f"{path}: ")
        assert "4711" not in str(caught.value)
        assert "children" not in contents(empty_settings)


@pytest.mark.parametrize(
    "word", ["COMMIT", "ROLLBACK", "begin", "-- why\n  end", "SAVEPOINT x", "START TRANSACTION"]
)
async def test_a_migration_can_not_end_its_transaction(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path, word: str
) -> None:
    root = copy_of_tree(tmp_path / "ends")
    sql = (
        f"CREATE TABLE half_done (id INTEGER NOT NULL);\n{word};\nCREATE TABLE rest (id INTEGER);\n"
    )
    path = add_migration(root, dialect, "ends", sql)
    async with migrator(empty_settings, root) as migrations:
        with pytest.raises(MigrationFailedError, match="one transaction") as caught:
            await migrations.up()
        line = 3 if word.startswith("--") else 2
        assert str(caught.value).startswith(f"{path}:{line}: ")
        assert "half_done" not in contents(empty_settings)


@pytest.mark.parametrize("version", [0, -1])
async def test_bookkeeping_that_was_changed_by_hand_is_refused(
    settings_of: dict[str, Any], version: int
) -> None:
    statement = f"UPDATE orcheo_migrations SET version = {version} WHERE version = 1"
    if "postgres_dsn" in settings_of:
        pytest.skip("the database of the other tests stays as it is")
    with closing(sqlite3.connect(settings_of["database_path"], isolation_level=None)) as raw:
        raw.execute("DELETE FROM orcheo_migrations WHERE version > 1")
        raw.execute(statement)
    with pytest.raises(MigrationError, match="orcheo_migrations"):
        await Database(**settings_of).open()


async def test_a_role_without_a_schema_is_told_what_it_needs(
    postgres_server: ScratchPostgres,
) -> None:
    dsn = postgres_server.create_database()
    with psycopg.connect(dsn, autocommit=True) as raw:
        raw.execute(f'ALTER DATABASE "{raw.info.dbname}" SET search_path = nowhere')
    with pytest.raises(MigrationFailedError, match="GRANT CREATE ON SCHEMA"):
        await Database(repository_backend="postgres", postgres_dsn=dsn).open()
