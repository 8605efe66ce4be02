"""Training checkpoints of the agentensor loop."""

from datetime import datetime
from typing import Any

import msgspec

from orcheo_sql.structs.base import Record, utc_now


class AgentensorCheckpoint(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration and the metrics of one step of training; it never changes but for `is_best`."""

    id: str
    workflow_id: str
    config_version: int
    runnable_config: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: dict[str, Any] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    artifact_url: str | None = None
    created_at: datetime = msgspec.field(default_factory=utc_now)
    is_best: bool = False
