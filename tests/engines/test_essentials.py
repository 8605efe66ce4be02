"""What operators rely on: recovery, limits, secrets, names in logs, overrides, direct use of the trees."""

from __future__ import annotations

import asyncio
import logging
import stat
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from tests.fixtures.databases import postgres_settings

from orcheo_sql import (
    ConfigError,
    ContractMismatchError,
    Database,
    OrcheoSqlError,
    PoolTimeoutError,
    QueryTiming,
    StatementTimeoutError,
    TransactionError,
    UnknownQueryError,
    Workflow,
    load_queries,
    postgres_connection,
    sqlite_connection,
)
from orcheo_sql._catalog import load_catalog, sql_root

if TYPE_CHECKING:
    from orcheo_sql.check.scratch_postgres import ScratchPostgres

Settings = dict[str, Any]


async def create(db: Database, name: str = "Flow") -> Workflow:
    return await db.workflows.create_workflow(
        name=name, slug=None, description=None, tags=None, draft_access="personal", actor="ada"
    )


async def all_given_back(db: Database) -> bool:
    """Wait a moment until no connection is in use."""
    for _ in range(100):
        [health] = await db.health()
        if health.pool is not None and health.pool.idle == health.pool.size:
            return True
        await asyncio.sleep(0.02)
    return False


def private_settings(server: ScratchPostgres) -> Settings:
    return postgres_settings(server.create_database())


