"""Listeners: leases, cursors, and events that become runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orcheo_sql.structs import (
    ListenerCursor,
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerLease,
)

from ..data import FEW, GRAPH, MORE_THAN_A_PAGE, around
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from uuid import UUID

    from orcheo_sql import Database
    from orcheo_sql.structs import ListenerSubscription, WorkflowRun

    from ..data import Data

RUNTIME = "bench"
LEASE_SECONDS = 3600


async def subscriptions(data: Data, count: int) -> Sequence[ListenerSubscription]:
    """Let one workflow have as many listeners, which nobody has a lease of."""
    listeners = [
        {"platform": "telegram", "node_name": f"listen-{n}", "bot_identity_key": f"bot-{n}"}
        for n in range(count)
    ]
    version = await data.new_version(graph={**GRAPH, "index": {"listeners": listeners}})
    return await data.db.workflows.list_listener_subscriptions(workflow_id=version.workflow_id)


async def free_ones(data: Data, count: int) -> Sequence[UUID]:
    return [each.id for each in await subscriptions(data, count)]


async def leases(data: Data, count: int) -> Sequence[ListenerLease]:
    """Return leases that are held."""
    found = [await claimed(data.db, each.id) for each in await subscriptions(data, FEW)]
    return around([lease for lease in found if lease is not None], count)


async def events(data: Data, count: int) -> Sequence[tuple[ListenerLease, ListenerDispatchPayload]]:
    return [(lease, _event(f"update-{uuid4().hex}")) for lease in await leases(data, count)]


async def a_page(data: Data, count: int) -> Sequence[None]:
    await subscriptions(data, MORE_THAN_A_PAGE)
    return [None] * count


def _event(key: str) -> ListenerDispatchPayload:
    return ListenerDispatchPayload(
        platform="telegram",
        event_type="message",
        dedupe_key=key,
        bot_identity="bot",
        message=ListenerDispatchMessage(chat_id="1", user_id="2", text="Where is my order?"),
        reply_target={"chat_id": "1"},
        raw_event={"update_id": 4711, "message": {"chat": {"id": 1}, "text": "Where is my order?"}},
    )


def claimed(db: Database, subscription: UUID) -> Awaitable[ListenerLease | None]:
    return db.workflows.claim_listener_lease(
        subscription, runtime_id=RUNTIME, lease_seconds=LEASE_SECONDS
    )


def dispatched(db: Database, given: Any) -> Awaitable[WorkflowRun | None]:
    lease, event = given
    return db.workflows.dispatch_listener_event(lease.subscription.id, event, lease=lease)


def saved(db: Database, lease: ListenerLease) -> Awaitable[ListenerCursor]:
    cursor = ListenerCursor(subscription_id=lease.subscription.id, telegram_offset=4711)
    return db.workflows.save_listener_cursor(cursor, lease=lease)


# Runtimes of others would serve the listeners, and their workers would get the runs.
OPERATIONS = (
    Operation(
        "workflows.claim_listener_lease",
        free_ones,
        claimed,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.renew_listener_lease",
        leases,
        lambda db, lease: db.workflows.renew_listener_lease(lease, lease_seconds=LEASE_SECONDS),
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.save_listener_cursor",
        leases,
        saved,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.dispatch_listener_event",
        events,
        dispatched,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.page_listener_subscriptions, 50",
        a_page,
        lambda db, _: db.workflows.page_listener_subscriptions(only_served=True, limit=50),
        LIST_LIMIT,
        typed=True,
        takes_from_others=True,
    ),
)
