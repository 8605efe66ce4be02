"""Listeners as their runtimes see them: leases, cursors, and events that become runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from .._documents import encode_record
from .._errors import (
    ListenerLeaseLostError,
    ListenerNotCurrentError,
    ValidationError,
    WorkflowNotFoundError,
)
from .._pages import check_limit
from .._search import search_text
from ..rules.listeners import (
    LISTENER_CLAIMED,
    LISTENER_RELEASED,
    dedupe_seconds,
    parse_listener_cursor,
    parse_listener_payload,
    require_lease,
    require_runtime,
    stored_dedupe_key,
)
from ..structs import ListenerLease, ListenerSubscription, ListenerSubscriptionStatus
from .base import as_instant, as_uuid, audit_event
from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from .._query_types import Workflows
    from ..structs import (
        LeasedListener,
        ListenerCursor,
        ListenerDispatchPayload,
        ListenerState,
        WorkflowRun,
    )

_LONGEST_LEASE_SECONDS = 365 * 24 * 3600


class WorkflowListenerRuntime(WorkflowRuns):
    """The part of `WorkflowRepository` that listener runtimes use."""

    q: Workflows

    async def get_listener_subscription(self, subscription_id: UUID) -> ListenerSubscription:
        """Return one subscription.

        Raises:
            WorkflowNotFoundError: there is none; the text is its id.
        """
        subscription_id = as_uuid(subscription_id, "subscription_id")
        found = await self.q.get_listener_subscription(id=subscription_id)
        if found is None:
            raise WorkflowNotFoundError(str(subscription_id))
        return found

    async def claim_listener_subscription(
        self, subscription_id: UUID, *, runtime_id: str, lease_seconds: float
    ) -> ListenerSubscription | None:
        """Take or renew the lease of a subscription; like `claim_listener_lease`, without the lease."""
        lease = await self.claim_listener_lease(
            subscription_id, runtime_id=runtime_id, lease_seconds=lease_seconds
        )
        return None if lease is None else lease.subscription

    async def claim_listener_lease(
        self, subscription_id: UUID, *, runtime_id: str, lease_seconds: float
    ) -> ListenerLease | None:
        """Take the lease of an active subscription, or renew it when this runtime has it.

        Of any number of runtimes one gets it. What it then does with the lease is refused as soon as the lease has
        expired or passed to another runtime.

        Returns:
            None when the subscription is missing or not active, or another runtime holds an unexpired lease.
        """
        now = self._now()
        runtime_id = require_runtime(runtime_id)
        claimed = await self.q.claim_listener(
            id=as_uuid(subscription_id, "subscription_id"),
            runtime_id=runtime_id,
            expires_at=_expiry(now, lease_seconds),
            now=now,
            event=audit_event(runtime_id, LISTENER_CLAIMED, now),
        )
        return None if claimed is None else _lease(claimed)

    async def renew_listener_lease(
        self, lease: ListenerLease, *, lease_seconds: float
    ) -> ListenerLease:
        """Extend a lease that is still held; from now on use the one returned.

        Raises:
            ValidationError: it is no lease, or a value breaks its rule.
            ListenerLeaseLostError: it has expired or ended; claim it anew.
        """
        now = self._now()
        lease = require_lease(lease)
        renewed = await self.q.renew_listener(
            id=lease.subscription.id,
            runtime_id=lease.runtime_id,
            epoch=lease.epoch,
            expires_at=_expiry(now, lease_seconds),
            now=now,
        )
        if renewed is None:
            raise _lost(lease)
        return _lease(renewed)

    async def release_listener_subscription(
        self, subscription_id: UUID, *, runtime_id: str
    ) -> ListenerSubscription | None:
        """Give up a runtime's lease, expired or not; None when the subscription is missing or not its own."""
        now = self._now()
        runtime_id = require_runtime(runtime_id)
        return await self.q.release_listener(
            id=as_uuid(subscription_id, "subscription_id"),
            runtime_id=runtime_id,
            now=now,
            event=audit_event(runtime_id, LISTENER_RELEASED, now),
        )

    async def get_listener_cursor(self, subscription_id: UUID) -> ListenerCursor | None:
        """Return how far the listener of a subscription has read, whichever version read it; None before it has begun."""
        subscription_id = as_uuid(subscription_id, "subscription_id")
        found = await self.q.get_listener_cursor(id=subscription_id)
        if found is None or found.cursor is None:
            return None
        return msgspec.structs.replace(found.cursor, subscription_id=subscription_id)

    async def save_listener_cursor(
        self, cursor: ListenerCursor, *, lease: ListenerLease | None = None
    ) -> ListenerCursor:
        """Keep how far a listener has read, and return it with the time of saving.

        Args:
            cursor: it names the current subscription of the listener.
            lease: makes sure that this runtime still holds it; without one, whoever saves last wins.

        Raises:
            ValidationError: the cursor breaks a rule, or is not that of the lease, or the lease is none.
            WorkflowNotFoundError: there is no such subscription; the text is its id.
            ListenerNotCurrentError: it is not the current one of its listener.
            ListenerLeaseLostError: the lease is not held any more.
        """
        now = self._now()
        parsed = msgspec.structs.replace(parse_listener_cursor(cursor), updated_at=now)
        subscription_id = parsed.subscription_id
        lease, runtime_id, epoch = _fence(lease, subscription_id)
        saved = await self.q.save_listener_cursor(
            id=subscription_id,
            runtime_id=runtime_id,
            epoch=epoch,
            cursor=encode_record(parsed, name="cursor"),
            now=now,
        )
        if saved is None:
            await self._listener_state(subscription_id, lease, now)
            raise not_current(subscription_id)
        assert saved.cursor is not None
        return saved.cursor

    async def dispatch_listener_event(
        self,
        subscription_id: UUID,
        payload: ListenerDispatchPayload,
        *,
        lease: ListenerLease | None = None,
    ) -> WorkflowRun | None:
        """Create the run of an event, on the version of the subscription, and hand it off; once per key of an event.

        Keys are remembered for the `dedupe_window_seconds` of the listener's config, five minutes unless it says
        otherwise, through new versions.

        Args:
            subscription_id: a listener's subscription.
            payload: the event; a mapping or a model with the same fields will do.
            lease: makes sure that this runtime still holds it; without one, whoever has the event dispatches it.

        Returns:
            None when the event was dispatched before, or the subscription is not active.

        Raises:
            ValidationError: the event breaks a rule, or the subscription is not that of the lease, or the lease is none.
            WorkflowNotFoundError: there is no such subscription; the text is its id.
            ListenerLeaseLostError: the lease is not held any more.
        """
        subscription_id = as_uuid(subscription_id, "subscription_id")
        lease, runtime_id, epoch = _fence(lease, subscription_id)
        event = msgspec.structs.replace(
            parse_listener_payload(payload), listener_subscription_id=subscription_id
        )
        document = encode_record(event.to_input_payload(), name="payload")
        if lease is None:
            subscription = await self.get_listener_subscription(subscription_id)
            if subscription.status is not ListenerSubscriptionStatus.ACTIVE:
                return None
        else:
            # A synchronisation, which may change the config, ends the lease.
            subscription = lease.subscription
        now = self._now()
        run = await self.q.dispatch_listener_event(
            id=subscription_id,
            runtime_id=runtime_id,
            epoch=epoch,
            dedupe_key=stored_dedupe_key(event.dedupe_key),
            dedupe_until=now + timedelta(seconds=dedupe_seconds(subscription.config)),
            run_id=uuid4(),
            input_payload=document,
            search_text=search_text("listener", msgspec.json.decode(document.encode())),
            now=now,
            event=audit_event("listener", "run_created", now),
        )
        if run is None:
            await self._listener_state(subscription_id, lease, now)
        return run

    async def prune_listener_dedupe(self, *, now: datetime | None = None, limit: int = 1000) -> int:
        """Forget up to `limit` events whose keys have expired, and return how many went.

        One bounded batch: call it until it returns less than `limit`. What has expired counts no more, pruned or not.
        """
        at = self._now() if now is None else as_instant(now, "now")
        return await self.q.prune_listener_dedupe(now=at, limit=check_limit(limit))

    async def _listener_state(
        self,
        subscription_id: UUID,
        lease: ListenerLease | None = None,
        now: datetime | None = None,
    ) -> ListenerState:
        """Return what a refusal may rest on, or raise that the subscription or the lease is gone."""
        state = await self.q.get_listener_state(
            id=subscription_id,
            runtime_id=None if lease is None else lease.runtime_id,
            epoch=None if lease is None else lease.epoch,
            now=now or self._now(),
        )
        if state is None:
            raise WorkflowNotFoundError(str(subscription_id))
        if lease is not None and not state.is_leased:
            raise _lost(lease)
        return state


