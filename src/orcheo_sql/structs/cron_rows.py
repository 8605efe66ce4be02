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
    """A schedule to look at. Its config is still text: one that can't be read must not hide the others."""

    workflow_id: UUID
    schedule_id: UUID
    config: str
    next_fire_at: datetime | None
    counted_from: datetime
    revision: int
    created_at: datetime
    has_version: bool


class StoredSchedule(Record, frozen=True, kw_only=True):
    """A row of what becomes a `CronSchedule`; its config is still text, for the same reason."""

    workflow_id: UUID
    workflow_name: str
    config: str
    state: CronScheduleState
    reason: str | None
    next_fire_at: datetime | None
    last_dispatched_at: datetime | None
    created_at: datetime
    updated_at: datetime


class CronSchedule(Record, frozen=True, kw_only=True):
    """A workflow's schedule and how it stands, for an operator."""

    workflow_id: UUID
    workflow_name: str
    config: dict[str, Any] | None
    """None: what is stored can't be read. A dispatcher sets such a schedule aside."""
    state: CronScheduleState
    reason: str | None
    """Why it was set aside."""
    next_fire_at: datetime | None
    """The year 1 until a dispatcher has looked at it for the first time."""
    last_dispatched_at: datetime | None
    created_at: datetime
    updated_at: datetime
