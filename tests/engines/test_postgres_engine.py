"""The PostgreSQL engine: prepared statements, limits, a server that freezes or dies, who may repeat what."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.engines.test_essentials import (
    all_given_back,
    create,
    private_settings,
    terminate_all,
)

from orcheo_sql import (
    ConnectionLostError,
    Database,
    DatabaseBusyError,
    PoolTimeoutError,
    QueryTiming,
    StatementTimeoutError,
    Subsystem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

Settings = dict[str, Any]


@pytest.fixture
def settings(private_postgres: ScratchPostgres) -> Settings:
    return private_settings(private_postgres)


def backends(dsn: str) -> list[int]:
    """Return the processes that serve our pool."""
    with psycopg.connect(dsn) as connection:
        return [
            pid
            for (pid,) in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'orcheo-sql'"
            )
        ]


async def rename(db: Any, workflow_id: Any, name: str) -> Any:
    return await db.workflows.update_workflow(
        workflow_id, name=name, description=None, tags=None, is_archived=None, actor="ada"
    )


async def prepared(db: Database) -> list[str]:
    engine: Any = db.engine(Subsystem.WORKFLOWS)
    async with engine.connection() as connection:
        cursor = await connection.execute("SELECT statement FROM pg_prepared_statements")
        return [text for (text,) in await cursor.fetchall()]


async def test_statements_are_prepared_unless_a_pooler_is_between(settings: Settings) -> None:
    for pooler, expected in (("none", True), ("transaction", False)):
        async with Database(**settings, postgres_pool_max_size=1, postgres_pooler=pooler) as db:
            workflow = await create(db)
            for _ in range(10):
                await db.workflows.get_workflow(workflow.id)
            texts = await prepared(db)
            assert any("workflows.get_workflow" in text for text in texts) is expected


async def test_the_server_ends_what_takes_too_long_or_waits_too_long(settings: Settings) -> None:
    async with Database(**settings, statement_timeout_seconds=7, lock_timeout_seconds=0.3) as db:
        engine: Any = db.engine(Subsystem.WORKFLOWS)
        async with engine.connection() as connection:
            shown = [
                (await (await connection.execute(f"SHOW {name}")).fetchone())[0]
                for name in ("statement_timeout", "lock_timeout", "TimeZone")
            ]
        assert shown == ["7s", "300ms", "UTC"]
        workflow = await create(db)
        with psycopg.connect(settings["postgres_dsn"]) as other:
            other.execute("SELECT 1 FROM workflows FOR UPDATE")
            with pytest.raises(DatabaseBusyError, match=r"workflows\.update_workflow"):
                await rename(db, workflow.id, "never")
            assert (await db.workflows.get_workflow(workflow.id)).name == "Flow"


@pytest.fixture
def frozen(settings: Settings) -> Iterator[list[int]]:
    """Processes to be woken up at the end."""
    stopped: list[int] = []
    yield stopped
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def test_a_frozen_server_is_given_up_and_found_again(
    settings: Settings, frozen: list[int]
) -> None:
    """It accepts connections and answers nothing, as a server whose disk or network hangs does."""
    async with Database(**settings, statement_timeout_seconds=0.5, postgres_pool_timeout=3) as db:
        workflow = await create(db)
        for pid in backends(settings["postgres_dsn"]):
            os.kill(pid, signal.SIGSTOP)
            frozen.append(pid)
        begun = time.monotonic()
        with pytest.raises((StatementTimeoutError, ConnectionLostError, PoolTimeoutError)):
            await rename(db, workflow.id, "frozen")
        assert time.monotonic() - begun < 20
        for _ in frozen[1:]:  # each of the others costs a call too; new connections are not frozen
            with suppress(StatementTimeoutError, ConnectionLostError, PoolTimeoutError):
                await db.workflows.get_workflow(workflow.id)
        assert (await db.workflows.get_workflow(workflow.id)).name == "Flow"
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        assert (await rename(db, workflow.id, "awake")).name == "awake"
        assert await all_given_back(db)


async def test_a_write_that_meets_a_dying_server_is_not_repeated(settings: Settings) -> None:
    heard: list[QueryTiming] = []
    async with Database(**settings, observer=heard.append) as db:
        workflow = await create(db)
        with (
            psycopg.connect(settings["postgres_dsn"], autocommit=True) as other,
            other.transaction(),
        ):
            other.execute("SELECT 1 FROM workflows FOR UPDATE")
            writing = asyncio.create_task(rename(db, workflow.id, "lost"))
            await asyncio.sleep(0.3)
            with psycopg.connect(settings["postgres_dsn"], autocommit=True) as killer:
                killer.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
            with pytest.raises(ConnectionLostError, match=r"workflows\.update_workflow"):
                await writing
        assert [t.error for t in heard if t.query == "workflows.update_workflow"] == [
            "ConnectionLostError"
        ]
        assert (await db.workflows.get_workflow(workflow.id)).name == "Flow"


async def test_a_unit_of_work_whose_backend_dies_is_undone(settings: Settings) -> None:
    async with Database(**settings) as db:

        async def work() -> None:
            async with db.transaction() as unit:
                await create(unit, "undone")  # type: ignore[arg-type]
                terminate_all(settings["postgres_dsn"])
                await create(unit, "never")  # type: ignore[arg-type]

        with pytest.raises(ConnectionLostError):
            await work()
        assert await db.workflows.list_workflows() == []
        assert (await create(db)).name == "Flow"
        assert await all_given_back(db)


async def test_health_tells_a_stopped_server_from_a_running_one(
    private_postgres: ScratchPostgres, settings: Settings
) -> None:
    async with Database(**settings, postgres_pool_min_size=2) as db:
        await create(db)
        [up] = await db.health()
        assert up.reachable
        assert up.server_version is not None
        assert up.schema_version is not None
        assert up.latency_seconds is not None
        assert up.pool is not None
        assert up.pool.maximum == 10
        assert up.pool.size >= up.pool.idle >= 1
        await asyncio.to_thread(private_postgres.stop, immediate=True)
        [down] = await asyncio.wait_for(db.health(), timeout=15)
        assert not down.reachable
        assert down.error
        await asyncio.to_thread(private_postgres.start)
        [again] = await db.health()
        assert again.reachable


async def test_an_observer_that_fails_fails_no_query(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def observer(timing: QueryTiming) -> None:
        raise RuntimeError(timing.query)

    async with Database(**settings, observer=observer) as db:
        assert (await create(db)).name == "Flow"
    assert "the observer failed on query workflows.insert_workflow" in caplog.text


async def test_subsystems_on_one_dsn_share_one_pool(settings: Settings) -> None:
    async with Database(**settings) as db:
        assert len(await db.health()) == 1


async def test_a_quiet_program_keeps_to_one_backend(settings: Settings) -> None:
    """Going round all of them would meet each with cold caches and nothing prepared."""
    async with Database(**settings, postgres_pool_min_size=4, postgres_pool_max_size=4) as db:
        await asyncio.gather(*(db.workflows.list_workflows() for _ in range(20)))
        engine: Any = db.engine(Subsystem.WORKFLOWS)
        used = set()
        for _ in range(20):
            await db.workflows.list_workflows()
            async with engine.connection() as connection:
                used.add(connection.info.backend_pid)
        assert len(used) == 1
