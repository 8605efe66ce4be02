"""Measure the figures that docs/decisions/ quotes; takes about a minute.

::

    python benchmarks/decisions.py

They are medians of one client on one machine: compare them with each other, not with other machines.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from orcheo_sql import Database, Transaction, Workflow, WorkflowVersion
from orcheo_sql._catalog import load_catalog
from orcheo_sql.check.scratch_postgres import ScratchPostgres
from orcheo_sql.engines import sqlite_connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Overrides = dict[str, Any]
FIELDS: dict[str, Any] = {
    "slug": None,
    "description": None,
    "tags": None,
    "draft_access": "personal",
    "actor": "ada",
}


async def median_ms(call: Callable[[], Awaitable[object]], times: int = 200) -> float:
    """Return the median duration of a call in milliseconds."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1000


async def audit(settings: Overrides) -> None:
    """Time one workflow while its audit trail grows."""
    print("| audit records | read | change |\n|---|---|---|")
    async with Database(**settings) as db:
        workflow = await db.workflows.create_workflow(name="Flow", **FIELDS)
        made = 1

        async def change() -> Workflow:
            nonlocal made
            made += 1
            return await db.workflows.update_workflow(
                workflow.id,
                name=f"Flow {made}",
                description=None,
                tags=None,
                is_archived=None,
                actor="ada",
            )

        for size in (30, 300, 3000):
            while made < size:
                await change()
            read = await median_ms(lambda: db.workflows.get_workflow(workflow.id))
            print(f"| {size} | {read:.2f} ms | {await median_ms(change):.2f} ms |")


async def durability(folder: Path) -> None:
    """Time writes with either way to sync."""
    print("| synchronous | create a run | 100 runs in a unit of work |\n|---|---|---|")
    for mode in ("FULL", "NORMAL"):
        pragmas = [(n, mode if n == "synchronous" else v) for n, v in sqlite_connection.PRAGMAS]
        with mock.patch.object(sqlite_connection, "PRAGMAS", pragmas):
            one, unit = await _durability(folder / f"{mode}.sqlite")
        print(f"| {mode} | {one:.2f} ms | {unit:.1f} ms |")


async def _durability(path: Path) -> tuple[float, float]:
    async with Database(database_path=path) as db:
        workflow, version = await _workflow(db)

        async def create(where: Database | Transaction) -> None:
            await where.workflows.create_run(
                workflow.id,
                workflow_version_id=version.id,
                triggered_by="manual",
                input_payload={"n": 1},
            )

        async def unit() -> None:
            async with db.transaction() as tx:
                for _ in range(100):
                    await create(tx)

        return await median_ms(lambda: create(db)), await median_ms(unit, 10)


async def _workflow(db: Database) -> tuple[Workflow, WorkflowVersion]:
    workflow = await db.workflows.create_workflow(name="Flow", **FIELDS)
    version = await db.workflows.create_version(
        workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
    )
    return workflow, version


async def lists(folder: Path) -> None:
    """Time a page of runs in a rare state among 200,000: by the query for it, and by one for all filters."""
    path = folder / "lists.sqlite"
    async with Database(database_path=path) as db:
        workflow, version = await _workflow(db)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"""WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT 200000)
            INSERT INTO workflow_runs (id, workflow_id, workflow_version_id, status, triggered_by,
                created_at, updated_at, audit_log)
            SELECT '00000000-0000-4000-8000-' || printf('%012d', n), '{workflow.id}', '{version.id}',
                iif(n % 20000 = 0, 'failed', 'succeeded'), 'cron',
                strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1.7e9 + n, 'unixepoch'),
                '2026-01-01T00:00:00.000000Z', '[]'
            FROM numbers;
            INSERT INTO workflow_run_inputs SELECT run_number, '{{}}', '{{}}' FROM workflow_runs;
            ANALYZE;"""
        )
    print("| query | page |\n|---|---|")
    for name, overrides in (("its own", None), ("one for all filters", _one_for_all(folder))):
        async with Database(database_path=path, sql_override_dir=overrides) as db:

            async def page(db: Database = db) -> None:
                assert len((await db.workflows.page_runs(status="failed")).items) == 10

            print(f"| {name} | {await median_ms(page, 20):.2f} ms |")


def _one_for_all(folder: Path) -> Path:
    """Make a folder that replaces the query by one whose filter is optional."""
    query = load_catalog("sqlite")["workflows.list_runs_by_status"]
    target = folder / "sqlite/queries/workflows/lists.sql"
    target.parent.mkdir(parents=True)
    text = query.sql.replace("r.status = :status", "(:status IS NULL OR r.status = :status)")
    assert text != query.sql
    target.write_text(f"-- name: {query.name}({', '.join(query.parameters)})\n{text}")
    return folder


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ScratchPostgres() as server:
        print("\n## Audit trail, SQLite\n")
        await audit({"database_path": Path(folder) / "audit.sqlite"})
        print("\n## Audit trail, PostgreSQL\n")
        await audit({"repository_backend": "postgres", "postgres_dsn": server.create_database()})
        print("\n## Durability, SQLite\n")
        await durability(Path(folder))
        print("\n## Lists, SQLite\n")
        await lists(Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