def not_current(subscription_id: UUID) -> ListenerNotCurrentError:
    """Return the error for a subscription of a version that is not served any more."""
    return ListenerNotCurrentError(
        f"{subscription_id}: it is not the current subscription of its listener."
    )


def _expiry(now: datetime, seconds: Any) -> datetime:
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds <= _LONGEST_LEASE_SECONDS
    ):
        raise ValidationError(
            f"lease_seconds must be a number from 0 to {_LONGEST_LEASE_SECONDS}, got {seconds!r}."
        )
    return now + timedelta(seconds=seconds)


def _lease(claimed: LeasedListener) -> ListenerLease:
    fields = msgspec.structs.asdict(claimed)
    epoch = fields.pop("lease_epoch")
    subscription = ListenerSubscription(**fields)
    assert subscription.assigned_runtime is not None
    assert subscription.lease_expires_at is not None
    return ListenerLease(
        subscription=subscription,
        runtime_id=subscription.assigned_runtime,
        epoch=epoch,
        expires_at=subscription.lease_expires_at,
    )


def _fence(
    given: ListenerLease | None, subscription_id: UUID
) -> tuple[ListenerLease | None, str | None, int | None]:
    """Return a lease of this subscription, its runtime and epoch; without a lease, nothing is asked for."""
    if given is None:
        return None, None, None
    # Checked, because a query takes NULL for no lease: half a lease must not be none.
    lease = require_lease(given)
    if lease.subscription.id != subscription_id:
        raise ValidationError(
            f"the lease is of listener subscription {lease.subscription.id}, not of {subscription_id}."
        )
    return lease, lease.runtime_id, lease.epoch


def _lost(lease: ListenerLease) -> ListenerLeaseLostError:
    return ListenerLeaseLostError(
        f"Runtime {lease.runtime_id!r} does not hold the lease of listener subscription "
        f"{lease.subscription.id} any more."
    )
