"""What the processes of a crew do to one database at the same instant."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from tests.races.crew import attempt

from orcheo_sql import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from tests.races.crew import Member

    from orcheo_sql import Transaction, Workflow

NOTHING: dict[str, Any] = {"name": None, "description": None, "tags": None, "is_archived": None}


def opens_itself(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Mark a job for which opening the database is the race."""
    function.opens_itself = True  # type: ignore[attr-defined]
    return function


@opens_itself
async def open_database(settings: dict[str, Any]) -> str:
    """Open the database, use it, and return "ok" or all there is to know of the error."""
    try:
        async with Database(**settings) as db:
            await db.workflows.list_workflows()
    except Exception as error:
        return f"{error!r} after {error.__cause__!r}"
    return "ok"


async def new_workflow(
    db: Database | Transaction, name: str, handle: str | None = None
) -> Workflow:
    return await db.workflows.create_workflow(
        name=name, handle=handle, slug=None, description=None, tags=None, draft_access="personal",
        actor="racer",
    )  # fmt: skip


async def change(
    db: Database | Transaction, workflow: UUID, *, actor: str = "racer", **fields: Any
) -> Workflow:
    return await db.workflows.update_workflow(workflow, actor=actor, **{**NOTHING, **fields})


async def create_versions(member: Member, workflow: UUID, count: int) -> list[int]:
    """Create versions from several tasks at once and return their numbers."""

    async def create() -> int:
        made = await member.db.workflows.create_version(
            workflow, graph={"by": member.number}, metadata={}, notes=None, created_by="racer"
        )
        return made.version

    return await asyncio.gather(*(create() for _ in range(count)))


async def create_with_handles(member: Member, handles: list[str]) -> list[str]:
    outcomes = []
    for handle in handles:
        member.meet()
        outcomes.append(await attempt(new_workflow(member.db, f"{member.number}", handle)))
    return outcomes


async def take_handles(
    member: Member, rounds: list[tuple[str, list[UUID]]], fields: dict[str, Any]
) -> list[str]:
    """Give, in each round, one handle to a workflow of one's own."""
    outcomes = []
    for handle, workflows in rounds:
        member.meet()
        given = change(member.db, workflows[member.number], handle=handle, **fields)
        outcomes.append(await attempt(given))
    return outcomes


async def take_handles_in_turns(member: Member, rounds: list[tuple[str, list[UUID]]]) -> list[str]:
    """Give one handle to active workflows and, at the same time, to archived ones: every other time the other way."""
    outcomes = []
    for number, (handle, workflows) in enumerate(rounds):
        archived = (member.number + number) % 2 == 0
        member.meet()
        given = change(member.db, workflows[member.number], handle=handle, is_archived=archived)
        outcomes.append(await attempt(given))
    return outcomes


async def unarchive_or_leave(member: Member, rounds: list[list[UUID]]) -> list[str]:
    """Even members un-archive a workflow that shares its handle, odd ones let go of the handle."""
    outcomes = []
    for number, workflows in enumerate(rounds):
        mine = workflows[member.number]
        fields = (
            {"handle": f"other-{number}-{member.number}"}
            if member.number % 2
            else {"is_archived": False}
        )
        member.meet()
        outcomes.append(await attempt(change(member.db, mine, **fields)))
    return outcomes


async def juggle_handles(member: Member, workflows: list[UUID], steps: int) -> list[str]:
    """Create, rename, archive and un-archive at random, over few handles."""
    chance = random.Random(member.number)
    handles = ["one", "two", "three"]
    outcomes = []
    for _ in range(steps):
        workflow, handle = chance.choice(workflows), chance.choice(handles)
        work = chance.choice(
            [
                lambda h=handle: new_workflow(member.db, "new", h),
                lambda w=workflow, h=handle: change(member.db, w, handle=h),
                lambda w=workflow, h=handle: change(member.db, w, handle=h, is_archived=True),
                lambda w=workflow: change(member.db, w, is_archived=True),
                lambda w=workflow: change(member.db, w, is_archived=False),
                lambda w=workflow, h=f"{handle}-{member.number}": change(member.db, w, handle=h),
            ]
        )
        outcomes.append(await attempt(work()))
    return outcomes


async def start_runs(member: Member, runs: list[UUID]) -> list[str]:
    outcomes = []
    for run in runs:
        member.meet()
        outcomes.append(
            await attempt(member.db.workflows.mark_run_started(run, actor=f"{member.number}"))
        )
    return outcomes


