"""The demo's reading half: search, filters, pages, counts, the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orcheo_sql import JsonFilter, RunStatusCounts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from orcheo_sql import AuditEntry, Database, Page

    from ._demo_store import Stored

PAGE = 20
# How far the demo counts in a database that may hold much else.
MOST_PAGES = 50
LONGEST_EXAMPLE = 80

RUN_SEARCHES = ('"timed out"', "steps -webhook", "retry step*", "报告")
SAMPLE_RUN_SEARCHES = (*RUN_SEARCHES[:3], "東京")


class Found(msgspec.Struct, frozen=True):
    """What one question to the database gave."""

    asked: str
    hits: int
    examples: list[str]
    more: bool = False


class WorkflowLine(msgspec.Struct, frozen=True):
    """One workflow of the demo and the states of its runs."""

    handle: str
    name: str
    versions: int
    changed: str
    runs: RunStatusCounts


class Walk(msgspec.Struct, frozen=True):
    """A list read to its end by its cursors."""

    pages: int
    items: int
    repeated: int
    """Items met twice: none, whatever others write meanwhile."""


async def look_at_workflows(db: Database, stored: Iterable[Stored]) -> list[WorkflowLine]:
    """Count the runs of each workflow by state."""
    lines = []
    for each in stored:
        counts = await db.workflows.count_runs_by_status(workflow_id=each.workflow.id)
        change = "new" if each.is_new else "changed" if each.new_versions else "as before"
        lines.append(
            WorkflowLine(
                each.source.handle, each.workflow.name, each.latest.version, change, counts
            )
        )
    return lines


async def search_workflows(db: Database, queries: Iterable[str]) -> list[Found]:
    """Search by the words of the graphs."""
    found = []
    for query in queries:
        page = await db.workflows.search_workflows(query, limit=1000)
        found.append(_found(query, page, lambda w: w.handle or w.name))
    return found


async def search_runs(db: Database, queries: Iterable[str]) -> list[Found]:
    """Search runs by what they were asked, what they answered, and why they failed."""
    found = []
    for query in queries:
        page = await db.workflows.search_runs(query, limit=1000)
        found.append(_found(query, page, lambda run: run.error or asked_of(run.input_payload)))
    return found


def asked_of(payload: dict[str, Any]) -> str:
    """Return what a run is about, whichever trigger started it; anybody's runs may be found."""
    body, message = payload.get("body"), payload.get("message")
    for holder, name in ((payload, "question"), (body, "question"), (message, "text")):
        if isinstance(holder, dict) and isinstance(text := holder.get(name), str):
            return text
    occurrence = payload.get("scheduled_for")
    return f"of {occurrence}" if isinstance(occurrence, str) else "-"


def filters_of(stored: list[Stored], since: datetime) -> dict[str, dict[str, Any]]:
    """Return the conditions that the demo lists runs by, each with its description."""
    gold = JsonFilter(contains={"customer": {"tier": "gold"}})
    urgent = JsonFilter(
        contains={"body": {"customer": {"country": "JP"}}}, where=[("body.priority", ">=", 3)]
    )
    first = stored[0]
    return {
        "status failed": {"status": "failed"},
        'input contains {"customer": {"tier": "gold"}}': {"input_filter": gold},
        'input contains {"body": {"customer": {"country": "JP"}}} and body.priority >= 3': {
            "input_filter": urgent
        },
        "input has scheduled_for": {
            "input_filter": JsonFilter(where=[("scheduled_for", "exists")])
        },
        "output score >= 0.8": {"output_filter": JsonFilter(where=[("score", ">=", 0.8)])},
        f"of {first.source.handle}, succeeded, by webhook": {
            "workflow_id": first.workflow.id,
            "status": "succeeded",
            "triggered_by": "webhook",
        },
        "created since the demo began": {"created_from": since},
    }


async def filter_runs(db: Database, filters: dict[str, dict[str, Any]]) -> list[Found]:
    """List runs by state, trigger, time and JSON filters."""
    found = []
    for asked, conditions in filters.items():
        page = await db.workflows.page_runs(**conditions, limit=1000)
        found.append(_found(asked, page, lambda r: f"{r.triggered_by}/{r.status}"))
    return found


async def walk_runs(db: Database, until: datetime) -> Walk:
    """Read the runs created before a time, newest first, page by page."""

    async def fetch(cursor: str | None) -> Page[Any]:
        return await db.workflows.page_runs(created_before=until, limit=PAGE, cursor=cursor)

    return await _walk(fetch)


async def trail_of(db: Database, stored: Iterable[Stored]) -> tuple[str, list[AuditEntry]]:
    """Return the longest audit trail among the new runs, and what run that is."""
    runs = [(each, each.fullest_run) for each in stored if each.fullest_run is not None]
    if not runs:
        return "", []
    each, run = max(runs, key=lambda pair: len(pair[1].audit_log))
    page = await db.workflows.page_audit_records(run.id)
    return f"run {run.id} of {each.source.handle}", page.items


async def _walk(fetch: Callable[[str | None], Awaitable[Page[Any]]]) -> Walk:
    seen: set[Any] = set()
    pages = items = 0
    cursor: str | None = None
    while pages < MOST_PAGES:
        page = await fetch(cursor)
        pages += 1
        items += len(page.items)
        seen.update(item.id for item in page.items)
        cursor = page.next_cursor
        if cursor is None:
            break
    return Walk(pages, items, items - len(seen))


def _found(asked: str, page: Page[Any], show: Callable[[Any], str]) -> Found:
    examples = list(dict.fromkeys(show(item)[:LONGEST_EXAMPLE] for item in page.items))[:3]
    return Found(asked, len(page.items), examples, page.next_cursor is not None)
