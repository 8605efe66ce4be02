"""The rules of the domain: pure functions that check, normalise, merge and compare."""

from __future__ import annotations

from orcheo_sql.rules._values import optional_text, require_flag, require_int, require_text
from orcheo_sql.rules.diff import diff_graphs
from orcheo_sql.rules.handles import (
    WORKFLOW_HANDLE_MAX_LENGTH,
    normalize_workflow_handle,
    normalize_workflow_ref,
    workflow_ref_is_uuid,
)
from orcheo_sql.rules.run_config import (
    effective_config,
    merge_runnable_configs,
    parse_runnable_config,
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
    "WORKFLOW_HANDLE_MAX_LENGTH",
    "derive_workflow_slug",
    "diff_graphs",
    "effective_config",
    "merge_runnable_configs",
    "normalize_chatkit_models",
    "normalize_chatkit_prompts",
    "normalize_workflow_description",
    "normalize_workflow_handle",
    "normalize_workflow_name",
    "normalize_workflow_ref",
    "normalize_workflow_tags",
    "optional_text",
    "parse_draft_access",
    "parse_runnable_config",
    "require_flag",
    "require_int",
    "require_text",
    "update_chatkit",
    "workflow_ref_is_uuid",
]
