"""Schedules as dispatchers and operators see them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from orcheo_sql.structs.base import Record


class CronScheduleState(StrEnum):
    """Whether dispatchers look at a schedule."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Until somebody resumes it."""
    SUSPENDED = "suspended"
    """Its workflow is archived."""
    SET_ASIDE = "set_aside"
    """It could not be dispatched, and would not be next time; until somebody resumes or configures it."""
    ENDED = "ended"
    """It will never fire again."""


class DueSchedule(Record, frozen=True, kw_only=True):
    """A schedule to look at. Its config is still a document: one that breaks a rule must not hide the others."""

    workflow_id: UUID
    schedule_id: UUID
    config: dict[str, Any]
    next_fire_at: datetime | None
    counted_from: datetime
    revision: int
    created_at: datetime
    workflow_version_id: UUID | None


class CronSchedule(Record, frozen=True, kw_only=True):
    """A workflow's schedule and how it stands, for an operator."""

    workflow_id: UUID
    workflow_name: str
    config: dict[str, Any]
    state: CronScheduleState
    reason: str | None
    """Why it was set aside."""
    next_fire_at: datetime | None
    """The year 1 until a dispatcher has looked at it for the first time."""
    last_dispatched_at: datetime | None
    created_at: datetime
    updated_at: datetime
