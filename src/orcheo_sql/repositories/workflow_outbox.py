"""The outbox: runs to hand to workers, at least once each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from .._errors import ValidationError
from .._pages import Page, check_limit, encode_cursor, page_of
from ..rules import require_text
from ..structs import OutboxEntry, WorkflowRunStatus
from .base import DEFAULT_PAGE, EARLIEST, LARGEST_PAGE, LOWEST_ID, audit_event
from .workflow_lists import position
from .workflow_runs import WorkflowRuns, appended_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._query_types import Workflows
    from ..structs import OutboxCounts, WorkflowRun

LONGEST_SPAN = timedelta(days=3660)


class WorkflowOutbox(WorkflowRuns):
    """The part of `WorkflowRepository` about handing runs to workers."""

    q: Workflows

    async def claim_outbox(
        self, *, consumer: str, limit: int = 10, lease_seconds: float = 60
    ) -> list[OutboxEntry]:
        """Lease up to `limit` runs to one consumer, the longest offered first; nobody else gets them meanwhile.

        What is not acknowledged when the lease ends is offered again: a consumer sees each run at least once.

        Args:
            consumer: who asks, for operators.
            limit: at most 1000.
            lease_seconds: how long they are this consumer's.
        """
        now = self._now()
        return await self.q.claim_outbox(
            claim_id=uuid4(),
            consumer=require_text(consumer, "consumer"),
            now=now,
            lease_until=now + _seconds(lease_seconds, "lease_seconds"),
            limit=check_limit(limit, maximum=LARGEST_PAGE),
        )

    async def acknowledge_outbox(self, entries: Iterable[OutboxEntry]) -> int:
        """Take what was claimed out of the outbox, and return how much that was: not what somebody else has claimed since.

        Raises:
            ValidationError: an entry is not one that `claim_outbox` returned; those of `page_outbox` are no claims.
        """
        return await self.q.acknowledge_outbox(entries=_claims(entries))

    async def release_outbox(
        self, entries: Iterable[OutboxEntry], *, delay_seconds: float = 0
    ) -> int:
        """Give back what was claimed, to be offered again after a delay; return how much that was.

        Raises:
            ValidationError: an entry is not one that `claim_outbox` returned, or the delay is none.
        """
        return await self.q.release_outbox(
            entries=_claims(entries),
            available_at=self._now() + _seconds(delay_seconds, "delay_seconds"),
        )

    async def sweep_outbox(self, *, pending_for: timedelta | float, limit: int = 1000) -> int:
        """Offer up to `limit` runs again that are pending although a worker has acknowledged them; return how many.

        One bounded batch: call it until it returns less than `limit`.

        Args:
            pending_for: how long ago they were created at least, as a timedelta or in seconds: longer than a worker
                may take to start one.
            limit: how many at most.
        """
        now = self._now()
        return await self.q.sweep_outbox(
            created_before=now - _seconds(pending_for, "pending_for"),
            now=now,
            limit=check_limit(limit),
        )

    async def page_outbox(
        self, *, limit: int = DEFAULT_PAGE, cursor: str | None = None
    ) -> Page[OutboxEntry]:
        """Return up to `limit` (at most 1000) entries, claimed or not, by the time from which they are offered.

        They tell who has claimed what, and are no claims themselves: `claim_id` is None.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        after_at, after_id = position("outbox", cursor, EARLIEST, LOWEST_ID)
        rows = await self.q.list_outbox(after_at=after_at, after_id=after_id, limit=limit + 1)
        return page_of(rows, limit, lambda e: encode_cursor("outbox", e.available_at, e.run_id))

    async def count_outbox(self) -> OutboxCounts:
        """Count what is offered and what is claimed."""
        counts = await self.q.count_outbox(now=self._now())
        assert counts is not None
        return counts

    async def sweep_stale_runs(
        self,
        *,
        stale_for: timedelta | float,
        status: WorkflowRunStatus | str = WorkflowRunStatus.RUNNING,
        limit: int = 100,
        actor: str,
        reason: str = "abandoned: its worker has not reported for too long",
    ) -> list[WorkflowRun]:
        """Mark runs as failed that a dead worker left behind, so that their schedules and retries go on.

        Nothing tells a dead worker from a slow one: choose a time that no run of yours takes.

        Args:
            stale_for: how long they have been in their state, as a timedelta or in seconds.
            status: `running`, or `pending`.
            limit: how many at most.
            actor: who does this, for the audit trail.
            reason: the error that they get.
        """
        if status not in (WorkflowRunStatus.RUNNING, WorkflowRunStatus.PENDING):
            raise ValidationError(f"status must be running or pending, got {status!r}")
        now = self._now()
        reason = require_text(reason, "reason")
        failed = await self.q.fail_stale_runs(
            status=WorkflowRunStatus(status),
            updated_before=now - _seconds(stale_for, "stale_for"),
            reason=reason,
            now=now,
            event=audit_event(actor, "run_failed", now, error=reason),
            limit=check_limit(limit),
            error_text=appended_text(reason),
        )
        # SQLite returns rows of an UPDATE in any order.
        return sorted(failed, key=lambda run: (run.created_at, run.id))


def _seconds(value: timedelta | float, name: str) -> timedelta:
    try:
        span = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (TypeError, OverflowError, ValueError):
        span = timedelta(seconds=-1)
    if isinstance(value, bool) or not timedelta() <= span <= LONGEST_SPAN:
        raise ValidationError(f"{name} must be a number of seconds from 0 to ten years")
    return span


def _claims(entries: Iterable[OutboxEntry]) -> list[dict[str, UUID]]:
    try:
        given = list(entries)
    except TypeError:
        given = [None]  # type: ignore[list-item]
    claims = []
    for entry in given:
        if not isinstance(entry, OutboxEntry) or not isinstance(entry.run_id, UUID):
            raise ValidationError("entries must be a list of what claim_outbox returned")
        if not isinstance(entry.claim_id, UUID):
            raise ValidationError(
                f"run {entry.run_id}: only an entry that claim_outbox returned is a claim"
            )
        claims.append({"run_id": entry.run_id, "claim_id": entry.claim_id})
    return claims
