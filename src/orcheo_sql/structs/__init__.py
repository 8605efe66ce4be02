"""The entities that repositories return."""

from __future__ import annotations

from orcheo_sql.structs.agentensor import AgentensorCheckpoint
from orcheo_sql.structs.base import AuditedEntity, AuditRecord, Record, utc_now
from orcheo_sql.structs.listeners import (
    ListenerCursor,
    ListenerDedupeRecord,
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerHealthSnapshot,
    ListenerSubscription,
    ListenerSubscriptionStatus,
)
from orcheo_sql.structs.rows import AuditEntry, RunEligibility
from orcheo_sql.structs.triggers import (
    CronMisfirePolicy,
    CronTriggerConfig,
    ManualDispatchItem,
    ManualDispatchRequest,
    ManualDispatchRun,
    RateLimitConfig,
    RetryDecision,
    RetryPolicyConfig,
    WebhookRequest,
    WebhookTriggerConfig,
)
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
    "AgentensorCheckpoint",
    "AuditEntry",
    "AuditRecord",
    "AuditedEntity",
    "ChatKitStartScreenPrompt",
    "ChatKitSupportedModel",
    "CronMisfirePolicy",
    "CronTriggerConfig",
    "ListenerCursor",
    "ListenerDedupeRecord",
    "ListenerDispatchMessage",
    "ListenerDispatchPayload",
    "ListenerHealthSnapshot",
    "ListenerSubscription",
    "ListenerSubscriptionStatus",
    "ManualDispatchItem",
    "ManualDispatchRequest",
    "ManualDispatchRun",
    "RateLimitConfig",
    "Record",
    "RetryDecision",
    "RetryPolicyConfig",
    "RunEligibility",
    "RunStatusCounts",
    "VersionDiff",
    "WebhookRequest",
    "WebhookTriggerConfig",
    "Workflow",
    "WorkflowChatKitConfig",
    "WorkflowDraftAccess",
    "WorkflowRun",
    "WorkflowRunStatus",
    "WorkflowSummary",
    "WorkflowVersion",
    "utc_now",
]
