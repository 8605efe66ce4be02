"""Many who delete histories at the same time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.repositories.factories import direct, new_workflow, rows

from orcheo_sql import Database

if TYPE_CHECKING:
    from uuid import UUID

    from tests.races.crew import Crew

LATER = datetime(2100, 1, 1, tzinfo=UTC)


async def ended(settings: dict[str, Any], workflow_id: UUID | str, count: int) -> None:
    """Add histories whose ends are in the opposite order of their starts."""
    async with direct(settings) as connection:
        for number in range(count):
            mark = f"{number:05d}"
            await connection.execute(
                "INSERT INTO run_history (execution_id, workflow_id, status, started_at, completed_at, step_count) VALUES "
                f"('e{mark}', '{workflow_id}', 'completed', '2026-01-01T00:00:00.0{mark}Z', "
                f"'2026-01-02T00:00:00.0{99_999 - number:05d}Z', 0)"
            )
        await connection.execute(
            "INSERT INTO run_history_inputs (execution_id, tags, callbacks, metadata, runnable_config, inputs) "
            "SELECT execution_id, '[]', '[]', '{}', '{}', '{}' FROM run_history"
        )
        await connection.commit()


async def test_many_prune_at_once(crew: Crew, settings_of: dict[str, Any]) -> None:
    """Each history is deleted, and counted, once; nobody meets a deadlock, and nothing is left."""
    async with Database(**settings_of, history_search=True) as db:
        async with db.transaction() as tx:
            for number in range(300):
                execution = f"e{number}"
                await tx.history.start_run(workflow_id="w", execution_id=execution)
                await tx.history.append_step(execution, {"word": "needle"})
                if number % 3 == 0:
                    await tx.history.mark_completed(execution)
                elif number % 3 == 1:
                    await tx.history.mark_failed(execution, "boom")
        later = datetime.now(UTC) + timedelta(hours=1)
        gone = await asyncio.to_thread(crew.run, settings_of, "history_jobs.prune", later, 7)
        assert sum(gone) == 200
        assert {h.status for h in await db.history.list_histories("w")} == {"running"}
        assert await rows(settings_of, "SELECT count(*) FROM run_history_search") == [(100,)]


async def test_who_prunes_takes_what_nobody_else_does(
    dialect: str, settings_of: dict[str, Any]
) -> None:
    """Those who waited for each other got nothing, took that for the end, and stopped."""
    await ended(settings_of, "w", 10)
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        async with db.transaction() as tx:
            assert await tx.history.prune_histories(finished_before=LATER, limit=5) == 5
            if dialect == "postgres":  # SQLite has one writer
                taken = other.history.prune_histories(finished_before=LATER, limit=4)
                assert await asyncio.wait_for(taken, 10) == 4
        left = 1 if dialect == "postgres" else 5
        assert await other.history.prune_histories(finished_before=LATER) == left


async def test_who_deletes_all_takes_them_in_order(
    dialect: str, settings_of: dict[str, Any]
) -> None:
    """So two that delete the same wait for each other at the first, not crosswise."""
    if dialect == "sqlite":
        return  # one writer
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        for number in (30, 20, 10):  # the newest first, as a scan of the table meets them
            await db.history.start_run(workflow_id="w", execution_id=f"e{number}")
        async with direct(settings_of) as connection:
            await connection.execute(
                "UPDATE run_history SET started_at = '2026-01-01T00:00:00Z' WHERE execution_id = 'e10'"
            )
            await connection.commit()
        async with db.transaction() as tx:
            await tx.history.append_step("e10", {})
            deleting = asyncio.create_task(other.history.delete_histories_of_workflow("w"))
            done, _ = await asyncio.wait([deleting], timeout=1)
            assert not done, "it waits for who holds the oldest"
            await asyncio.wait_for(other.history.append_step("e30", {}), 5)
        assert await deleting == 3


async def test_a_workflow_is_deleted_while_its_histories_are_pruned(
    crew: Crew, settings_of: dict[str, Any]
) -> None:
    """They locked the histories in opposite orders, and one of them was a deadlock's victim."""
    async with Database(**settings_of) as db:
        for _ in range(4):
            workflow = await new_workflow(db)
            await db.workflows.archive_workflow(workflow.id, actor="ada")
            await ended(settings_of, workflow.id, 3000)
            outcomes = await asyncio.to_thread(
                crew.run, settings_of, "history_jobs.prune_or_delete", workflow.id, LATER
            )
            assert outcomes == ["ok"] * 8
            assert await rows(settings_of, "SELECT count(*) FROM run_history") == [(0,)]
