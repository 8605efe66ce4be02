"""The entities that repositories return."""

from __future__ import annotations

from orcheo_sql.structs.agentensor import AgentensorCheckpoint
from orcheo_sql.structs.base import AuditedEntity, AuditRecord, Record, utc_now
from orcheo_sql.structs.cron_rows import (
    CronSchedule,
    CronScheduleState,
    DueSchedule,
    StoredSchedule,
)
from orcheo_sql.structs.dispatch_rows import (
    DueRetry,
    OutboxCounts,
    OutboxEntry,
    RetryState,
    RunRetry,
    RunRetryStatus,
    StoredRetryPolicy,
)
from orcheo_sql.structs.history import (
    RunHistoryHit,
    RunHistoryRecord,
    RunHistoryStatus,
    RunHistoryStep,
)
from orcheo_sql.structs.history_rows import StoredHistory, StoredStep
from orcheo_sql.structs.listener_rows import LeasedListener, ListenerState, StoredCursor
from orcheo_sql.structs.listeners import (
    ListenerCursor,
    ListenerDedupeRecord,
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerHealthSnapshot,
    ListenerLease,
    ListenerSubscription,
    ListenerSubscriptionStatus,
)
from orcheo_sql.structs.rows import AuditEntry, RunEligibility
from orcheo_sql.structs.snapshots import RunSnapshot, RunSummary, SavedRun
from orcheo_sql.structs.tokens import (
    HashKind,
    ListedServiceToken,
    ServiceTokenAuditEntry,
    ServiceTokenRecord,
    ServiceTokenStatus,
)
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
from orcheo_sql.structs.webhook_rows import StoredWebhook, WebhookRefusal
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
    "CronSchedule",
    "CronScheduleState",
    "CronTriggerConfig",
    "DueRetry",
    "DueSchedule",
    "HashKind",
    "LeasedListener",
    "ListedServiceToken",
    "ListenerCursor",
    "ListenerDedupeRecord",
    "ListenerDispatchMessage",
    "ListenerDispatchPayload",
    "ListenerHealthSnapshot",
    "ListenerLease",
    "ListenerState",
    "ListenerSubscription",
    "ListenerSubscriptionStatus",
    "ManualDispatchItem",
    "ManualDispatchRequest",
    "ManualDispatchRun",
    "OutboxCounts",
    "OutboxEntry",
    "RateLimitConfig",
    "Record",
    "RetryDecision",
    "RetryPolicyConfig",
    "RetryState",
    "RunEligibility",
    "RunHistoryHit",
    "RunHistoryRecord",
    "RunHistoryStatus",
    "RunHistoryStep",
    "RunRetry",
    "RunRetryStatus",
    "RunSnapshot",
    "RunStatusCounts",
    "RunSummary",
    "SavedRun",
    "ServiceTokenAuditEntry",
    "ServiceTokenRecord",
    "ServiceTokenStatus",
    "StoredCursor",
    "StoredHistory",
    "StoredRetryPolicy",
    "StoredSchedule",
    "StoredStep",
    "StoredWebhook",
    "VersionDiff",
    "WebhookRefusal",
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
