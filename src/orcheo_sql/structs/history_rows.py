"""Rows of the run history that are not entities: what its queries tell the repository."""

from datetime import datetime
from typing import Any

from orcheo_sql.structs.base import Record
from orcheo_sql.structs.history import RunHistoryRecord


class StoredHistory(RunHistoryRecord, frozen=True, kw_only=True):
    """The row of an execution, which knows how many steps there are but not the steps."""

    step_count: int


class StoredStep(Record, frozen=True, kw_only=True):
    """A step among those of other executions."""

    execution_id: str
    index: int
    at: datetime
    payload: dict[str, Any]
