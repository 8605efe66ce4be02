"""Retries and the outbox, as dispatchers, workers and operators see them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from orcheo_sql.structs.base import Record
from orcheo_sql.structs.workflows import WorkflowRunStatus


class StoredRetryPolicy(Record, frozen=True, kw_only=True):
    """The policy of a workflow as it is stored; None means the default."""

    config: dict[str, Any] | None


class RetryState(Record, frozen=True, kw_only=True):
    """What a decision to try a run again depends on."""

    status: WorkflowRunStatus
    policy: dict[str, Any] | None
    first_run_id: UUID
    decisions: int
    is_retried: bool


class DueRetry(Record, frozen=True, kw_only=True):
    """A decision that is due and whose run has ended."""

    first_run_id: UUID
    retry_number: int
    failed_run_id: UUID
    scheduled_for: datetime
    workflow_id: UUID
    status: WorkflowRunStatus
    input_payload: dict[str, Any]
    runnable_config: dict[str, Any]
    schedule_revision: int | None


class RunRetryStatus(StrEnum):
    """What became of a decision to try a run again."""

    WAITING = "waiting"
    """Until it is due and its run has failed."""
    SUPERSEDED = "superseded"
    """A later decision about the same run took its place."""
    DROPPED = "dropped"
    """Its run did not fail after all."""
    DONE = "done"
    """`run_id` is the run that tries again."""


class RunRetry(Record, frozen=True, kw_only=True):
    """One decision of a chain of retries, and the run that came of it."""

    first_run_id: UUID
    retry_number: int
    failed_run_id: UUID
    run_id: UUID | None
    status: RunRetryStatus
    scheduled_for: datetime
    delay_seconds: float
    created_at: datetime


class OutboxEntry(Record, frozen=True, kw_only=True):
    """A run to hand to a worker, and who has claimed it."""

    run_id: UUID
    workflow_id: UUID
    workflow_version_id: UUID
    triggered_by: str
    status: WorkflowRunStatus
    claim_id: UUID | None
    """What allows to acknowledge the run; only who has claimed it gets it, a list has None here."""
    consumer: str | None
    attempts: int
    """How often it was claimed."""
    available_at: datetime
    """When it is offered next: of a claimed one, the end of the lease."""
    created_at: datetime


class OutboxCounts(Record, frozen=True, kw_only=True):
    """How full the outbox is."""

    total: int
    offered: int
    claimed: int
