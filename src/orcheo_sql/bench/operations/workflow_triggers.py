"""Triggers: calls of webhooks and requests of people become runs that are handed to workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql.structs import (
    ManualDispatchItem,
    ManualDispatchRequest,
    RateLimitConfig,
    WebhookTriggerConfig,
)

from ..data import PAYLOAD
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from uuid import UUID

    from orcheo_sql import Database
    from orcheo_sql.structs import WorkflowRun

    from ..data import Data

NEVER_REACHED = RateLimitConfig(limit=1_000_000, interval_seconds=60)


async def webhooks(data: Data, count: int) -> Sequence[UUID]:
    """Return a workflow whose webhook is on."""
    version = await data.new_version()
    await data.db.workflows.configure_webhook_trigger(version.workflow_id, WebhookTriggerConfig())
    return [version.workflow_id] * count


async def limited_webhooks(data: Data, count: int) -> Sequence[UUID]:
    [workflow, *_] = workflows = await webhooks(data, count)
    config = WebhookTriggerConfig(rate_limit=NEVER_REACHED)
    await data.db.workflows.configure_webhook_trigger(workflow, config)
    return workflows


async def requests_of(data: Data, count: int, runs: int) -> Sequence[ManualDispatchRequest]:
    version = await data.new_version()
    items = [ManualDispatchItem(input_payload=dict(PAYLOAD)) for _ in range(runs)]
    request = ManualDispatchRequest(workflow_id=version.workflow_id, actor="bench", runs=items)
    return [request] * count


def called(db: Database, workflow: UUID) -> Awaitable[WorkflowRun]:
    return db.workflows.handle_webhook_trigger(
        workflow,
        method="POST",
        headers={"Content-Type": "application/json", "User-Agent": "bench/1.0"},
        query_params={},
        payload=PAYLOAD,
        source_ip="192.0.2.1",
    )


# Workers of others would get the runs.
OPERATIONS = (
    Operation(
        "workflows.handle_webhook_trigger",
        webhooks,
        called,
        whole=True,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.handle_webhook_trigger, rate limit",
        limited_webhooks,
        called,
        whole=True,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.dispatch_manual_runs",
        lambda data, count: requests_of(data, count, 1),
        lambda db, request: db.workflows.dispatch_manual_runs(request),
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.dispatch_manual_runs, 10",
        lambda data, count: requests_of(data, count, 10),
        lambda db, request: db.workflows.dispatch_manual_runs(request),
        LIST_LIMIT,
        writes=True,
        takes_from_others=True,
    ),
)
