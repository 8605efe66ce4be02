"""Schedules as dispatchers and operators see them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from orcheo_sql.structs.base import Record


class DueSchedule(Record, frozen=True, kw_only=True):
    """A schedule to look at. Its config is still text: one that can't be read must not hide the others."""

    workflow_id: UUID
    schedule_id: UUID
    config: str
    next_fire_at: datetime
    counted_from: datetime
    revision: int
    created_at: datetime
    workflow_version_id: UUID | None


class CronSchedule(Record, frozen=True, kw_only=True):
    """A workflow's schedule and how it stands, for an operator."""

    workflow_id: UUID
    workflow_name: str
    config: str
    """JSON, as stored."""
    state: Literal["active", "paused", "suspended", "set_aside", "ended"]
    """Suspended: its workflow is archived. Set aside: it could not be dispatched, see `reason`. Ended: it never fires again."""
    reason: str | None
    next_fire_at: datetime | None
    """The year 1 until a dispatcher has looked at it for the first time."""
    last_dispatched_at: datetime | None
    created_at: datetime
    updated_at: datetime
