"""Short ways to make listeners and their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.repositories.factories import new_version, new_workflow, rows

from orcheo_sql import (
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerSubscription,
    ListenerSubscriptionStatus,
)
from orcheo_sql.rules.listeners import compile_listeners

if TYPE_CHECKING:
    from uuid import UUID

    from tests.repositories.factories import Store

    from orcheo_sql import WorkflowRun, WorkflowVersion

ACTIVE = ListenerSubscriptionStatus.ACTIVE
BLOCKED = ListenerSubscriptionStatus.BLOCKED
PAUSED = ListenerSubscriptionStatus.PAUSED
ERROR = ListenerSubscriptionStatus.ERROR
DISABLED = ListenerSubscriptionStatus.DISABLED

TELEGRAM = {"platform": "telegram", "node_name": "bot", "token": "[[tg]]", "timeout": 30}
DISCORD = {"platform": "discord", "name": "guild", "token": "[[dc]]"}


def graph(*entries: object) -> dict[str, Any]:
    """Return a graph with these listeners."""
    return {"nodes": [], "edges": [], "index": {"listeners": list(entries)}}


async def served(db: Store, workflow_id: UUID) -> list[ListenerSubscription]:
    return await db.workflows.list_listener_subscriptions(workflow_id=workflow_id, only_served=True)


async def listen(
    db: Store, *entries: object, workflow_id: UUID | None = None
) -> ListenerSubscription:
    """Add a version with listeners (a telegram bot unless given), to a new workflow unless given; return the first."""
    if workflow_id is None:
        workflow_id = (await new_workflow(db)).id
    entries = entries or (TELEGRAM,)
    version = await new_version(db, workflow_id, graph(*entries))
    [first, *_] = compile_listeners(
        version.graph,
        workflow_id=workflow_id,
        version_id=version.id,
        platforms=db.workflows.listener_platforms,
    )
    return await db.workflows.get_listener_subscription(first.id)


async def of_version(db: Store, version: WorkflowVersion) -> list[ListenerSubscription]:
    found = await db.workflows.list_listener_subscriptions(workflow_id=version.workflow_id)
    return [each for each in found if each.workflow_version_id == version.id]


def event(key: str = "telegram:1", **fields: Any) -> ListenerDispatchPayload:
    given: dict[str, Any] = {
        "platform": "telegram",
        "event_type": "message",
        "bot_identity": "telegram:[[tg]]",
        "message": ListenerDispatchMessage(chat_id="123", text="hello"),
        "reply_target": {"chat_id": "123"},
        "raw_event": {"update_id": 1},
        **fields,
    }
    return ListenerDispatchPayload(dedupe_key=key, **given)


async def dispatch(
    db: Store, subscription: ListenerSubscription | UUID, key: str = "telegram:1", **fields: Any
) -> WorkflowRun | None:
    found = subscription if not isinstance(subscription, ListenerSubscription) else subscription.id
    lease = fields.pop("lease", None)
    return await db.workflows.dispatch_listener_event(found, event(key, **fields), lease=lease)


async def set_status(
    db: Store,
    subscription: ListenerSubscription,
    status: ListenerSubscriptionStatus,
    **fields: Any,
) -> ListenerSubscription:
    return await db.workflows.update_listener_subscription_status(
        subscription.id, status=status, **{"actor": "ops", **fields}
    )


def actions(subscription: ListenerSubscription) -> list[str]:
    """Return what the audit trail says, without the prefix that all have."""
    prefix = "listener_subscription_"
    return [record.action.removeprefix(prefix) for record in subscription.audit_log]


async def count(settings: dict[str, Any], table: str) -> int:
    """Return how many rows a table has."""
    [(found,)] = await rows(settings, f"SELECT count(*) FROM {table}")
    return int(found)


async def require_consistent(settings: dict[str, Any]) -> None:
    """See that what a single row tells is so: served ones are current, and active ones not archived."""
    broken = await rows(
        settings,
        "SELECT s.id, s.status FROM listener_subscriptions AS s "
        "INNER JOIN listeners AS l ON l.listener_key = s.listener_key "
        "INNER JOIN workflows AS w ON w.id = s.workflow_id "
        "WHERE (s.status <> 'disabled' AND coalesce(l.subscription_id <> s.id, TRUE)) "
        "OR (s.status = 'active' AND (w.is_archived OR l.is_paused)) "
        "OR (s.status = 'paused' AND NOT l.is_paused) "
        "OR (s.status <> 'active' AND s.assigned_runtime IS NOT NULL) "
        # What is to come back is at rest, and in an archived workflow; or nothing will ever bring it back.
        "OR (s.archived_status IS NOT NULL AND s.status <> 'disabled') "
        "OR (s.archived_status IS NOT NULL AND NOT w.is_archived AND l.subscription_id = s.id) "
        "OR ((s.archived_status = 'paused') AND NOT l.is_paused AND l.subscription_id = s.id)",
    )
    assert broken == []
