"""Units of work: several operations that are kept together, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from tests.repositories.factories import (
    MISSING,
    change,
    direct,
    finished_run,
    lead_to,
    new_run,
    new_version,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import (
    Database,
    DatabaseBusyError,
    DatabaseClosedError,
    NotNullViolationError,
    RunTransitionError,
    Transaction,
    TransactionError,
    ValidationError,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
    WorkflowPublishStateError,
    WorkflowRunNotFoundError,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


async def fail_in_the_database(unit: Transaction) -> None:
    """Run a statement that the schema refuses, past all rules of ours."""
    event = {"actor": "x", "action": "y", "at": "2026-01-01T00:00:00.000000Z", "metadata": {}}
    queries: Any = unit.workflows.q
    await queries.insert_workflow(
        id=uuid4(), handle=None, slug="s", name=None, description=None, tags=[],
        draft_access="personal", now=unit.now(), event=event,
        handle_text="", name_text="", description_text="", tags_text="",
    )  # fmt: skip


async def lose(scope: AbstractAsyncContextManager[Transaction], name: str) -> None:
    """Create a workflow in a unit of work, or a savepoint, that fails."""
    async with scope as unit:
        await new_workflow(unit, name, handle="lost")
        raise LookupError(name)


async def swallow(scope: AbstractAsyncContextManager[Transaction], name: str) -> None:
    """Create a workflow beside a database error that nobody hears of."""
    async with scope as unit:
        await new_workflow(unit, name)
        with pytest.raises(NotNullViolationError):
            await fail_in_the_database(unit)


async def names(db: Database) -> list[str]:
    return [each.name for each in await db.workflows.list_workflows(include_archived=True)]


async def test_everything_is_kept_together(db: Database) -> None:
    async with db.transaction() as unit:
        workflow = await new_workflow(unit, "Flow", handle="flow")
        version = await new_version(unit, workflow, {"w": "needle"})
        run = await finished_run(unit, version)
        await unit.workflows.publish_workflow(workflow.id, require_login=True, actor="a")
        changed = await change(unit, workflow.id, description="d")
    assert await db.workflows.get_workflow(workflow.id) == changed
    assert await db.workflows.get_latest_version(workflow.id) == version
    assert await db.workflows.get_run(run.id) == run
    assert (await db.workflows.search_workflows("needle")).items == [changed]


async def test_nothing_is_kept_when_it_fails(db: Database) -> None:
    version = await workflow_with_version(db, "Before")
    before = await db.workflows.get_workflow(version.workflow_id)
    run = await new_run(db, version)

    async def work() -> None:
        async with db.transaction() as unit:
            workflow = await new_workflow(unit, "Flow", handle="flow")
            await new_version(unit, workflow, {"w": "needle"})
            await new_version(unit, version.workflow_id)
            await lead_to(unit, run, "succeeded")
            await change(unit, version.workflow_id, name="After")
            raise LookupError("of the caller's own")

    with pytest.raises(LookupError, match="of the caller's own"):
        await work()
    assert await names(db) == ["Before"]
    assert await db.workflows.get_workflow(before.id) == before
    assert await db.workflows.get_run(run.id) == run
    assert (await db.workflows.search_workflows("needle")).items == []
    assert (await new_version(db, before.id)).version == 2
    await new_workflow(db, handle="flow")


async def test_a_unit_sees_its_own_writes_and_nobody_else_does(
    db: Database, other: Database
) -> None:
    version = await workflow_with_version(db, "Old")
    async with db.transaction() as unit:
        await change(unit, version.workflow_id, name="New needle")
        run = await new_run(unit, version, {"w": "haystack"})
        workflow = await unit.workflows.get_workflow(version.workflow_id)
        assert workflow.name == "New needle"
        assert (await unit.workflows.search_workflows("needle")).items == [workflow]
        assert (await unit.workflows.search_runs("haystack")).items == [run]
        assert await unit.workflows.list_runs_for_workflow(workflow.id) == [run]
        assert (await unit.workflows.count_runs_by_status()).pending == 1
        for outside in (db, other):
            assert (await outside.workflows.get_workflow(workflow.id)).name == "Old"
            assert (await outside.workflows.search_workflows("needle")).items == []
            assert (await outside.workflows.count_runs_by_status()).total == 0
            with pytest.raises(WorkflowRunNotFoundError):
                await outside.workflows.get_run(run.id)
    for outside in (db, other):
        assert (await outside.workflows.get_workflow(workflow.id)).name == "New needle"
        assert await outside.workflows.get_run(run.id) == run


async def test_a_handle_conflict_leaves_the_unit_usable(db: Database) -> None:
    await new_workflow(db, "Holder", handle="taken")
    async with db.transaction() as unit:
        mine = await new_workflow(unit, "Mine")
        with pytest.raises(WorkflowHandleConflictError, match="'taken'"):
            await new_workflow(unit, "Lost", handle="taken")
        with pytest.raises(WorkflowHandleConflictError, match="'taken'"):
            await change(unit, mine.id, handle="taken", name="Lost")
        archived = await new_workflow(unit, "Archived")
        await change(unit, archived.id, handle="two", is_archived=True)
        second = await new_workflow(unit, "Second")
        await change(unit, second.id, handle="two", is_archived=True)
        with pytest.raises(WorkflowHandleConflictError, match="'two'"):
            await change(unit, second.id, is_archived=False)
        await change(unit, mine.id, handle="free")
    assert await names(db) == ["Holder", "Mine", "Archived", "Second"]
    assert (await db.workflows.get_workflow(mine.id)).handle == "free"


async def test_a_handle_conflict_within_one_unit(db: Database) -> None:
    async with db.transaction() as unit:
        await new_workflow(unit, "One", handle="same")
        with pytest.raises(WorkflowHandleConflictError):
            await new_workflow(unit, "Two", handle="same")
    assert await names(db) == ["One"]


async def test_errors_of_ours_leave_the_unit_usable(db: Database) -> None:
    version = await workflow_with_version(db)
    run = await finished_run(db, version)
    async with db.transaction() as unit:
        with pytest.raises(WorkflowNotFoundError):
            await change(unit, MISSING, name="x")
        with pytest.raises(ValidationError):
            await new_workflow(unit, "")
        with pytest.raises(RunTransitionError):
            await unit.workflows.mark_run_started(run.id, actor="x")
        with pytest.raises(WorkflowPublishStateError):
            await unit.workflows.revoke_publish(version.workflow_id, actor="x")
        with pytest.raises(WorkflowNotFoundError):
            await new_version(unit, MISSING)
        await new_workflow(unit, "Kept")
    assert await names(db) == ["Flow", "Kept"]


async def test_a_database_error_that_is_swallowed_undoes_the_unit(db: Database) -> None:
    async def work() -> None:
        async with db.transaction() as unit:
            await new_workflow(unit, "Lost")
            with pytest.raises(NotNullViolationError):
                await fail_in_the_database(unit)
            with pytest.raises(TransactionError, match="can only be rolled back"):
                await new_workflow(unit, "Never")
            with pytest.raises(TransactionError, match="can only be rolled back"):
                await unit.workflows.list_workflows()

    with pytest.raises(TransactionError, match="insert_workflow failed in it and the error was"):
        await work()
    assert await names(db) == []
    async with db.transaction() as unit:
        await new_workflow(unit, "Next")
    assert await names(db) == ["Next"]


async def test_a_database_error_that_is_not_swallowed_is_what_the_caller_gets(
    db: Database,
) -> None:
    async def work() -> None:
        async with db.transaction() as unit:
            await new_workflow(unit, "Lost")
            await fail_in_the_database(unit)

    with pytest.raises(NotNullViolationError) as failed:
        await work()
    assert failed.value.query == "workflows.insert_workflow"
    assert await names(db) == []


# --- Savepoints --------------------------------------------------------------------------------


async def test_a_nested_unit_can_fail_alone(db: Database) -> None:
    async with db.transaction() as unit:
        await new_workflow(unit, "Outer")
        with pytest.raises(LookupError, match="Inner"):
            await lose(unit.transaction(), "Inner")
        async with unit.transaction() as inner:
            await new_workflow(inner, "Kept", handle="lost")
            with pytest.raises(WorkflowHandleConflictError):
                await lose(inner.transaction(), "Innermost")
        await new_workflow(unit, "After")
    assert await names(db) == ["Outer", "Kept", "After"]


async def test_an_error_swallowed_in_a_nested_unit_undoes_that_one(db: Database) -> None:
    async with db.transaction() as unit:
        await new_workflow(unit, "Outer")
        with pytest.raises(TransactionError, match="the error was swallowed"):
            await swallow(unit.transaction(), "Inner")
        await new_workflow(unit, "After")
    assert await names(db) == ["Outer", "After"]


async def test_a_nested_unit_goes_down_with_the_outer_one(db: Database) -> None:
    async def work() -> None:
        async with db.transaction() as unit:
            async with unit.transaction() as inner:
                await new_workflow(inner, "Inner")
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    assert await names(db) == []


async def test_a_savepoint_may_be_the_first_thing_of_a_unit(db: Database) -> None:
    async with db.transaction() as unit:
        with pytest.raises(LookupError):
            await lose(unit.transaction(), "Lost")
        async with unit.transaction():
            await new_workflow(unit, "Kept", handle="lost")
    assert await names(db) == ["Kept"]


# --- Misuse ------------------------------------------------------------------------------------


async def test_a_write_beside_the_unit_is_refused(db: Database) -> None:
    workflow = await new_workflow(db, "Flow")
    async with db.transaction() as unit:
        await new_workflow(unit, "Kept")
        for write in (
            lambda: new_workflow(db, "Beside"),
            lambda: change(db, workflow.id, name="Beside"),
            db.workflows.reset,
        ):
            with pytest.raises(TransactionError, match="use the unit's repositories"):
                await write()
        assert await names(db) == ["Flow"]
    assert await names(db) == ["Flow", "Kept"]


async def test_a_second_unit_in_one_task_is_refused(db: Database) -> None:
    async with db.transaction() as unit:
        with pytest.raises(TransactionError, match="nest with"):
            await lose(db.transaction(), "Second")
        await new_workflow(unit, "Kept")
    assert await names(db) == ["Kept"]


async def test_a_unit_that_is_over_cannot_be_used(db: Database) -> None:
    async with db.transaction() as unit:
        repository = unit.workflows
        await new_workflow(unit)
    with pytest.raises(TransactionError, match="over"):
        await repository.list_workflows()
    with pytest.raises(TransactionError, match="over"):
        await lose(unit.transaction(), "Late")
    await new_workflow(db, "Beside")
    assert len(await names(db)) == 2


async def test_a_unit_without_queries_does_nothing(db: Database) -> None:
    async with db.transaction(), asyncio.timeout(5):
        pass
    assert await names(db) == []


async def test_a_closed_database_says_so(settings_of: dict[str, Any]) -> None:
    db = Database(**settings_of)
    with pytest.raises(DatabaseClosedError, match="not open"):
        await db.workflows.list_workflows()
    async with db:
        await new_workflow(db)
    with pytest.raises(DatabaseClosedError, match="not open"):
        await db.workflows.list_workflows()
    with pytest.raises(DatabaseClosedError, match="not open"):
        await lose(db.transaction(), "Late")
    async with db:
        assert len(await names(db)) == 1


# --- Side by side ------------------------------------------------------------------------------


async def test_units_of_many_tasks_all_get_through(db: Database, other: Database) -> None:
    workflow = await new_workflow(db)

    async def work(store: Database, number: int) -> None:
        async with store.transaction() as unit:
            version = await new_version(unit, workflow, {"n": number})
            await new_run(unit, version, {"n": number})

    await asyncio.gather(*(work(store, n) for n in range(8) for store in (db, other)))
    versions = await db.workflows.list_versions(workflow.id)
    assert [each.version for each in versions] == list(range(1, 17))
    runs = await db.workflows.list_runs_for_workflow(workflow.id)
    graph_of = {each.id: each.graph["n"] for each in versions}
    assert all(graph_of[run.workflow_version_id] == run.input_payload["n"] for run in runs)
    assert len(runs) == 16


async def test_a_cancelled_unit_leaves_nothing_and_blocks_nobody(
    db: Database, settings_of: dict[str, Any]
) -> None:
    workflow = await new_workflow(db, "Before")
    entered = asyncio.Event()

    async def work() -> None:
        async with db.transaction() as unit:
            await change(unit, workflow.id, name="After")
            await new_workflow(unit, "Lost")
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await names(db) == ["Before"]
    async with asyncio.timeout(5), direct(settings_of) as connection:
        await connection.execute("UPDATE workflows SET slug = 'free'")


async def test_passing_failures_are_tried_again_as_a_whole(db: Database) -> None:
    attempts: list[UUID] = []

    async def work(unit: Transaction) -> str:
        attempts.append((await new_workflow(unit, f"Try {len(attempts)}")).id)
        if len(attempts) < 3:
            raise DatabaseBusyError("somebody else's turn")
        return "done"

    assert await db.retry(work) == "done"
    assert await names(db) == ["Try 2"]

    async def hopeless(unit: Transaction) -> None:
        await new_workflow(unit, "Never")
        attempts.append(MISSING)
        raise DatabaseBusyError("still")

    with pytest.raises(DatabaseBusyError, match="still"):
        await db.retry(hopeless, attempts=2)
    assert attempts.count(MISSING) == 2
    assert await names(db) == ["Try 2"]


async def test_failures_that_stay_are_not_tried_again(db: Database) -> None:
    await new_workflow(db, handle="taken")
    attempts: list[int] = []

    async def work(unit: Transaction) -> None:
        attempts.append(1)
        await new_workflow(unit, handle="taken")

    with pytest.raises(WorkflowHandleConflictError):
        await db.retry(work)
    assert len(attempts) == 1
