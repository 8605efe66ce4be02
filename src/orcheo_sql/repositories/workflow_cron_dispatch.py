"""Cron schedules: fire what is due."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import uuid4

from .._documents import clean_text, encode_record
from .._errors import DecodeError, TransactionError
from .._search import search_text
from ..rules import dispatch_time, plan_dispatch
from ._credential_checks import healthy_ones
from ._dispatch_trouble import Trouble
from .base import EARLIEST, LOWEST_ID, audit_event
from .workflow_cron import WorkflowCron, read_config

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from .._query_types import Workflows
    from ..rules import DispatchPlan
    from ..structs import CronTriggerConfig, DueSchedule, WorkflowRun

logger = logging.getLogger("orcheo_sql.cron")

BATCH = 100
LONGEST_REASON = 500


@dataclass
class _Turn:
    """One schedule at which a dispatcher is; `revision` is the one that it knows."""

    due: DueSchedule
    revision: int
    config: CronTriggerConfig
    plan: DispatchPlan
    runs: list[WorkflowRun] = field(default_factory=list)


class WorkflowCronDispatch(WorkflowCron):
    """The part of `WorkflowRepository` that fires cron schedules."""

    q: Workflows

    async def dispatch_due_cron_runs(self, *, now: datetime | None = None) -> list[WorkflowRun]:
        """Create the runs that are due, and return them; any number of processes may do so at once.

        Each occurrence of a schedule yields one run, whoever dispatches it. A schedule without a version, with an
        unfinished run that it must not overlap, with unhealthy credentials or without a verdict on them in time, or
        that somebody else has locked for too long, stays due; one that can't be dispatched at all is set aside with
        the reason. Neither stops the others.

        Args:
            now: what is due at this time, in the years 1971 to 8999; the clock's time when None. Later than the
                clock, it fires early.

        Raises:
            ValidationError: `now`, or the clock, is not in these years.
            TransactionError: called inside a unit of work: each run is committed on its own.
            StoreError: the database can't be reached; or, after all others had their turn, an error that does not
                pass by itself. Runs that were created before that are in the outbox.
        """
        if self._scope.in_transaction:
            raise TransactionError("schedules are dispatched outside of units of work")
        clock = dispatch_time(self._now(), "the clock")
        until = clock if now is None else dispatch_time(now)
        trouble = Trouble(logger)
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
            turns = [await self._look_at(due, until, clock, trouble) for due in batch]
            wanted = {turn.due.workflow_id: turn for turn in turns if turn is not None}
            await self._fire_healthy(wanted, trouble)
            runs += [run for turn in wanted.values() for run in turn.runs]
            if len(batch) < BATCH:
                trouble.raise_if_lasting()
                return runs
            after = (
                batch[-1].next_fire_at or EARLIEST,
                batch[-1].created_at,
                batch[-1].workflow_id,
            )

    async def _fire_healthy(self, wanted: dict[UUID, _Turn], trouble: Trouble) -> None:
        if not wanted:  # as most polls find
            return
        asking = healthy_ones(
            lambda workflow_id: self.ensure_credential_health(workflow_id, actor="cron"),
            wanted,
            logger,
        )
        async with aclosing(asking) as healthy:
            async for workflow_id in healthy:
                await self._fire(wanted[workflow_id], trouble)

    async def _look_at(
        self, due: DueSchedule, now: datetime, clock: datetime, trouble: Trouble
    ) -> _Turn | None:
        """Return what is to be fired of one schedule; None when there is nothing to fire, or it can't be."""
        with trouble.kept("schedule of workflow", due.workflow_id):
            try:
                config = read_config(due.config)
                plan = plan_dispatch(
                    config,
                    next_fire_at=due.next_fire_at or EARLIEST,
                    counted_from=due.counted_from,
                    now=now,
                    clock=clock,
                )
            except Exception as error:  # noqa: BLE001 - of a config alone: the same would happen next time
                await self._set_aside(due, due.revision, error)
                return None
            turn = _Turn(due, due.revision, config, plan)
            # From here on it is known since when it is due, also if it can't be fired now.
            is_known = plan.due_since == due.next_fire_at
            if not is_known and not await self._move(turn, plan.due_since):
                return None
            if not plan.is_due or not due.has_version:
                return None
            if plan.dropped_since is not None:
                logger.warning(
                    "schedule of workflow %s: occurrences from %s on were missed and are given up (%s)",
                    due.workflow_id, plan.dropped_since.isoformat(), config.misfire_policy,
                )  # fmt: skip
            if plan.fire:
                return turn
            await self._move(turn, plan.next_fire_at)
        return None

    async def _set_aside(self, due: DueSchedule, revision: int, error: Exception) -> None:
        reason = clean_text(f"{type(error).__name__}: {error}")[:LONGEST_REASON]
        logger.warning("schedule of workflow %s set aside: %s", due.workflow_id, reason)
        await self.q.set_schedule_aside(
            workflow_id=due.workflow_id,
            schedule_id=due.schedule_id,
            revision=revision,
            reason=reason,
            now=self._now(),
        )

    async def _move(self, turn: _Turn, next_fire_at: datetime | None) -> bool:
        moved = await self.q.move_schedule(
            workflow_id=turn.due.workflow_id,
            schedule_id=turn.due.schedule_id,
            revision=turn.revision,
            next_fire_at=next_fire_at,
        )
        turn.revision += 1
        return moved > 0

    async def _fire(self, turn: _Turn, trouble: Trouble) -> None:
        """Create a run for each occurrence of a plan."""
        with trouble.kept("schedule of workflow", turn.due.workflow_id):
            try:
                for occurrence, following in pairwise([*turn.plan.fire, turn.plan.next_fire_at]):
                    assert occurrence is not None
                    run = await self._fire_one(turn, occurrence, following)
                    if run is not None:
                        turn.runs.append(run)
                    elif not await self._pass(turn, occurrence, following):
                        break  # another dispatcher was here, or the last run must end first
                    turn.revision += 1
            except DecodeError as error:  # of the version that it runs: so it would be next time
                await self._set_aside(turn.due, turn.revision, error)

    async def _fire_one(
        self, turn: _Turn, occurrence: datetime, following: datetime | None
    ) -> WorkflowRun | None:
        payload = {"scheduled_for": occurrence.isoformat(), "timezone": turn.config.timezone}
        now = self._now()
        return await self.q.fire_schedule(
            id=uuid4(),
            workflow_id=turn.due.workflow_id,
            schedule_id=turn.due.schedule_id,
            revision=turn.revision,
            scheduled_for=occurrence,
            next_fire_at=following,
            input_payload=encode_record(payload, name="input_payload"),
            now=now,
            event=audit_event("cron", "run_created", now),
            search_text=search_text("cron", payload),
        )

    async def _pass(self, turn: _Turn, occurrence: datetime, following: datetime | None) -> bool:
        """Move on from an occurrence that has had its run; False when it has not."""
        passed = await self.q.pass_occurrence(
            workflow_id=turn.due.workflow_id,
            schedule_id=turn.due.schedule_id,
            revision=turn.revision,
            scheduled_for=occurrence,
            next_fire_at=following,
        )
        return passed > 0
