"""Snapshots of the runs of an orchestrator."""

from datetime import datetime
from typing import Any

import msgspec

from orcheo_sql.structs.base import Record


class RunSummary(Record, frozen=True, kw_only=True):
    """What lists show of a run: all but its state."""

    run_id: str
    thread_id: str
    objective: str
    status: str
    workspace_path: str
    task_counts: dict[str, int]
    """How many tasks are planned, ready, active, complete and failed."""
    tags: list[str]
    created_at: datetime
    updated_at: datetime


class RunSnapshot(RunSummary, frozen=True, kw_only=True):
    """A run with its state, as it was last saved."""

    state: dict[str, Any]


class SavedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What saving a state came to."""

    summary: RunSummary
    dropped: list[str]
    """Paths in the state of what has no JSON form, and was not stored."""
