"""Pages: every item once and in order, whatever is added or deleted in between."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from tests.repositories.factories import (
    NOON,
    Clock,
    change,
    finished_run,
    follow,
    new_run,
    new_version,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import Database, InvalidCursorError, Page, ValidationError, WorkflowSummary

Lists = dict[str, Callable[..., Awaitable[Page[Any]]]]


async def every_list(db: Database) -> Lists:
    """Return all paged lists of one database, each with seven items of the same instant."""
    version = await workflow_with_version(db, "Findable 0")
    for number in range(1, 7):
        await new_workflow(db, f"Findable {number}")
        await new_version(db, version.workflow_id)
    for _ in range(7):
        await new_run(db, version, {"word": "findable"})
    for _ in range(6):
        await change(db, version.workflow_id)
    repository = db.workflows
    return {
        "workflows": repository.page_workflows,
        "summaries": repository.page_workflow_summaries,
        "found-workflows": lambda **page: repository.search_workflows("findable", **page),
        "versions": lambda **page: repository.page_versions(version.workflow_id, **page),
        "runs": repository.page_runs,
        "runs-of-one": lambda **page: repository.page_runs(workflow_id=version.workflow_id, **page),
        "runs-by-status": lambda **page: repository.page_runs(status="pending", **page),
        "runs-by-trigger": lambda **page: repository.page_runs(triggered_by="manual", **page),
        "runs-by-both": lambda **page: repository.page_runs(
            workflow_id=version.workflow_id, status="pending", **page
        ),
        "found-runs": lambda **page: repository.search_runs("findable", **page),
        "found-runs-of-one": lambda **page: repository.search_runs(
            "findable", workflow_id=version.workflow_id, **page
        ),
        "audit": lambda **page: repository.page_audit_records(version.workflow_id, **page),
    }


def key_of(item: Any) -> Any:
    return getattr(item, "seq", None) or getattr(item, "version", None) or item.id


async def test_pages_hold_every_item_once_and_in_the_order_of_the_list(timed: Database) -> None:
    for name, page in (await every_list(timed)).items():
        whole = await page()
        assert whole.next_cursor is None
        assert len({key_of(item) for item in whole.items}) == 7, name
        for limit in (1, 2, 3, 6, 7, 8):
            pages = await follow(partial(page, limit=limit))
            assert [len(items) for items in pages[:-1]] == [limit] * (len(pages) - 1)
            assert [item for items in pages for item in items] == whole.items, (name, limit)
            assert len(pages) == -(-7 // limit)


async def test_items_of_one_instant_are_ordered_by_their_id(timed: Database) -> None:
    lists = await every_list(timed)
    for name in ("workflows", "summaries"):
        ids = [item.id for item in (await lists[name]()).items]
        assert ids == sorted(ids)
    for name in ("runs", "runs-of-one", "found-runs", "found-workflows"):
        ids = [item.id for item in (await lists[name]()).items]
        assert ids == sorted(ids, reverse=True)
    listed = await timed.workflows.list_workflows()
    assert listed == (await lists["workflows"]()).items


async def test_a_page_of_nothing_ends_there(timed: Database) -> None:
    for page in (await every_list(timed)).values():
        assert await page(limit=0) == Page([], None)


async def test_a_limit_is_a_number_from_zero_to_a_thousand(timed: Database) -> None:
    for page in (await every_list(timed)).values():
        assert len((await page(limit=1000)).items) == 7
        for wrong in (-1, 1001, True, "5", 2.0, None, 10**30):
            with pytest.raises(ValidationError, match="limit must"):
                await page(limit=wrong)


async def test_a_cursor_leads_only_through_the_list_that_gave_it(timed: Database) -> None:
    lists = await every_list(timed)
    cursors = {name: (await page(limit=3)).next_cursor for name, page in lists.items()}
    kinds = {name: name.partition("-")[0] if name.startswith("runs") else name for name in lists}
    kinds["found-runs-of-one"] = "found-runs"
    for name, page in lists.items():
        for source, cursor in cursors.items():
            assert cursor is not None
            if kinds[name] == kinds[source]:
                assert len((await page(cursor=cursor)).items) == 4
                continue
            with pytest.raises(InvalidCursorError):
                await page(cursor=cursor)


async def test_what_is_no_cursor_is_refused(timed: Database) -> None:
    for page in (await every_list(timed)).values():
        cursor = (await page(limit=3)).next_cursor
        assert cursor is not None
        swapped = "A" if cursor[9] != "A" else "B"
        for wrong in (
            "", " ", "x", "0", "null", "\0", "日本", cursor[:-1], cursor[1:], cursor + "A",
            cursor + "=", cursor.swapcase(), cursor[:9] + swapped + cursor[10:], "A" * 5000,
            "' OR 1=1 --", 7, b"x", NOON,
        ):  # fmt: skip
            with pytest.raises(InvalidCursorError):
                await page(cursor=wrong)


async def test_cursors_are_safe_in_urls(timed: Database) -> None:
    for page in (await every_list(timed)).values():
        cursor = (await page(limit=1)).next_cursor
        assert cursor is not None
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert len(cursor) < 100


async def test_new_and_deleted_items_neither_repeat_nor_hide_others(
    timed: Database, clock: Clock
) -> None:
    version = await workflow_with_version(timed)
    made = []
    for _ in range(9):
        clock.tick()
        made.append(await finished_run(timed, version))
    newest_first = [run.id for run in reversed(made)]

    first = await timed.workflows.page_runs(limit=3)
    assert [run.id for run in first.items] == newest_first[:3]
    clock.tick()
    await new_run(timed, version)
    await timed.workflows.prune_runs(created_before=made[2].created_at)
    second = await timed.workflows.page_runs(limit=3, cursor=first.next_cursor)
    assert [run.id for run in second.items] == newest_first[3:6]
    third = await timed.workflows.page_runs(limit=3, cursor=second.next_cursor)
    assert [run.id for run in third.items] == newest_first[6:7]
    assert third.next_cursor is None


async def test_the_item_that_a_cursor_points_at_may_be_gone(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    old = await new_run(timed, version)
    clock.tick()
    pointed = await finished_run(timed, version)
    clock.tick()
    await new_run(timed, version)
    page = await timed.workflows.page_runs(limit=2)
    assert page.items[-1].id == pointed.id
    assert await timed.workflows.prune_runs(created_before=clock.at) == 1
    after = await timed.workflows.page_runs(limit=2, cursor=page.next_cursor)
    assert after.items == [old]


async def test_workflows_created_meanwhile_come_on_a_later_page(
    timed: Database, clock: Clock
) -> None:
    for name in ("a", "b", "c"):
        await new_workflow(timed, name)
        clock.tick()
    first = await timed.workflows.page_workflows(limit=2)
    await new_workflow(timed, "d")
    await timed.workflows.archive_workflow(first.items[0].id, actor="ada")
    second = await timed.workflows.page_workflows(limit=2, cursor=first.next_cursor)
    assert [each.name for each in first.items + second.items] == ["a", "b", "c", "d"]
    assert second.next_cursor is None


async def test_archived_workflows_are_paged_on_request(timed: Database, clock: Clock) -> None:
    for name in ("findme a", "findme b", "findme c"):
        created = await new_workflow(timed, name)
        clock.tick()
        if name != "findme b":
            await timed.workflows.archive_workflow(created.id, actor="ada")
    repository = timed.workflows
    for page in (
        repository.page_workflows,
        repository.page_workflow_summaries,
        lambda **given: repository.search_workflows("findme", **given),
    ):
        assert [each.name for each in (await page()).items] == ["findme b"]
        every = await follow(partial(page, include_archived=True, limit=1))
        found = [each.name for items in every for each in items]
        assert sorted(found) == ["findme a", "findme b", "findme c"]


async def test_summaries_show_the_latest_version_without_graphs(
    timed: Database, clock: Clock
) -> None:
    bare = await new_workflow(timed, "Bare", handle="bare", tags=["x"], description="d")
    clock.tick()
    full = await new_workflow(timed, "Full", draft_access="workspace")
    await new_version(timed, full, {"large": "graph"})
    at = clock.tick()
    latest = await new_version(timed, full)
    await timed.workflows.publish_workflow(full.id, require_login=False, actor="ada")
    page = await timed.workflows.page_workflow_summaries()
    assert page.items == [
        WorkflowSummary(
            id=bare.id,
            handle="bare",
            slug="bare",
            name="Bare",
            description="d",
            tags=["x"],
            draft_access=bare.draft_access,
            is_archived=False,
            is_public=False,
            created_at=NOON,
            updated_at=NOON,
            latest_version=None,
            latest_version_id=None,
            latest_version_created_at=None,
        ),
        WorkflowSummary(
            id=full.id,
            handle=None,
            slug="full",
            name="Full",
            description=None,
            tags=[],
            draft_access=full.draft_access,
            is_archived=False,
            is_public=True,
            created_at=NOON + dt.timedelta(seconds=1),
            updated_at=at,
            latest_version=2,
            latest_version_id=latest.id,
            latest_version_created_at=at,
        ),
    ]
