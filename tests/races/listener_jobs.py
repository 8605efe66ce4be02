"""What the processes of a crew do to listeners at the same instant."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.races.crew import attempt
from tests.races.jobs import change
from tests.repositories.listeners import TELEGRAM, dispatch, graph

from orcheo_sql import (
    Database,
    ListenerCursor,
    ListenerLeaseLostError,
    ListenerSubscriptionStatus,
)
from orcheo_sql.structs import utc_now

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from uuid import UUID

    from tests.races.crew import Member

ACTIVE = ListenerSubscriptionStatus.ACTIVE
PAUSED = ListenerSubscriptionStatus.PAUSED
LEASE_SECONDS = 0.03


async def claim(member: Member, subscriptions: list[UUID]) -> list[int | None]:
    """Claim each for oneself; return the epochs."""
    epochs = []
    for subscription in subscriptions:
        member.meet()
        lease = await member.db.workflows.claim_listener_lease(
            subscription, runtime_id=f"runtime {member.number}", lease_seconds=3600
        )
        epochs.append(None if lease is None else lease.epoch)
    return epochs


async def count_up_under_leases(member: Member, subscription: UUID, seconds: float) -> list[int]:
    """Add one to the cursor whenever one has the lease, with a clock that is up to 5 s off.

    Some sleep past the end of their lease in the middle of it. Returns how often it was saved, and refused.
    """
    chance, workflows = random.Random(member.number), member.db.workflows
    skew = timedelta(seconds=(member.number - 3.5) / 0.7)
    member.db.now = lambda: utc_now() + skew
    saved = refused = 0
    end = utc_now() + timedelta(seconds=seconds)
    while utc_now() < end:
        lease = await workflows.claim_listener_lease(
            subscription, runtime_id=f"{member.number}", lease_seconds=LEASE_SECONDS
        )  # fmt: skip
        if lease is None:
            await asyncio.sleep(chance.random() * LEASE_SECONDS)
            continue
        cursor = await workflows.get_listener_cursor(subscription)
        position = cursor.telegram_offset or 0 if cursor else 0
        await asyncio.sleep(chance.choice([0, 0, LEASE_SECONDS * 1.5]))
        try:
            await workflows.save_listener_cursor(
                ListenerCursor(subscription_id=subscription, telegram_offset=position + 1), lease=lease
            )  # fmt: skip
            saved += 1
        except ListenerLeaseLostError:
            refused += 1
    return [saved, refused]


async def deliver(member: Member, subscription: UUID, keys: list[str]) -> list[bool]:
    """Deliver the same events as all the others; say of which one became the run."""
    made = []
    for key in keys:
        member.meet()
        made.append(await dispatch(member.db, subscription, key) is not None)
    return made


async def deliver_and_pause(member: Member, subscription: UUID, events: int) -> bool:
    """Seven deliver, one pauses in the middle of it; say whether an event came through afterwards."""
    if member.number:
        for number in range(events):
            await dispatch(member.db, subscription, f"{member.number}/{number}")
    else:
        await asyncio.sleep(0.05)
        await member.db.workflows.update_listener_subscription_status(
            subscription, status=PAUSED, actor="ops"
        )
    return await dispatch(member.db, subscription, f"late {member.number}") is not None and (
        not member.number
    )


async def create_versions(member: Member, workflow: UUID, count: int) -> list[str]:
    return [
        await attempt(
            member.db.workflows.create_version(
                workflow, graph=graph(TELEGRAM), metadata={}, notes=None, created_by="racer"
            )
        )
        for _ in range(count)
    ]


async def redeploy_or_archive_or_set_active(
    member: Member, rounds: list[tuple[UUID, UUID]]
) -> list[str]:
    """One replaces the subscription of a round or archives its workflow; all others set it active and deliver events."""
    workflows, outcomes = member.db.workflows, []
    for number, (workflow, subscription) in enumerate(rounds):
        member.meet()
        if member.number == number % 8:
            await asyncio.sleep(random.Random(number).random() / 200)
            if number % 2:
                await create_versions(member, workflow, 1)
            else:
                await change(member.db, workflow, is_archived=True)
            continue
        for event in range(4):
            key = f"{member.number}/{event}"
            outcomes.append(await attempt(dispatch(member.db, subscription, key)))
            done = workflows.update_listener_subscription_status(
                subscription, status=ACTIVE, actor="ops"
            )
            outcomes.append(await attempt(done))
    return outcomes


async def do_anything(member: Member, workflow: UUID, steps: int) -> list[str]:
    """New versions, archiving, statuses, leases, cursors and events, all at once; return what happened."""
    chance, workflows, me = random.Random(member.number), member.db.workflows, f"{member.number}"
    outcomes = []
    for step in range(steps):
        known = await workflows.list_listener_subscriptions(workflow_id=workflow)
        one = chance.choice(known[-4:]).id
        work: list[tuple[str, Any]] = [
            ("version", lambda: create_versions(member, workflow, 1)),
            ("archive", lambda: change(member.db, workflow, is_archived=True)),
            ("unarchive", lambda: change(member.db, workflow, is_archived=False)),
            ("prune", lambda: workflows.prune_listener_dedupe(limit=5)),
            *[
                (f"status {status}", lambda one=one, status=status: workflows.update_listener_subscription_status(
                    one, status=status, actor=me
                ))
                for status in (ACTIVE, ACTIVE, PAUSED, ListenerSubscriptionStatus.ERROR)
            ],
            ("claim", lambda one=one: workflows.claim_listener_lease(
                one, runtime_id=me, lease_seconds=0.01
            )),
            ("release", lambda one=one: workflows.release_listener_subscription(one, runtime_id=me)),
            ("cursor", lambda one=one: workflows.save_listener_cursor(
                ListenerCursor(subscription_id=one)
            )),
            *[("event", lambda one=one, step=step: dispatch(member.db, one, f"{step}"))] * 4,
        ]  # fmt: skip
        name, call = chance.choice(work)
        outcomes.append(f"{name}: {await attempt(call())}")
    return outcomes


def deliver_forever(
    settings: dict[str, Any], subscription: UUID, first: int, pipe: Connection
) -> None:
    """Deliver one event after the other, until killed; say which became runs."""

    async def run() -> None:
        async with Database(**settings) as db:
            for number in range(first, 1_000_000):
                if await dispatch(db, subscription, f"{number}") is not None:
                    pipe.send(number)

    asyncio.run(run())


def redeploy_forever(
    settings: dict[str, Any], workflow: UUID, first: int, pipe: Connection
) -> None:
    """Create one version after the other, until killed."""

    async def run() -> None:
        async with Database(**settings) as db:
            for _ in range(first, 1_000_000):
                version = await db.workflows.create_version(
                    workflow, graph=graph(TELEGRAM), metadata={}, notes=None, created_by="racer"
                )
                pipe.send(version.version)

    asyncio.run(run())
