"""Workflows, versions and runs: point reads, state changes, lists and search of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from orcheo_sql._filters import JsonFilter

from ..data import MORE_THAN_A_PAGE, PAYLOAD
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from orcheo_sql.structs import WorkflowVersion

    from ..data import Data

DEEPEST_PAGES = 20
COMMON_WORD = "please"


async def one_version(data: Data, count: int) -> Sequence[WorkflowVersion]:
    return [await data.new_version()] * count


async def pending_runs(data: Data, count: int) -> Sequence[UUID]:
    version = await data.new_version()
    return [(await data.new_run(version)).id for _ in range(count)]


async def running_runs(data: Data, count: int) -> Sequence[UUID]:
    runs = await pending_runs(data, count)
    for run in runs:
        await data.db.workflows.mark_run_started(run, actor="bench")
    return runs


async def more_than_a_page_succeeded(data: Data, count: int) -> Sequence[None]:
    for run in await running_runs(data, MORE_THAN_A_PAGE):
        await data.db.workflows.mark_run_succeeded(run, actor="bench", output={"answer": 42})
    return [None] * count


async def deep_cursor(data: Data, count: int) -> Sequence[str | None]:
    """Return a cursor half-way down the list of all runs, or twenty thousand rows down."""
    await data.workflows_with_runs(1)
    counts = await data.db.workflows.count_runs_by_status()
    cursor = None
    for _ in range(min(max(counts.total // 2000, 1), DEEPEST_PAGES)):
        page = await data.db.workflows.page_runs(limit=min(counts.total // 2, 1000), cursor=cursor)
        cursor = page.next_cursor or cursor
    return [cursor] * count


async def rare_filter(data: Data, count: int) -> Sequence[JsonFilter]:
    """Return a filter that one run meets."""
    mark = uuid4().hex
    await data.new_run(await data.new_version(), {**PAYLOAD, "mark": mark})
    return [JsonFilter(contains={"mark": mark})] * count


async def common_filter(data: Data, count: int) -> Sequence[JsonFilter]:
    """Return a filter that many runs meet."""
    await _common_runs(data)
    return [JsonFilter(contains={"customer": {"tier": "gold"}})] * count


async def common_word(data: Data, count: int) -> Sequence[str]:
    """Return a word that many runs are found by."""
    await _common_runs(data)
    return [COMMON_WORD] * count


async def _common_runs(data: Data) -> None:
    version = await data.new_version()
    for _ in range(MORE_THAN_A_PAGE):
        await data.new_run(version)


async def rare_word(data: Data, count: int) -> Sequence[str]:
    """Return a word that one run is found by."""
    word = f"rare{uuid4().hex[:12]}"
    await data.new_run(await data.new_version(), {"question": word})
    return [word] * count


OPERATIONS = (
    Operation(
        "workflows.get_workflow",
        lambda data, count: data.workflows(count),
        lambda db, w: db.workflows.get_workflow(w),
    ),
    Operation(
        "workflows.get_version",
        lambda data, count: data.versions(count),
        lambda db, v: db.workflows.get_version(v),
    ),
    Operation(
        "workflows.get_run",
        lambda data, count: data.runs(count),
        lambda db, r: db.workflows.get_run(r),
    ),
    Operation(
        "workflows.create_run",
        one_version,
        lambda db, v: db.workflows.create_run(
            v.workflow_id,
            workflow_version_id=v.id,
            triggered_by="manual",
            input_payload=PAYLOAD,
        ),
        writes=True,
    ),
    Operation(
        "workflows.mark_run_started",
        pending_runs,
        lambda db, r: db.workflows.mark_run_started(r, actor="bench"),
        writes=True,
    ),
    Operation(
        "workflows.mark_run_succeeded",
        running_runs,
        lambda db, r: db.workflows.mark_run_succeeded(r, actor="bench", output={"answer": 42}),
        writes=True,
    ),
    Operation(
        "workflows.mark_run_failed",
        running_runs,
        lambda db, r: db.workflows.mark_run_failed(r, actor="bench", error="It timed out"),
        writes=True,
    ),
    Operation(
        "workflows.mark_run_cancelled",
        pending_runs,
        lambda db, r: db.workflows.mark_run_cancelled(r, actor="bench", reason="Not needed"),
        writes=True,
    ),
    Operation(
        "workflows.page_runs, 50",
        lambda data, count: data.workflows_with_runs(count),
        lambda db, w: db.workflows.page_runs(workflow_id=w, limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.page_runs, status",
        more_than_a_page_succeeded,
        lambda db, _: db.workflows.page_runs(status="succeeded", limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.page_runs, deep",
        deep_cursor,
        lambda db, c: db.workflows.page_runs(limit=50, cursor=c),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.page_runs, JSON filter",
        rare_filter,
        lambda db, f: db.workflows.page_runs(input_filter=f, limit=50),
    ),
    Operation(
        "workflows.page_runs, common JSON filter",
        common_filter,
        lambda db, f: db.workflows.page_runs(input_filter=f, limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.search_runs",
        rare_word,
        lambda db, word: db.workflows.search_runs(word, limit=50),
    ),
    Operation(
        "workflows.search_runs, common word",
        common_word,
        lambda db, word: db.workflows.search_runs(word, limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.count_runs_by_status",
        lambda data, count: data.workflows_with_runs(count),
        lambda db, w: db.workflows.count_runs_by_status(workflow_id=w),
        growth=2.0,  # in the smallest data sets a workflow has a quarter of the runs
    ),
)
