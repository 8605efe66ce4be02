"""``orcheo-sql schedules``: cron schedules, and runs that a dead worker left behind."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from ._exits import run_async
from ._operator import (
    ACTOR,
    Actor,
    Json,
    Limit,
    WorkflowRef,
    collect,
    database,
    in_batches,
    moment,
    note_more,
    seconds,
    workflow_id,
)
from ._output import emit, emit_json, table

if TYPE_CHECKING:
    from orcheo_sql import CronSchedule

schedules_app = typer.Typer(
    help="Look after cron schedules. How they work: docs/scheduling.md.", no_args_is_help=True
)


class UnfinishedStatus(StrEnum):
    """The states that a dead worker may leave a run in."""

    RUNNING = "running"
    PENDING = "pending"


@schedules_app.command("list")
def list_schedules(limit: Limit = 100, json: Json = False) -> None:
    """List the schedules, whether they fire, and when next. Writes nothing."""
    schedules, is_more = run_async(_schedules(limit))
    if json:
        emit_json([_document(each) for each in schedules])
    else:
        emit(_table(schedules))
    note_more(is_more, limit)


@schedules_app.command()
def pause(workflow: WorkflowRef, actor: Actor = ACTOR, json: Json = False) -> None:
    """Stop firing a workflow's schedule until it is resumed."""
    _show(run_async(_pause(workflow, actor)), json)


@schedules_app.command()
def resume(workflow: WorkflowRef, actor: Actor = ACTOR, json: Json = False) -> None:
    """Fire a schedule again that was paused or set aside; what it missed is not made up for."""
    _show(run_async(_resume(workflow, actor)), json)


@schedules_app.command()
def sweep(
    stale_for: Annotated[
        float,
        typer.Option(
            metavar="SPAN",
            show_default=False,
            parser=seconds,
            help="Runs that have been in their state for this long, such as 6h.",
        ),
    ],
    status: Annotated[
        UnfinishedStatus, typer.Option(help="Sweep runs in this state.")
    ] = UnfinishedStatus.RUNNING,
    actor: Actor = ACTOR,
    json: Json = False,
) -> None:
    """Mark runs as failed that a dead worker left behind, so that schedules and retries go on.

    Nothing tells a dead worker from a slow one: choose a span that no run of yours takes.
    """
    count = run_async(_sweep(stale_for, status, actor))
    emit_json({"failed": count}) if json else emit(f"Marked {count} runs as failed")


async def _schedules(limit: int) -> tuple[list[CronSchedule], bool]:
    async with database(look_only=True) as db:
        return await collect(
            lambda n, at: db.workflows.page_cron_schedules(limit=n, cursor=at), limit
        )


async def _pause(reference: str, actor: str) -> CronSchedule:
    async with database() as db:
        return await db.workflows.pause_cron_trigger(await workflow_id(db, reference), actor=actor)


async def _resume(reference: str, actor: str) -> CronSchedule:
    async with database() as db:
        return await db.workflows.resume_cron_trigger(await workflow_id(db, reference), actor=actor)


async def _sweep(stale_for: float, status: UnfinishedStatus, actor: str) -> int:
    async with database() as db:

        async def batch(limit: int) -> int:
            runs = await db.workflows.sweep_stale_runs(
                stale_for=stale_for, status=status.value, limit=limit, actor=actor
            )
            return len(runs)

        return await in_batches(batch, "runs")


def _show(schedule: CronSchedule, json: bool) -> None:
    emit_json(_document(schedule)) if json else emit(_table([schedule]))


def _table(schedules: list[CronSchedule]) -> Any:
    head = ["=workflow", "schedule", "=state", "=next (UTC)"]
    rows = [(s.workflow_id, _described(s), s.state, _next(s)) for s in schedules]
    return table("Schedules", head, rows)


def _described(schedule: CronSchedule) -> str:
    config = schedule.config
    when = (
        f"{config.get('expression')} {config.get('timezone') or 'UTC'}" if config else "unreadable"
    )
    reason = f" ({schedule.reason})" if schedule.reason else ""
    return f"{schedule.workflow_name}: {when}{reason}"


def _next(schedule: CronSchedule) -> str | None:
    if schedule.next_fire_at is not None and schedule.next_fire_at.year == 1:
        return "not looked at yet"
    return moment(schedule.next_fire_at)


def _document(schedule: CronSchedule) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(schedule)
    if schedule.next_fire_at is not None and schedule.next_fire_at.year == 1:
        document["next_fire_at"] = None
    return document
