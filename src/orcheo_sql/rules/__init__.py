"""The rules of the domain: pure functions that check, normalise, merge and compare."""

from __future__ import annotations

from orcheo_sql.rules._values import optional_text, require_flag, require_int, require_text
from orcheo_sql.rules.cron import (
    UNSEEN,
    DispatchPlan,
    DueOccurrences,
    dispatch_time,
    due_occurrences,
    first_occurrence,
    next_occurrence,
    parse_cron_config,
    plan_dispatch,
)
from orcheo_sql.rules.diff import diff_graphs
from orcheo_sql.rules.handles import (
    WORKFLOW_HANDLE_MAX_LENGTH,
    normalize_workflow_handle,
    normalize_workflow_ref,
    workflow_ref_is_uuid,
)
from orcheo_sql.rules.manual import parse_manual_request
from orcheo_sql.rules.retries import decide_retry, parse_retry_policy
from orcheo_sql.rules.run_config import (
    effective_config,
    merge_runnable_configs,
    parse_runnable_config,
)
from orcheo_sql.rules.webhooks import (
    WebhookAcceptance,
    check_webhook_history,
    parse_webhook_config,
    validate_webhook,
)
from orcheo_sql.rules.workflows import (
    derive_workflow_slug,
    normalize_chatkit_models,
    normalize_chatkit_prompts,
    normalize_workflow_description,
    normalize_workflow_name,
    normalize_workflow_tags,
    parse_draft_access,
    update_chatkit,
)

__all__ = [
    "UNSEEN",
    "WORKFLOW_HANDLE_MAX_LENGTH",
    "DispatchPlan",
    "DueOccurrences",
    "WebhookAcceptance",
    "check_webhook_history",
    "decide_retry",
    "derive_workflow_slug",
    "diff_graphs",
    "dispatch_time",
    "due_occurrences",
    "effective_config",
    "first_occurrence",
    "merge_runnable_configs",
    "next_occurrence",
    "normalize_chatkit_models",
    "normalize_chatkit_prompts",
    "normalize_workflow_description",
    "normalize_workflow_handle",
    "normalize_workflow_name",
    "normalize_workflow_ref",
    "normalize_workflow_tags",
    "optional_text",
    "parse_cron_config",
    "parse_draft_access",
    "parse_manual_request",
    "parse_retry_policy",
    "parse_runnable_config",
    "parse_webhook_config",
    "plan_dispatch",
    "require_flag",
    "require_int",
    "require_text",
    "update_chatkit",
    "validate_webhook",
    "workflow_ref_is_uuid",
]
