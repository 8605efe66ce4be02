"""``orcheo-sql outbox``: runs that wait for a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._exits import run_async
from ._operator import Json, Limit, collect, database, in_batches, moment, note_more, seconds
from ._output import emit, emit_json, table

if TYPE_CHECKING:
    from orcheo_sql import OutboxCounts, OutboxEntry

outbox_app = typer.Typer(
    help="Look at the runs that wait for a worker. How they get there: docs/scheduling.md.",
    no_args_is_help=True,
)


@outbox_app.command("list")
def list_outbox(limit: Limit = 100, json: Json = False) -> None:
    """List what is offered to workers, and what they have claimed. Writes nothing."""
    counts, entries, is_more = run_async(_outbox(limit))
    if json:
        emit_json({"counts": counts, "entries": entries})
    else:
        emit(_table(counts, entries))
    note_more(is_more, limit)


@outbox_app.command()
def sweep(
    pending_for: Annotated[
        float,
        typer.Option(
            metavar="SPAN",
            show_default=False,
            parser=seconds,
            help="Runs created at least this long ago, such as 15m: longer than a worker may "
            "take to start one.",
        ),
    ],
    json: Json = False,
) -> None:
    """Offer runs again that a worker has acknowledged and never started."""
    count = run_async(_sweep(pending_for))
    emit_json({"offered": count}) if json else emit(f"Offered {count} runs again")


async def _outbox(limit: int) -> tuple[OutboxCounts, list[OutboxEntry], bool]:
    async with database(look_only=True) as db:
        entries, is_more = await collect(
            lambda n, at: db.workflows.page_outbox(limit=n, cursor=at), limit
        )
        return await db.workflows.count_outbox(), entries, is_more


async def _sweep(pending_for: float) -> int:
    async with database() as db:
        return await in_batches(
            lambda n: db.workflows.sweep_outbox(pending_for=pending_for, limit=n), "runs offered"
        )


def _table(counts: OutboxCounts, entries: list[OutboxEntry]) -> Any:
    title = f"Outbox: {counts.total} runs, {counts.offered} offered, {counts.claimed} claimed"
    head = ["=run", "triggered by", "=status", "consumer", "#claims", "=offered from (UTC)"]
    rows = [
        (e.run_id, e.triggered_by, e.status, e.consumer, e.attempts, moment(e.available_at))
        for e in entries
    ]
    return table(title, head, rows)
