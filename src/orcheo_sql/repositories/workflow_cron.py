"""Cron schedules: configure them, dispatch what is due, look after them."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from .._documents import encode_definition, encode_record
from .._errors import (
    CronTriggerNotFoundError,
    OrcheoSqlError,
    TransactionError,
    TransientError,
)
from .._pages import Page, check_limit, encode_cursor, page_of
from .._search import search_text
from ..rules import (
    due_occurrences,
    first_occurrence,
    next_occurrence,
    parse_cron_config,
)
from ..structs import CronTriggerConfig
from .base import (
    DEFAULT_PAGE,
    EARLIEST,
    LARGEST_PAGE,
    LOWEST_ID,
    as_instant,
    as_uuid,
    audit_event,
)
from .workflow_lists import position
from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from datetime import datetime

    from .._query_types import Workflows
    from ..structs import CronSchedule, DueSchedule, WorkflowRun

logger = logging.getLogger("orcheo_sql.cron")

UNSEEN = EARLIEST
"""When a schedule is due that no dispatcher has looked at yet."""
BATCH = 100
# How far the clocks of dispatchers may be apart; beyond, a time that is given is one of the future.
_SKEW = timedelta(minutes=1)


class WorkflowCron(WorkflowRuns):
    """The part of `WorkflowRepository` about cron schedules."""

    q: Workflows

    async def configure_cron_trigger(
        self, workflow_id: UUID, config: CronTriggerConfig | Any, *, actor: str = "system"
    ) -> CronTriggerConfig:
        """Set when a workflow runs by the clock, in place of what was set before.

        A changed config counts from now on; the last dispatch and unfinished runs stay known. The same one changes nothing.

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
        """
        return CronTriggerConfig.from_document((await self.get_cron_schedule(workflow_id)).config)

    async def get_cron_schedule(self, workflow_id: UUID) -> CronSchedule:
        """Return a workflow's schedule and how it stands.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            CronTriggerNotFoundError: it has no schedule.
        """
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
            rows, limit, lambda s: encode_cursor("schedules", s.created_at, s.workflow_id)
        )

    async def dispatch_due_cron_runs(self, *, now: datetime | None = None) -> list[WorkflowRun]:
        """Create the runs that are due, and return them; any number of processes may do so at once.

        Each occurrence of a schedule yields one run, whoever dispatches it. A schedule without a version, with an
        unfinished run that it must not overlap, or with unhealthy credentials stays due; one that can't be dispatched
        at all is set aside with the reason. Neither stops the others.

        Args:
            now: what is due at this time; the clock's time when None. Later than the clock, it fires early.

        Raises:
            TransactionError: called inside a unit of work: each run is committed on its own.
            StoreError: the database can't be reached. Runs that were created before that are in the outbox.
        """
        if self._scope.in_transaction:
            raise TransactionError("schedules are dispatched outside of units of work")
        clock = self._now()
        until = clock if now is None else as_instant(now, "now")
        runs: list[WorkflowRun] = []
        after = (EARLIEST, EARLIEST, LOWEST_ID)
        while True:
            batch = await self.q.list_due_schedules(
                now=until,
                after_at=after[0],
                after_created=after[1],
                after_id=after[2],
                limit=BATCH,
            )
            for due in batch:
                runs += await self._dispatch(due, until, clock)
            if len(batch) < BATCH:
                return runs
            after = (
                batch[-1].next_fire_at or EARLIEST,
                batch[-1].created_at,
                batch[-1].workflow_id,
            )

    async def _dispatch(
        self, due: DueSchedule, now: datetime, clock: datetime
    ) -> list[WorkflowRun]:
        """Dispatch one schedule; whatever is wrong with it is its own affair."""
        try:
            return await self._fire_what_is_due(due, now, clock)
        except TransientError:
            raise
        except (OrcheoSqlError, ValueError, ArithmeticError) as error:
            reason = f"{type(error).__name__}: {error}"
            logger.warning("schedule of workflow %s set aside: %s", due.workflow_id, reason)
            await self.q.set_schedule_aside(
                workflow_id=due.workflow_id, revision=due.revision, reason=reason, now=clock
            )
            return []

    async def _fire_what_is_due(
        self, due: DueSchedule, now: datetime, clock: datetime
    ) -> list[WorkflowRun]:
        config = CronTriggerConfig.from_document(due.config)
        next_fire_at = due.next_fire_at
        revision = due.revision
        if next_fire_at == UNSEEN:
            # From here on it is known since when it is due, also if it can't be fired now.
            next_fire_at = first_occurrence(config, min(due.counted_from, now))
            if not await self._move(due, revision, next_fire_at):
                return []
            revision += 1
        plan = due_occurrences(config, next_fire_at, now)
        if next_fire_at is None or next_fire_at > now or due.workflow_version_id is None:
            return []
        then = plan.next_fire_at
        if now > clock + _SKEW:
            # Fired early, on request: the schedule itself goes by the clock, or it would be silent until then.
            after_clock = next_occurrence(config, clock)
            then = after_clock if then is None or after_clock is None else min(then, after_clock)
        if plan.dropped_since is not None:
            logger.warning(
                "schedule of workflow %s: occurrences from %s on were missed and are given up (%s)",
                due.workflow_id, plan.dropped_since.isoformat(), config.misfire_policy,
            )  # fmt: skip
        if not plan.fire:
            await self._move(due, revision, then)
            return []
        if not await self._is_healthy(due.workflow_id):
            return []
        return await self._fire(due, revision, config, [*plan.fire, then])

    async def _move(self, due: DueSchedule, revision: int, next_fire_at: datetime | None) -> bool:
        moved = await self.q.move_schedule(
            workflow_id=due.workflow_id, revision=revision, next_fire_at=next_fire_at
        )
        return moved > 0

    async def _is_healthy(self, workflow_id: UUID) -> bool:
        """Ask the credential service; what it fails of is no reason to stop other schedules."""
        try:
            await self.ensure_credential_health(workflow_id, actor="cron")
        except Exception as error:  # noqa: BLE001 - it is not ours
            logger.warning("schedule of workflow %s waits: %s", workflow_id, error)
            return False
        return True

    async def _fire(
        self,
        due: DueSchedule,
        revision: int,
        config: CronTriggerConfig,
        occurrences: list[datetime | None],
    ) -> list[WorkflowRun]:
        """Create a run for each occurrence but the last one, which is when the schedule is due next."""
        runs = []
        for occurrence, following in pairwise(occurrences):
            assert occurrence is not None
            run = await self._fire_one(due, revision, config, occurrence, following)
            if run is not None:
                runs.append(run)
            elif not await self.q.pass_occurrence(
                workflow_id=due.workflow_id,
                revision=revision,
                scheduled_for=occurrence,
                next_fire_at=following,
            ):
                break  # another dispatcher was here, or the last run must end first
            revision += 1
        return runs

    async def _fire_one(
        self,
        due: DueSchedule,
        revision: int,
        config: CronTriggerConfig,
        occurrence: datetime,
        following: datetime | None,
    ) -> WorkflowRun | None:
        assert due.workflow_version_id is not None
        payload = {"scheduled_for": occurrence.isoformat(), "timezone": config.timezone}
        now = self._now()
        return await self.q.fire_schedule(
            id=uuid4(),
            workflow_id=due.workflow_id,
            workflow_version_id=due.workflow_version_id,
            revision=revision,
            scheduled_for=occurrence,
            next_fire_at=following,
            input_payload=encode_record(payload, name="input_payload"),
            now=now,
            event=audit_event("cron", "run_created", now),
            search_text=search_text("cron", payload),
        )
