"""The library behind PgBouncer in transaction mode, where each transaction may run on another server connection."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
from tests.fixtures.databases import postgres_settings
from tests.races.crew import attempt
from tests.races.jobs import change, live_one_run, new_workflow
from tests.races.pgbouncer import SERVER_CONNECTIONS, PgBouncer, program

from orcheo_sql import Database, DatabaseBusyError, StatementTimeoutError, Subsystem
from orcheo_sql.engines.postgres import PostgresEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.races.crew import Crew

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

pytestmark = pytest.mark.skipif(
    program() is None, reason="PgBouncer is not installed (Debian: apt install pgbouncer)"
)


@pytest.fixture(scope="module")
def pgbouncer(postgres_server: ScratchPostgres) -> Iterator[PgBouncer]:
    with PgBouncer(postgres_server.dsn) as pooler:
        yield pooler


@pytest.fixture
def direct(postgres_server: ScratchPostgres) -> Iterator[str]:
    """Yield the DSN of an empty database, past the pooler."""
    dsn = postgres_server.create_database()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture
def pooled(pgbouncer: PgBouncer, direct: str) -> dict[str, Any]:
    return postgres_settings(pgbouncer.dsn(direct))


def is_behind_pooler(db: Database) -> bool:
    return cast("PostgresEngine", db.engine(Subsystem.WORKFLOWS)).behind_pooler


async def test_a_pooler_is_recognised(pooled: dict[str, Any], direct: str) -> None:
    async with Database(**pooled) as db:
        assert is_behind_pooler(db)
    async with Database(**postgres_settings(direct)) as db:
        assert not is_behind_pooler(db)
    async with Database(**pooled, postgres_pooler="transaction") as db:
        assert is_behind_pooler(db)


async def test_without_our_care_prepared_statements_fail(pooled: dict[str, Any]) -> None:
    """What the next test would see if prepared statements were used: the pooler here does not hide it."""
    async with Database(**pooled, postgres_pooler="none") as db:
        workflow = await new_workflow(db, "w")
        outcomes = await asyncio.gather(
            *(
                attempt(db.workflows.get_workflow(workflow.id))
                for _ in range(40 * SERVER_CONNECTIONS)
            )
        )
        assert set(outcomes) > {"ok"}


async def test_many_tasks_share_few_connections(pooled: dict[str, Any]) -> None:
    async with Database(**pooled, postgres_pool_max_size=20) as db:
        workflow = await new_workflow(db, "w")
        version = await db.workflows.create_version(
            workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
        )

        async def live(task: int) -> None:
            for number in range(10):
                await live_one_run(db, workflow.id, version.id, f"{task}/{number}")

        assert set(await asyncio.gather(*(attempt(live(task)) for task in range(40)))) == {"ok"}
        assert (await db.workflows.count_runs_by_status()).succeeded == 400


async def test_processes_share_few_connections(pooled: dict[str, Any], crew: Crew) -> None:
    async with Database(**pooled) as db:
        workflow = await new_workflow(db, "w")
    results = crew.run(pooled, "create_versions", workflow.id, 10)
    assert sorted(n for numbers in results for n in numbers) == list(range(1, 81))


async def test_timeouts_hold_and_leak_to_nobody(pooled: dict[str, Any], direct: str) -> None:
    async with Database(**pooled, lock_timeout_seconds=0.3, statement_timeout_seconds=1.0) as db:
        workflow = await new_workflow(db, "w")
        with psycopg.connect(direct) as other:
            other.execute("SELECT 1 FROM workflows WHERE id = %s FOR UPDATE", [workflow.id])
            with pytest.raises(DatabaseBusyError):
                async with db.transaction() as unit:
                    await change(unit, workflow.id, name="never")
            # On its own a statement can't set the server's timeout: the client ends it.
            begun = time.monotonic()
            with pytest.raises(StatementTimeoutError):
                await change(db, workflow.id, name="never")
            assert time.monotonic() - begun > 0.9
        assert (await db.workflows.get_workflow(workflow.id)).name == "w"
        assert (await change(db, workflow.id, name="now")).name == "now"
    # All server connections are free again, and as strangers expect them.
    for _ in range(2 * SERVER_CONNECTIONS):
        with psycopg.connect(pooled["postgres_dsn"], prepare_threshold=None) as stranger:
            for setting in ("lock_timeout", "statement_timeout"):
                [value] = stranger.execute(f"SHOW {setting}").fetchone() or [None]
                assert value == "0", setting


@pytest.mark.parametrize("round_", range(2))
def test_migrations_apply_once(
    round_: int, pooled: dict[str, Any], direct: str, crew: Crew
) -> None:
    """Locks of a session get lost behind a pooler; those of a transaction don't."""
    assert set(crew.run(pooled, "open_database")) == {"ok"}
    with psycopg.connect(direct) as connection:
        rows = connection.execute("SELECT version FROM orcheo_migrations ORDER BY 1").fetchall()
        assert rows == [(n + 1,) for n in range(len(rows))]
        held = connection.execute(
            "SELECT l.pid FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        ).fetchall()
        assert held == []


async def test_migrations_can_go_past_the_pooler(pooled: dict[str, Any], direct: str) -> None:
    async with Database(**pooled, postgres_migration_dsn=direct) as db:
        await new_workflow(db, "w")
