"""Short ways to make what a test needs; every argument of the operation can be given by name."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orcheo_sql import Database, postgres_connection, sqlite_connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from orcheo_sql import Page, QueryTiming, Transaction, Workflow, WorkflowRun, WorkflowVersion

    Store = Database | Transaction

NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=dt.UTC)
MISSING = UUID("00000000-0000-4000-8000-000000000000")
"""An id that nothing has."""


class Clock:
    """A clock that stands still until it is moved; give it to `Database(clock=…)`."""

    def __init__(self, at: dt.datetime = NOON):
        self.at = at

    def __call__(self) -> dt.datetime:
        return self.at

    def tick(self, seconds: float = 1) -> dt.datetime:
        self.at += dt.timedelta(seconds=seconds)
        return self.at


class Queries(list[str]):
    """The names of the queries that ran, without their folder; `take` returns and forgets them."""

    def __call__(self, timing: QueryTiming) -> None:
        self.append(timing.query.rpartition(".")[2])

    def take(self) -> list[str]:
        taken = list(self)
        self.clear()
        return taken


async def new_workflow(db: Store, name: Any = "Flow", **fields: Any) -> Workflow:
    given: dict[str, Any] = {
        "slug": None,
        "description": None,
        "tags": None,
        "draft_access": "personal",
        "actor": "ada",
        **fields,
    }
    return await db.workflows.create_workflow(name=name, **given)


async def change(db: Store, workflow_id: UUID, **fields: Any) -> Workflow:
    """Update the fields that are given and no other."""
    given: dict[str, Any] = {
        "name": None,
        "description": None,
        "tags": None,
        "is_archived": None,
        "actor": "eve",
        **fields,
    }
    return await db.workflows.update_workflow(workflow_id, **given)


async def new_version(
    db: Store, workflow: Workflow | UUID, graph: Any = None, **fields: Any
) -> WorkflowVersion:
    given: dict[str, Any] = {
        "metadata": {},
        "notes": None,
        "created_by": "ada",
        **fields,
    }
    workflow_id = workflow if isinstance(workflow, UUID) else workflow.id
    return await db.workflows.create_version(workflow_id, graph=graph or {}, **given)


async def new_run(
    db: Store, version: WorkflowVersion, payload: dict[str, Any] | None = None, **fields: Any
) -> WorkflowRun:
    given: dict[str, Any] = {"triggered_by": "manual", **fields}
    return await db.workflows.create_run(
        version.workflow_id,
        workflow_version_id=version.id,
        input_payload={} if payload is None else payload,
        **given,
    )


async def workflow_with_version(
    db: Store, name: str = "Flow", graph: Any = None, **fields: Any
) -> WorkflowVersion:
    """Return the first version of a new workflow."""
    return await new_version(db, await new_workflow(db, name), graph, **fields)


async def finished_run(
    db: Store, version: WorkflowVersion, status: str = "succeeded", **fields: Any
) -> WorkflowRun:
    """Return a run that was led to a status."""
    run = await new_run(db, version, **fields)
    return await lead_to(db, run, status)


async def lead_to(db: Store, run: WorkflowRun, status: str) -> WorkflowRun:
    """Move a pending run to a status."""
    if status in ("running", "succeeded"):
        run = await db.workflows.mark_run_started(run.id, actor="worker")
    if status == "succeeded":
        run = await db.workflows.mark_run_succeeded(run.id, actor="worker", output={"ok": True})
    if status == "failed":
        run = await db.workflows.mark_run_failed(run.id, actor="worker", error="boom")
    if status == "cancelled":
        run = await db.workflows.mark_run_cancelled(run.id, actor="ada", reason="stop")
    return run


async def run_names(db: Store, **conditions: Any) -> str:
    """Return the `name` in the input of each run that meets the conditions, in their order."""
    page = await db.workflows.page_runs(**conditions)
    assert page.next_cursor is None
    return " ".join(run.input_payload["name"] for run in page.items)


async def follow(page: Callable[..., Awaitable[Page[Any]]]) -> list[list[Any]]:
    """Return the items of every page of a list, page by page."""
    pages = [await page(cursor=None)]
    while pages[-1].next_cursor is not None:
        assert len(pages) < 1000, "the pages do not end"
        pages.append(await page(cursor=pages[-1].next_cursor))
    return [found.items for found in pages]


@asynccontextmanager
async def direct(settings: dict[str, Any]) -> AsyncIterator[Any]:
    """Connect beside the library, to see or to change what it can't: ``await connection.execute(sql)``."""
    if "postgres_dsn" in settings:
        async with postgres_connection(settings["postgres_dsn"]) as connection:
            yield connection
    else:
        async with sqlite_connection(settings["database_path"]) as connection:
            yield connection


async def rows(settings: dict[str, Any], sql: str) -> list[tuple[Any, ...]]:
    """Run a statement beside the library and return its rows."""
    async with direct(settings) as connection:
        cursor = await connection.execute(sql)
        return [tuple(row) for row in await cursor.fetchall()]