async def move_runs(member: Member, runs: list[UUID]) -> list[list[str]]:
    """Push each run towards an end of one's own; return the moves that were accepted."""
    workflows, me = member.db.workflows, f"{member.number}"
    accepted = []
    for run in runs:
        moves: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            ("run_started", lambda r=run: workflows.mark_run_started(r, actor=me)),
            ("run_succeeded", lambda r=run: workflows.mark_run_succeeded(r, actor=me, output={"by": me})),
            ("run_failed", lambda r=run: workflows.mark_run_failed(r, actor=me, error=me)),
            ("run_cancelled", lambda r=run: workflows.mark_run_cancelled(r, actor=me, reason=me)),
        ]  # fmt: skip
        # Half of them play by the order, half jump in with one move.
        mine = moves[:2] if member.number % 2 else moves[member.number % 4 :][:2]
        member.meet()
        done = []
        for action, move in mine:
            outcome = await attempt(move())
            assert outcome in ("ok", "RunTransitionError"), outcome
            done += [action] if outcome == "ok" else []
        accepted.append(done)
    return accepted


async def edit_different_fields(member: Member, workflows: list[UUID]) -> list[str]:
    """Change, in each workflow, the field that is this member's."""
    outcomes = []
    for workflow in workflows:
        me = f"editor {member.number}"
        prompts = [{"label": "Hi", "prompt": "Hello"}]
        edits: list[Callable[[], Awaitable[Any]]] = [
            lambda w=workflow, a=me: change(member.db, w, actor=a, name="New name"),
            lambda w=workflow, a=me: change(member.db, w, actor=a, description="New text"),
            lambda w=workflow, a=me: change(member.db, w, actor=a, tags=["new"]),
            lambda w=workflow, a=me: change(member.db, w, actor=a, handle=f"new-{w}"),
            lambda w=workflow, a=me, p=prompts: change(
                member.db, w, actor=a, chatkit_start_screen_prompts=p
            ),
            lambda w=workflow, a=me: change(
                member.db, w, actor=a, chatkit_supported_models=[{"id": "m"}]
            ),
            lambda w=workflow, a=me: change(member.db, w, actor=a, draft_access="workspace"),
            lambda w=workflow, a=me: member.db.workflows.publish_workflow(
                w, require_login=True, actor=a
            ),
        ]
        member.meet()
        outcomes.append(await attempt(edits[member.number]()))
    return outcomes


async def edit_often(member: Member, workflow: UUID, count: int) -> list[str]:
    """Leave `count` records in the trails of a workflow and of its first version."""
    outcomes = []
    for number in range(count):
        me = f"{member.number}/{number}"
        outcomes.append(await attempt(change(member.db, workflow, actor=me, description=me)))
        config = member.db.workflows.update_version_runnable_config(
            workflow, version_number=1, runnable_config={"run_name": me}, actor=me
        )
        outcomes.append(await attempt(config))
    return outcomes


async def count_up(member: Member, workflow: UUID, times: int) -> list[str]:
    """Add one to a number again and again: lock the row by a write, read what it returns, write."""

    async def one_more(unit: Transaction) -> None:
        locked = await change(unit, workflow)
        await change(unit, workflow, description=str(int(locked.description or 0) + 1))

    return [await attempt(member.db.retry(one_more)) for _ in range(times)]


async def move_between(member: Member, pair: tuple[UUID, UUID], times: int) -> list[str]:
    """Add one to two numbers, half of the members in the other order: deadlocks that `retry` resolves."""
    first, second = pair if member.number % 2 else reversed(pair)

    async def one_more(unit: Transaction) -> None:
        for workflow in (first, second):
            locked = await change(unit, workflow)
            await change(unit, workflow, description=str(int(locked.description or 0) + 1))

    return [await attempt(member.db.retry(one_more, attempts=50)) for _ in range(times)]


async def write_from_tasks(member: Member, workflow: UUID, version: UUID, tasks: int) -> list[str]:
    """Create a run, move it and read it back, from many tasks of one process."""
    return await asyncio.gather(
        *(attempt(live_one_run(member.db, workflow, version, f"task {n}")) for n in range(tasks))
    )


async def live_one_run(db: Database, workflow: UUID, version: UUID, trigger: str) -> None:
    run = await db.workflows.create_run(
        workflow, workflow_version_id=version, triggered_by=trigger, input_payload={"text": "alpha"}
    )
    async with db.transaction() as unit:
        await unit.workflows.mark_run_started(run.id, actor=trigger)
        await unit.workflows.mark_run_succeeded(run.id, actor=trigger, output={"text": "beta"})
    read = await db.workflows.get_run(run.id)
    assert [record.action for record in read.audit_log] == [
        "run_created", "run_started", "run_succeeded"
    ]  # fmt: skip
