"""``orcheo-sql history``: how long run histories are kept."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ._exits import run_async
from ._operator import Json, database, in_batches, seconds
from ._output import emit, emit_json

history_app = typer.Typer(
    help="Look after run histories. What is in them: docs/history.md.", no_args_is_help=True
)


class EndedStatus(StrEnum):
    """The ways in which an execution ends."""

    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"


@history_app.callback()
def _group() -> None:
    """Keep `prune` a command of a group, though it is the only one."""


@history_app.command()
def prune(
    older_than: Annotated[
        float,
        typer.Option(
            metavar="SPAN",
            show_default=False,
            parser=seconds,
            help="Those that ended longer ago than this, such as 30d.",
        ),
    ],
    status: Annotated[
        list[EndedStatus] | None,
        typer.Option(show_default=False, help="Those that ended so; repeatable. Else all."),
    ] = None,
    json: Json = False,
) -> None:
    """Delete old histories with their steps, in batches. Running executions stay."""
    count = run_async(_prune(older_than, status))
    emit_json({"deleted": count}) if json else emit(f"Deleted {count} histories")


async def _prune(older_than: float, statuses: list[EndedStatus] | None) -> int:
    from datetime import timedelta

    from orcheo_sql.repositories.base import EARLIEST

    async with database() as db:
        try:
            before = db.now() - timedelta(seconds=older_than)
        except OverflowError:  # before the calendar begins
            before = EARLIEST
        return await in_batches(
            lambda limit: db.history.prune_histories(
                finished_before=before, statuses=statuses or None, limit=limit
            ),
            "histories deleted",
        )
