"""The demo's listeners: those that a graph defines, served for one event and then paused."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from orcheo_sql._errors import (
    ListenerLeaseLostError,
    ListenerNotCurrentError,
    WorkflowNotFoundError,
)
from orcheo_sql.structs import (
    ListenerCursor,
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerSubscriptionStatus,
)

from ._demo_store import ACTOR

if TYPE_CHECKING:
    from orcheo_sql import Database, ListenerLease, ListenerSubscription, WorkflowRun

    from ._demo_store import Stored

PLATFORM = "telegram"
LEASE_SECONDS = 60


class DemoListeners:
    """The listeners of one workflow."""

    def __init__(self, db: Database, stored: Stored):
        self._db = db
        self._stored = stored

    async def count(self) -> int:
        """Return how many there are."""
        return len(await self._served())

    async def serve(self, text: str) -> list[WorkflowRun | None]:
        """Take the lease of the first one and deliver a message twice, as the Telegram adapter of a runtime does.

        Returns:
            What came of each delivery: a run, or None. Fewer than two when another demo was in between.
        """
        came: list[WorkflowRun | None] = []
        for each in [each for each in await self._served() if each.platform == PLATFORM][:1]:
            # Another demo may pause it, or store a new version.
            with suppress(ListenerLeaseLostError, ListenerNotCurrentError, WorkflowNotFoundError):
                await self._serve_one(each, text, came)
        return came

    async def pause(self) -> None:
        """Keep real runtimes from serving a bot that does not exist."""
        for each in await self._served():
            await self._set(each, ListenerSubscriptionStatus.PAUSED)

    async def _served(self) -> list[ListenerSubscription]:
        if not isinstance(self._stored.source.graph.get("index"), dict):
            return []  # where listeners are defined
        return await self._db.workflows.list_listener_subscriptions(
            workflow_id=self._stored.workflow.id, only_served=True
        )

    async def _set(self, each: ListenerSubscription, status: ListenerSubscriptionStatus) -> None:
        # Not current: another demo has just stored a new version, and takes care of it.
        with suppress(ListenerNotCurrentError, WorkflowNotFoundError):
            await self._db.workflows.update_listener_subscription_status(
                each.id, status=status, actor=ACTOR
            )

    async def _serve_one(
        self, each: ListenerSubscription, text: str, came: list[WorkflowRun | None]
    ) -> None:
        workflows = self._db.workflows
        if each.status is not ListenerSubscriptionStatus.ACTIVE:
            await self._set(each, ListenerSubscriptionStatus.ACTIVE)
        runtime_id = f"demo-{secrets.token_hex(4)}"
        lease = await workflows.claim_listener_lease(
            each.id, runtime_id=runtime_id, lease_seconds=LEASE_SECONDS
        )
        if lease is None:
            return
        try:
            await self._deliver(lease, text, came)
        finally:
            await workflows.release_listener_subscription(each.id, runtime_id=runtime_id)

    async def _deliver(
        self, lease: ListenerLease, text: str, came: list[WorkflowRun | None]
    ) -> None:
        workflows = self._db.workflows
        subscription = lease.subscription
        cursor = await workflows.get_listener_cursor(subscription.id)
        update = 1 if cursor is None else cursor.telegram_offset or 1
        event = ListenerDispatchPayload(
            platform=PLATFORM,
            event_type="message",
            dedupe_key=f"telegram:{update}",
            bot_identity=subscription.bot_identity_key,
            message=ListenerDispatchMessage(
                chat_id="4711", user_id="4711", username="ada", text=text, chat_type="private"
            ),
            reply_target={"chat_id": "4711"},
        )
        for _ in range(2):
            # Kept one by one: the first counts also when the second fails.
            run = await workflows.dispatch_listener_event(subscription.id, event, lease=lease)
            came.append(run)
        await workflows.save_listener_cursor(
            ListenerCursor(subscription_id=subscription.id, telegram_offset=update + 1),
            lease=lease,
        )
