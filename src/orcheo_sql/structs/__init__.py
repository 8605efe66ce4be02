"""The entities that repositories return."""

from __future__ import annotations

from orcheo_sql.structs.base import AuditedEntity, AuditRecord, Record, utc_now
from orcheo_sql.structs.rows import AuditEntry, RunEligibility
from orcheo_sql.structs.workflows import (
    ChatKitStartScreenPrompt,
    ChatKitSupportedModel,
    RunStatusCounts,
    VersionDiff,
    Workflow,
    WorkflowChatKitConfig,
    WorkflowDraftAccess,
    WorkflowRun,
    WorkflowRunStatus,
    WorkflowSummary,
    WorkflowVersion,
)

__all__ = [
    "AuditEntry",
    "AuditRecord",
    "AuditedEntity",
    "ChatKitStartScreenPrompt",
    "ChatKitSupportedModel",
    "Record",
    "RunEligibility",
    "RunStatusCounts",
    "VersionDiff",
    "Workflow",
    "WorkflowChatKitConfig",
    "WorkflowDraftAccess",
    "WorkflowRun",
    "WorkflowRunStatus",
    "WorkflowSummary",
    "WorkflowVersion",
    "utc_now",
]