def terminate_all(dsn: str) -> int:
    """End every other connection to the database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        ).fetchall()
    return len(rows)


async def test_all_backends_dead_while_idle_fail_no_call(private_postgres: ScratchPostgres) -> None:
    settings = private_settings(private_postgres)
    async with Database(**settings, postgres_pool_min_size=10) as db:
        workflow = await create(db)
        await asyncio.gather(*(db.workflows.get_workflow(workflow.id) for _ in range(50)))
        for _ in range(3):
            assert terminate_all(settings["postgres_dsn"]) > 0
            written = await create(db, "written at once")
            assert (await db.workflows.get_workflow(written.id)).name == "written at once"
            await asyncio.gather(*(db.workflows.get_workflow(workflow.id) for _ in range(50)))


async def test_reads_in_flight_survive_dying_backends(private_postgres: ScratchPostgres) -> None:
    settings = private_settings(private_postgres)
    async with Database(**settings, postgres_pool_max_size=5) as db:
        workflow = await create(db)
        over = asyncio.Event()

        async def read() -> int:
            done = 0
            while not over.is_set():
                assert (await db.workflows.get_workflow(workflow.id)).id == workflow.id
                done += 1
            return done

        readers = [asyncio.create_task(read()) for _ in range(10)]
        for _ in range(5):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(terminate_all, settings["postgres_dsn"])
        over.set()
        assert sum(await asyncio.gather(*readers)) > 0


async def test_reads_wait_for_a_server_that_restarts(private_postgres: ScratchPostgres) -> None:
    settings = private_settings(private_postgres)
    async with Database(**settings) as db:
        workflow = await create(db)
        await asyncio.to_thread(private_postgres.stop, immediate=False)
        reads = [asyncio.create_task(db.workflows.get_workflow(workflow.id)) for _ in range(20)]
        await asyncio.sleep(1.5)
        [health] = await db.health()
        assert not health.reachable
        await asyncio.to_thread(private_postgres.start)
        found = await asyncio.wait_for(asyncio.gather(*reads), timeout=10)
        assert {w.id for w in found} == {workflow.id}
        assert (await create(db)).id


async def test_opening_waits_for_a_server_that_is_starting(
    private_postgres: ScratchPostgres,
) -> None:
    settings = private_settings(private_postgres)
    await asyncio.to_thread(private_postgres.stop, immediate=False)
    opening = asyncio.create_task(Database(**settings).open())
    await asyncio.sleep(0.5)
    await asyncio.to_thread(private_postgres.start)
    db = await asyncio.wait_for(opening, timeout=10)
    assert await create(db)
    await db.close()


async def test_cancelled_tasks_leave_nothing_behind(settings_of: Settings) -> None:
    async with Database(**settings_of) as db:
        workflow = await create(db)

        async def work(wave: int, number: int) -> None:
            if number % 3:
                await db.workflows.get_workflow(workflow.id)
            else:
                async with db.transaction() as unit:
                    await create(unit, f"{wave} {number}")  # type: ignore[arg-type]
                    await unit.workflows.get_workflow(workflow.id)

        for wave in range(10):
            tasks = [asyncio.create_task(work(wave, n)) for n in range(100)]
            await asyncio.sleep(0.0007 * wave)
            for task in tasks[::2]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(o is None or isinstance(o, asyncio.CancelledError) for o in outcomes)
        assert await create(db, "after the storm")
        assert await all_given_back(db)
        names = [w.name for w in await db.workflows.list_workflows()]
        assert len(names) == len(set(names))


async def test_a_slow_statement_is_ended(settings_of: Settings, tmp_path: Path) -> None:
    dialect = "postgres" if "postgres_dsn" in settings_of else "sqlite"
    folder = tmp_path / "overrides" / dialect / "queries" / "workflows"
    folder.mkdir(parents=True)
    slow = {
        "postgres": "SELECT count(pg_sleep(20)) > 0 AND :id::uuid IS NOT NULL AS is_there",
        "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
        "SELECT max(i) > 0 AND :id IS NOT NULL AS is_there FROM n",
    }[dialect]
    (folder / "slow.sql").write_text(f"-- name: exists_workflow(id)$\n-- Take long.\n{slow};\n")
    async with Database(
        **settings_of, statement_timeout_seconds=0.3, sql_override_dir=tmp_path / "overrides"
    ) as db:
        with pytest.raises(StatementTimeoutError, match="ORCHEO_STATEMENT_TIMEOUT_SECONDS"):
            await db.workflows.list_versions(uuid4())
        assert await create(db)


async def test_an_exhausted_pool_says_what_to_do(private_postgres: ScratchPostgres) -> None:
    settings = private_settings(private_postgres)
    async with Database(**settings, postgres_pool_max_size=1, postgres_pool_timeout=0.3) as db:
        async with db.transaction() as unit:
            await create(unit)  # type: ignore[arg-type]
            with pytest.raises(PoolTimeoutError, match="ORCHEO_POSTGRES_POOL_MAX_SIZE"):
                await db.workflows.list_workflows()
        assert len(await db.workflows.list_workflows()) == 1


async def test_the_password_appears_nowhere(
    private_postgres: ScratchPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    info = psycopg.conninfo.conninfo_to_dict(private_postgres.dsn)
    secret = "hunter2-s3cr3t"
    host, port, user = info["host"], info["port"], info["user"]
    wrong = f"host={host} port={port} user={user} password={secret} dbname=postgres"
    nowhere = f"postgresql://{user}:{secret}@127.0.0.1:1/postgres"
    shown = []
    for dsn in (wrong, nowhere):
        db = Database(
            repository_backend="postgres", postgres_dsn=dsn, postgres_connect_timeout_seconds=0.2
        )
        shown += [repr(db), repr(db.settings), str(db.settings)]
        try:
            await db.open()
        except OrcheoSqlError as error:
            shown += [type(error).__name__, str(error), "".join(traceback.format_exception(error))]
        else:
            await db.close()
    assert not [text for text in (*shown, caplog.text) if secret in text]


async def test_a_missing_database_is_answered_with_its_statement(
    private_postgres: ScratchPostgres,
) -> None:
    dsn = psycopg.conninfo.make_conninfo(private_postgres.dsn, dbname="nobody_made_this")
    with pytest.raises(ConfigError, match=r'CREATE DATABASE "?nobody_made_this"?;'):
        await Database(repository_backend="postgres", postgres_dsn=dsn).open()


async def test_a_query_shows_its_name_to_the_server(private_postgres: ScratchPostgres) -> None:
    settings = private_settings(private_postgres)
    async with Database(**settings) as db:
        await create(db)
        with psycopg.connect(settings["postgres_dsn"]) as connection:
            texts = connection.execute(
                "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchall()
    assert any("/* workflows.insert_workflow */" in text for (text,) in texts)


async def test_each_query_is_timed_and_slow_ones_are_logged_without_values(
    settings_of: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[QueryTiming] = []
    async with Database(**settings_of, slow_query_seconds=0.000001, observer=heard.append) as db:
        await create(db, "Confidential name")
    assert [t.query for t in heard] == ["workflows.insert_workflow"]
    assert heard[0].seconds > 0
    assert heard[0].error is None
    [record] = [r for r in caplog.records if "slow query" in r.getMessage()]
    assert "workflows.insert_workflow" in record.getMessage()
    assert "Confidential" not in caplog.text


async def test_files_belong_to_their_owner(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "orcheo.sqlite"
    async with Database(database_path=path) as db:
        await create(db)
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert modes["orcheo.sqlite"] == 0o600
        assert set(modes.values()) == {0o600}


async def test_the_trees_can_be_used_directly(dialect: str, settings_of: Settings) -> None:
    async with Database(**settings_of) as db:
        workflow = await create(db, "Direct")
    queries = load_queries(dialect)  # type: ignore[arg-type]
    connect = (
        sqlite_connection(settings_of["database_path"])
        if dialect == "sqlite"
        else postgres_connection(settings_of["postgres_dsn"])
    )
    async with connect as connection:
        row = await queries.workflows.get_workflow(connection, id=workflow.id)
        assert str(row[0]) == str(workflow.id)
        assert row[4] == "Direct"
        assert await queries.workflows.exists_workflow(connection, id=workflow.id)
        listed = [
            r
            async for r in queries.workflows.list_workflows(
                connection, after_at=workflow.created_at, after_id=uuid4(), limit=5
            )
        ]
        assert len(listed) <= 1
        assert await queries.workflows.delete_all_workflows(connection) == 1
        with pytest.raises(ContractMismatchError, match="missing id"):
            await queries.workflows.get_workflow(connection, wrong=1)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("-- name: no_such()^\n-- X.\nSELECT 1;\n", UnknownQueryError, "replaces nothing"),
        ("-- name: get_run(id)\n-- X.\nSELECT :id;\n", ContractMismatchError, "operator"),
        ("-- name: get_run(run)^\n-- X.\nSELECT :run;\n", ContractMismatchError, "takes"),
        ("-- name: get_run(id)^\n-- X.\nSELECT :id AS id;\n", ContractMismatchError, "column"),
    ],
)
async def test_an_override_is_held_to_its_contract(
    dialect: str, tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    folder = tmp_path / "mine" / dialect / "queries" / "workflows"
    folder.mkdir(parents=True)
    (folder / "mine.sql").write_text(text)
    with pytest.raises(error, match=message) as caught:
        load_catalog(dialect, overrides=tmp_path / "mine")  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{folder / 'mine.sql'}:1: ")


async def test_an_override_replaces_a_query(
    settings_of: Settings, dialect: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mine" / dialect / "queries" / "workflows"
    folder.mkdir(parents=True)
    source = (sql_root() / dialect / "queries" / "workflows" / "workflows.sql").read_text()
    begin = source.index("-- name: list_workflows(")
    block = source[begin : source.index("-- name:", begin + 5)]
    (folder / "mine.sql").write_text(
        block.replace("WHERE NOT is_archived", "WHERE name <> 'hidden' AND NOT is_archived")
    )
    async with Database(**settings_of, sql_override_dir=tmp_path / "mine") as db:
        await create(db, "hidden")
        await create(db, "shown")
        assert [w.name for w in await db.workflows.list_workflows()] == ["shown"]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    path.write_text("buy milk " * 500)
    before = path.read_bytes()
    with pytest.raises(OrcheoSqlError, match=r"notes\.sqlite"):
        await Database(database_path=path).open()
    assert path.read_bytes() == before


async def test_another_event_loop_is_refused(settings_of: Settings) -> None:
    async with Database(**settings_of) as db:

        def elsewhere() -> str:
            try:
                asyncio.run(db.workflows.list_workflows())
            except OrcheoSqlError as error:
                return str(error)
            return "it worked"

        assert "event loop" in await asyncio.to_thread(elsewhere)


async def test_a_database_in_memory_reads_beside_a_unit_of_work() -> None:
    async with Database(repository_backend="inmemory") as db:
        await create(db, "before")
        async with db.transaction() as unit:
            await create(unit, "inside")  # type: ignore[arg-type]
            assert [w.name for w in await db.workflows.list_workflows()] == ["before"]
            with pytest.raises(TransactionError):
                await create(db, "beside")
        assert len(await db.workflows.list_workflows()) == 2
    assert sys.version_info >= (3, 11)
