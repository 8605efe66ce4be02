"""What operators' commands share: an open database, workflows by name, spans of time, lists, batches."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ._exits import FAILURE, USAGE
from ._output import complain, note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from orcheo_sql import Database, Page

ACTOR = "orcheo-sql"
"""Who an audit trail names unless `--actor` does."""
BATCH = 1000
LONGEST_SPAN = timedelta(days=3660)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Limit = Annotated[int, typer.Option(metavar="N", min=1, help="List this many at most.")]
Actor = Annotated[str, typer.Option(metavar="NAME", help="Who does this, for the audit trail.")]
WorkflowRef = Annotated[
    str,
    typer.Argument(metavar="WORKFLOW", show_default=False, help="The workflow's id or handle."),
]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)")

T = TypeVar("T")


def seconds(span: str) -> float:
    """Return a span of time such as 90, 90s, 15m, 2h or 1.5d in seconds; for typer."""
    found = _SPAN.fullmatch(span.strip().lower())
    if found is None:
        raise typer.BadParameter("write a number with s, m, h or d, such as 90s, 15m, 2h or 1.5d")
    span_seconds = float(found[1]) * _UNITS[found[2]]
    if span_seconds > LONGEST_SPAN.total_seconds():
        raise typer.BadParameter("that is more than ten years")
    return span_seconds


@asynccontextmanager
async def database(*, look_only: bool = False) -> AsyncIterator[Database]:
    """Open the configured database; what does not exist yet is said, and not created."""
    from orcheo_sql import Database
    from orcheo_sql.settings import load_settings

    from ._places import places

    settings = load_settings()
    for place in places(settings):
        if place.is_absent:
            complain(f"{place.location} does not exist yet; to create it: orcheo-sql migrate up")
            raise typer.Exit(USAGE)
    async with Database(settings, look_only=look_only) as db:
        yield db


async def workflow_id(db: Database, reference: str) -> UUID:
    """Return the id of a workflow, archived or not, that is named by id or handle."""
    from orcheo_sql import WorkflowNotFoundError

    try:
        return await db.workflows.resolve_workflow_ref(reference)
    except WorkflowNotFoundError:
        complain(f"no workflow has the id or handle {reference!r}")
        raise typer.Exit(FAILURE) from None


async def collect(
    fetch: Callable[[int, str | None], Awaitable[Page[T]]], limit: int
) -> tuple[list[T], bool]:
    """Read a list page by page up to a limit; also tell whether there is more."""
    items: list[T] = []
    cursor: str | None = None
    while True:
        page = await fetch(min(BATCH, limit - len(items)), cursor)
        items += page.items
        cursor = page.next_cursor
        if cursor is None or len(items) >= limit:
            return items, cursor is not None


async def in_batches(sweep: Callable[[int], Awaitable[int]], what: str) -> int:
    """Repeat a bounded operation until nothing is left for it, and say on a terminal how far it is."""
    import sys

    done = 0
    while True:
        count = await sweep(BATCH)
        done += count
        if count < BATCH:
            return done
        if sys.stderr.isatty():
            note(f"{done} {what} so far")


def note_more(is_more: bool, limit: int) -> None:
    """Say that a list goes on."""
    if is_more:
        note(f"There are more than these {limit}; to see them: --limit N")


def moment(value: datetime | None) -> str | None:
    """Return a time as it stands in a table."""
    return None if value is None else f"{value:%Y-%m-%d %H:%M:%S}"
