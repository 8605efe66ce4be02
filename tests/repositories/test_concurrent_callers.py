"""What two units of work do to each other; where several processes are needed, see tests/races."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from tests.repositories.factories import (
    Clock,
    change,
    finished_run,
    lead_to,
    new_run,
    new_workflow,
    rows,
    workflow_with_version,
)

from orcheo_sql import Database, WorkflowNotFoundError


async def test_archiving_waits_for_a_run_that_is_being_created(settings_of: dict[str, Any]) -> None:
    """Once a workflow is archived, no run of it appears any more."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await workflow_with_version(db)
        async with db.transaction() as unit:
            await new_run(unit, version)
            archiving = asyncio.create_task(
                other.workflows.archive_workflow(version.workflow_id, actor="ada")
            )
            await asyncio.sleep(0.3)
            assert not archiving.done()
        await archiving
        assert len(await db.workflows.list_runs_for_workflow(version.workflow_id)) == 1
        with pytest.raises(WorkflowNotFoundError):
            await new_run(db, version)


async def test_creating_a_run_waits_for_archiving(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await workflow_with_version(db)
        async with db.transaction() as unit:
            await unit.workflows.archive_workflow(version.workflow_id, actor="ada")
            creating = asyncio.create_task(new_run(other, version))
            await asyncio.sleep(0.3)
            assert not creating.done()
        with pytest.raises(WorkflowNotFoundError):
            await creating


async def test_edits_and_runs_do_not_wait_for_each_other(settings_of: dict[str, Any]) -> None:
    """Only archiving waits for runs, and only on a database with several writers can one tell."""
    if "postgres_dsn" not in settings_of:
        pytest.skip("SQLite has one writer")
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await workflow_with_version(db)
        async with db.transaction() as unit:
            await new_run(unit, version)
            async with asyncio.timeout(5):
                await change(other, version.workflow_id, name="Renamed")
                await new_run(other, version)


async def test_a_change_never_moves_updated_at_back(settings_of: dict[str, Any]) -> None:
    """Calls that waited for each other carry the times at which they were made."""
    clock, late = Clock(), Clock()
    late.tick(-60)
    async with Database(**settings_of, clock=clock) as db:
        version = await workflow_with_version(db)
        run = await lead_to(db, await new_run(db, version), "running")
        published = await db.workflows.publish_workflow(
            version.workflow_id, require_login=False, actor="ada"
        )
        async with Database(**settings_of, clock=late) as other:
            for changed in (
                await change(other, version.workflow_id, name="Late"),
                await other.workflows.revoke_publish(version.workflow_id, actor="ada"),
                await other.workflows.publish_workflow(
                    version.workflow_id, require_login=True, actor="ada"
                ),
            ):
                assert changed.updated_at == published.updated_at == clock.at
                assert changed.audit_log[-1].at == late.at
            done = await other.workflows.mark_run_failed(run.id, actor="w", error="late")
            assert done.updated_at == clock.at
            assert done.completed_at == late.at
            config = await other.workflows.update_version_runnable_config(
                version.workflow_id, version_number=1, runnable_config={}, actor="ada"
            )
            assert config.updated_at == clock.at


async def test_two_that_prune_at_once_take_different_runs(settings_of: dict[str, Any]) -> None:
    if "postgres_dsn" not in settings_of:
        pytest.skip("SQLite has one writer")
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await workflow_with_version(db)
        for _ in range(6):
            await finished_run(db, version)
        future = db.now() + dt.timedelta(hours=1)
        async with db.transaction() as unit:
            assert await unit.workflows.prune_runs(created_before=future, limit=2) == 2
            assert await other.workflows.prune_runs(created_before=future, limit=2) == 2
            assert await other.workflows.prune_runs(created_before=future, limit=1) == 1
        assert await db.workflows.prune_runs(created_before=future) == 1


async def test_one_unit_of_work_takes_any_number_of_handles(db: Database) -> None:
    """The locks that guard handles are few, however many handles are written."""
    async with db.transaction() as unit:
        for n in range(1500):
            await new_workflow(unit, handle=f"handle-{n}")
        if unit.database.settings.postgres_dsn is not None:
            held = await rows(
                {"postgres_dsn": unit.database.settings.postgres_dsn.get_secret_value()},
                "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
                " WHERE l.locktype = 'advisory' AND d.datname = current_database()",
            )
            assert 0 < held[0][0] <= 1024
    assert len(await db.workflows.list_workflows()) == 1500
