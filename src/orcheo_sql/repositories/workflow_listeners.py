"""Listeners as operators see them: their subscriptions, which version is served, pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._documents import clean_text, encode_definition
from .._errors import (
    ListenerNotCurrentError,
    WorkflowNotFoundError,
    WorkflowVersionNotFoundError,
)
from .._pages import Page, check_limit, encode_cursor, page_of
from ..rules import require_flag
from ..rules.listeners import listener_status_action, require_listener_status
from .base import (
    DEFAULT_PAGE,
    EARLIEST,
    LARGEST_PAGE,
    LOWEST_ID,
    NO_LIMIT,
    as_instant,
    as_uuid,
    audit_event,
)
from .workflow_listener_runtime import WorkflowListenerRuntime, not_current
from .workflow_lists import position
from .workflow_versions import ListenerSync, as_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from .._query_types import Workflows
    from ..structs import ListenerSubscription, ListenerSubscriptionStatus


class WorkflowListeners(WorkflowListenerRuntime):
    """The part of `WorkflowRepository` about listeners, but for what runtimes do."""

    q: Workflows

    async def list_listener_subscriptions(
        self, *, workflow_id: UUID | None = None, only_served: bool = False
    ) -> list[ListenerSubscription]:
        """Return the subscriptions of all workflows or of one, oldest first.

        Args:
            workflow_id: an unknown one has none.
            only_served: leave out the disabled ones, such as those of older versions.
        """
        return await self._subscriptions(workflow_id, only_served, EARLIEST, LOWEST_ID, NO_LIMIT)

    async def page_listener_subscriptions(
        self,
        *,
        workflow_id: UUID | None = None,
        only_served: bool = False,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[ListenerSubscription]:
        """Return up to `limit` (at most 1000) of the same subscriptions, oldest first, from a cursor on."""
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        kind = f"listeners of {workflow_id}, {only_served}"
        after_at, after_id = position(kind, cursor, EARLIEST, LOWEST_ID)
        rows = await self._subscriptions(workflow_id, only_served, after_at, after_id, limit + 1)
        return page_of(rows, limit, lambda found: encode_cursor(kind, found.created_at, found.id))

    async def _subscriptions(
        self,
        workflow_id: UUID | None,
        only_served: bool,
        after_at: datetime,
        after_id: UUID,
        limit: int,
    ) -> list[ListenerSubscription]:
        only_served = require_flag(only_served, "only_served")
        if workflow_id is not None:
            return await self.q.list_listener_subscriptions_by_workflow(
                workflow_id=as_uuid(workflow_id, "workflow_id"),
                only_served=only_served,
                after_at=after_at,
                after_id=after_id,
                limit=limit,
            )
        if only_served:
            return await self.q.list_served_listener_subscriptions(
                after_at=after_at, after_id=after_id, limit=limit
            )
        return await self.q.list_listener_subscriptions(
            after_at=after_at, after_id=after_id, limit=limit
        )

    async def update_listener_subscription_status(
        self,
        subscription_id: UUID,
        *,
        status: ListenerSubscriptionStatus,
        actor: str,
        last_error: str | None = None,
    ) -> ListenerSubscription:
        """Set the status of a listener's current subscription; whoever holds its lease loses it.

        A pause stands, through new versions and archiving, until the status is set to active.

        Args:
            subscription_id: the current subscription of a listener.
            status: any may follow any other; active also clears the error.
            actor: who does this, for the audit trail.
            last_error: kept with any status but active; None leaves the last one.

        Raises:
            ValidationError: the status is not the enum.
            WorkflowNotFoundError: there is no such subscription; the text is its id.
            ListenerNotCurrentError: it is not the current one; or it is to be active in an archived workflow.
        """
        subscription_id = as_uuid(subscription_id, "subscription_id")
        status = require_listener_status(status)
        now = self._now()
        updated = await self.q.update_listener_status(
            id=subscription_id,
            status=status,
            last_error=None if last_error is None else clean_text(str(last_error)),
            now=now,
            event=audit_event(actor, listener_status_action(status), now),
        )
        if updated is None:
            state = await self._listener_state(subscription_id)
            if not state.is_current:
                raise not_current(subscription_id)
            raise ListenerNotCurrentError(f"{subscription_id}: its workflow is archived.")
        return updated

    async def sync_listener_subscriptions_for_version(
        self,
        workflow_id: UUID,
        workflow_version_id: UUID,
        graph: Mapping[str, Any],
        *,
        actor: str,
    ) -> None:
        """Serve the listeners that a graph defines, in the name of one version, and no others of its workflow.

        A new version does this by itself.

        Raises:
            ValidationError: the graph can't be written as JSON (also a TypeError), or holds values that can't be stored.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowVersionNotFoundError: it has no such version.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        version_id = as_uuid(workflow_version_id, "workflow_version_id")
        document = encode_definition(as_mapping(graph, "graph"), name="graph")
        sync: ListenerSync = self._listener_sync(
            document, workflow_id, version_id, actor, self._now()
        )
        async with self._scope.transaction() as unit:
            has_version = await unit.workflows.q.lock_workflow(
                id=workflow_id, workflow_version_id=version_id
            )
            if has_version is None:
                raise WorkflowNotFoundError(str(workflow_id))
            if not has_version:
                raise WorkflowVersionNotFoundError(str(version_id))
            await unit.workflows.q.sync_listeners(**sync)

    async def prune_listener_subscriptions(
        self, *, disabled_before: datetime, limit: int = 1000
    ) -> int:
        """Delete up to `limit` subscriptions disabled before a time, oldest first, and return how many went.

        One bounded batch: call it until it returns less than `limit`. Cursors, pauses and remembered events stay, as do
        the subscriptions that an archived workflow has to return to.
        """
        return await self.q.prune_listener_subscriptions(
            disabled_before=as_instant(disabled_before, "disabled_before"), limit=check_limit(limit)
        )
