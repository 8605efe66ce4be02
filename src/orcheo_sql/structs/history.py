"""What happened in an execution of a workflow, step by step."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from orcheo_sql.structs.base import Record, utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping


class RunHistoryStatus(StrEnum):
    """Where an execution is in its life; compares equal to its text."""

    RUNNING = "running"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when the execution is over."""
        return self is not RunHistoryStatus.RUNNING


class RunHistoryStep(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step; it never changes."""

    index: int
    at: datetime = msgspec.field(default_factory=utc_now)
    payload: dict[str, Any]


class RunHistoryHit(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step that a search has found, and whose it is."""

    workflow_id: str
    execution_id: str
    index: int
    at: datetime
    payload: dict[str, Any]


class RunHistoryRecord(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One execution: what it was given, how it ended, and its steps as far as they were asked for.

    The methods return changed copies; what is stored changes through `db.history` only.
    """

    derived_fields: ClassVar[frozenset[str]] = frozenset({"steps"})

    workflow_id: str
    execution_id: str
    inputs: dict[str, Any] = msgspec.field(default_factory=dict)
    runnable_config: dict[str, Any] = msgspec.field(default_factory=dict)
    tags: list[str] = msgspec.field(default_factory=list)
    callbacks: list[Any] = msgspec.field(default_factory=list)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    run_name: str | None = None
    status: RunHistoryStatus = RunHistoryStatus.RUNNING
    started_at: datetime = msgspec.field(default_factory=utc_now)
    completed_at: datetime | None = None
    error: str | None = None
    steps: list[RunHistoryStep] = msgspec.field(default_factory=list)
    trace_id: str | None = None
    trace_started_at: datetime | None = None
    trace_completed_at: datetime | None = None
    trace_last_span_at: datetime | None = None

    def append_step(
        self, payload: Mapping[str, Any], *, at: datetime | None = None
    ) -> RunHistoryRecord:
        """Return a copy with one more step, `steps[-1]`; its index is the number of steps there were."""
        step = RunHistoryStep(index=len(self.steps), at=_instant(at), payload=dict(payload))
        return msgspec.structs.replace(
            self,
            steps=[*self.steps, step],
            trace_started_at=self.trace_started_at or step.at,
            trace_last_span_at=max(self.trace_last_span_at or step.at, step.at),
        )

    def mark_completed(self, *, at: datetime | None = None) -> RunHistoryRecord:
        """Return a copy that has completed."""
        return self._ended(RunHistoryStatus.COMPLETED, None, at)

    def mark_failed(self, error: str, *, at: datetime | None = None) -> RunHistoryRecord:
        """Return a copy that has failed, with the reason."""
        return self._ended(RunHistoryStatus.ERROR, error, at)

    def mark_cancelled(
        self, *, reason: str | None = None, at: datetime | None = None
    ) -> RunHistoryRecord:
        """Return a copy that was cancelled, with the reason if there is one."""
        return self._ended(RunHistoryStatus.CANCELLED, reason, at)

    def _ended(
        self, status: RunHistoryStatus, error: str | None, at: datetime | None
    ) -> RunHistoryRecord:
        end = _instant(at)
        return msgspec.structs.replace(
            self, status=status, error=error, completed_at=end, trace_completed_at=end
        )


def _instant(at: datetime | None) -> datetime:
    if at is None:
        return utc_now()
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
