"""What the processes of a crew do to webhooks, manual batches, retries and the outbox at the same instant."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from tests.races.crew import attempt

from orcheo_sql import Database, ManualDispatchItem, ManualDispatchRequest, RunTransitionError

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from multiprocessing.connection import Connection
    from uuid import UUID

    from tests.races.crew import Member

    from orcheo_sql import WorkflowRun

SECRET = "a secret of 本"


def call(db: Database, workflow: UUID, body: bytes, *, signed: bool) -> Awaitable[WorkflowRun]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return db.workflows.handle_webhook_trigger(
        workflow,
        method="POST",
        headers={"X-Signature": signature} if signed else {},
        query_params={},
        payload={},
        source_ip=None,
        raw_body=body,
    )


async def call_webhook(member: Member, workflow: UUID, calls: int) -> list[str]:
    """Call at once from several tasks; return what became of each."""
    return await asyncio.gather(
        *(attempt(call(member.db, workflow, b"{}", signed=False)) for _ in range(calls))
    )


async def deliver_the_same(member: Member, workflow: UUID, deliveries: int) -> list[str]:
    """Deliver, in each round, what all others deliver too."""
    outcomes = []
    for number in range(deliveries):
        member.meet()
        body = b'{"delivery": %d}' % number
        outcomes.append(await attempt(call(member.db, workflow, body, signed=True)))
    return outcomes


async def dispatch_batches(member: Member, workflow: UUID, alien: UUID, rounds: int) -> list[str]:
    """Ask for good batches, and for ones whose last run has another workflow's version."""
    outcomes = []
    for _ in range(rounds):
        for last in (None, alien):
            items = [ManualDispatchItem(input_payload={"n": n}) for n in range(5)]
            items.append(ManualDispatchItem(workflow_version_id=last))
            request = ManualDispatchRequest(workflow_id=workflow, actor="racer", runs=items)
            outcomes.append(await attempt(member.db.workflows.dispatch_manual_runs(request)))
    return outcomes


async def decide_and_retry(member: Member, failed: list[UUID]) -> list[UUID]:
    """Decide about the same failed runs as all others, and dispatch what is due."""
    made = []
    for run in failed:
        member.meet()
        await member.db.workflows.schedule_retry_for_run(run)
        made += await member.db.workflows.dispatch_due_retries()
    made += await member.db.workflows.dispatch_due_retries()
    return [run.id for run in made]


def consume(settings: dict[str, Any], number: int, done: Connection) -> None:
    """Work until killed or told that all is done: claim, start, succeed, tell, acknowledge."""

    async def work() -> None:
        async with Database(**settings, postgres_pool_max_size=2) as db:
            done.send(None)
            while True:
                entries = await db.workflows.claim_outbox(
                    consumer=f"{number}", limit=3, lease_seconds=0.5
                )
                for entry in entries:
                    await handle(db, entry.run_id, f"{number}")
                await db.workflows.acknowledge_outbox(entries)
                if not entries:
                    await asyncio.sleep(0.02)

    async def handle(db: Database, run_id: UUID, name: str) -> None:
        try:
            await db.workflows.mark_run_started(run_id, actor=name)
        except RunTransitionError:
            return
        done.send(run_id)
        await asyncio.sleep(0.005)
        await db.workflows.mark_run_succeeded(run_id, actor=name, output=None)

    asyncio.run(work())
