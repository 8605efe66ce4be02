"""Cron schedules: configure them, look after them. What fires them is in `workflow_cron_dispatch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from .._documents import encode_definition
from .._errors import CronTriggerNotFoundError, DecodeError
from .._pages import Page, check_limit, encode_cursor, page_of
from ..rules import UNSEEN, parse_cron_config
from ..structs import CronSchedule, CronTriggerConfig
from .base import (
    DEFAULT_PAGE,
    EARLIEST,
    LARGEST_PAGE,
    LOWEST_ID,
    as_uuid,
    audit_event,
)
from .workflow_lists import position
from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from .._query_types import Workflows
    from ..structs import StoredSchedule


class WorkflowCron(WorkflowRuns):
    """The part of `WorkflowRepository` about cron schedules."""

    q: Workflows

    async def configure_cron_trigger(
        self, workflow_id: UUID, config: CronTriggerConfig | Any, *, actor: str = "system"
    ) -> CronTriggerConfig:
        """Set when a workflow runs by the clock, in place of what was set before.

        A changed config counts from now on; the last dispatch and unfinished runs stay known. The same one changes
        nothing, but brings a schedule back that was set aside.

        Raises:
            ValidationError: the config breaks a rule.
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        parsed = parse_cron_config(config)
        now = self._now()
        changed = await self.q.put_cron_trigger(
            workflow_id=workflow_id,
            schedule_id=uuid4(),
            config=encode_definition(parsed, name="cron trigger"),
            allow_overlapping=parsed.allow_overlapping,
            unseen=UNSEEN,
            now=now,
            event=audit_event(actor, "cron_trigger_configured", now, expression=parsed.expression),
        )
        if changed is None:
            await self._require_workflow(workflow_id)
        return parsed

    async def get_cron_trigger_config(self, workflow_id: UUID) -> CronTriggerConfig:
        """Return when a workflow runs by the clock.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            CronTriggerNotFoundError: it has no schedule.
            DecodeError: what is stored is no such config.
        """
        return read_config((await self._stored_schedule(workflow_id)).config)

    async def get_cron_schedule(self, workflow_id: UUID) -> CronSchedule:
        """Return a workflow's schedule and how it stands.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            CronTriggerNotFoundError: it has no schedule.
        """
        return _schedule(await self._stored_schedule(workflow_id))

    async def _stored_schedule(self, workflow_id: UUID) -> StoredSchedule:
        workflow_id = as_uuid(workflow_id, "workflow_id")
        found = await self.q.get_schedule(workflow_id=workflow_id)
        if found is None:
            await self._require_workflow(workflow_id)
            raise CronTriggerNotFoundError(workflow_id)
        return found

    async def delete_cron_trigger(self, workflow_id: UUID, *, actor: str = "system") -> None:
        """Remove a workflow's schedule, with all that is known of it; none is fine.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        now = self._now()
        deleted = await self.q.delete_cron_trigger(
            workflow_id=workflow_id, now=now, event=audit_event(actor, "cron_trigger_deleted", now)
        )
        if deleted is None:
            await self._require_workflow(workflow_id)

    async def pause_cron_trigger(self, workflow_id: UUID, *, actor: str) -> CronSchedule:
        """Stop firing a workflow's schedule until it is resumed; paused already is fine.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            CronTriggerNotFoundError: it has no schedule.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        now = self._now()
        event = audit_event(actor, "cron_trigger_paused", now)
        await self.q.pause_schedule(workflow_id=workflow_id, now=now, event=event)
        return await self.get_cron_schedule(workflow_id)

    async def resume_cron_trigger(self, workflow_id: UUID, *, actor: str) -> CronSchedule:
        """Fire a schedule again that was paused or set aside, from now on: what it missed meanwhile is not made up for.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            CronTriggerNotFoundError: it has no schedule.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        now = self._now()
        event = audit_event(actor, "cron_trigger_resumed", now)
        await self.q.resume_schedule(workflow_id=workflow_id, unseen=UNSEEN, now=now, event=event)
        return await self.get_cron_schedule(workflow_id)

    async def page_cron_schedules(
        self, *, limit: int = DEFAULT_PAGE, cursor: str | None = None
    ) -> Page[CronSchedule]:
        """Return up to `limit` (at most 1000) schedules in the order of their making, from a cursor on."""
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        after_at, after_id = position("schedules", cursor, EARLIEST, LOWEST_ID)
        rows = await self.q.list_schedules(after_at=after_at, after_id=after_id, limit=limit + 1)
        return page_of(
            [_schedule(row) for row in rows],
            limit,
            lambda s: encode_cursor("schedules", s.created_at, s.workflow_id),
        )


def read_config(text: str) -> CronTriggerConfig:
    """Return a stored config, bound by no rule.

    Raises:
        DecodeError: it is no JSON object, or a value is of another type.
    """
    document = _document(text)
    if document is None:
        raise DecodeError("CronTriggerConfig: what is stored is not a JSON object")
    return CronTriggerConfig.from_document(document)


def _document(text: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _schedule(stored: StoredSchedule) -> CronSchedule:
    return CronSchedule(**{**msgspec.structs.asdict(stored), "config": _document(stored.config)})
