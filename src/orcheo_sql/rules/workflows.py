"""The fields of a workflow: what is accepted, and the form in which it is stored and compared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from orcheo_sql._errors import ValidationError
from orcheo_sql.rules._values import (
    distinct_texts,
    items,
    known_fields,
    mapping,
    optional_text,
    require_flag,
    trimmed,
)
from orcheo_sql.structs.workflows import (
    ChatKitStartScreenPrompt,
    ChatKitSupportedModel,
    WorkflowChatKitConfig,
    WorkflowDraftAccess,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WORKFLOW_NAME_MAX_LENGTH = 128
WORKFLOW_DESCRIPTION_MAX_LENGTH = 1024

_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")


def normalize_workflow_name(value: object) -> str:
    """Return the name as trimmed text; refuse a blank or over-long one."""
    name = trimmed(value, "Workflow name", WORKFLOW_NAME_MAX_LENGTH)
    if name is None:
        raise ValidationError("Workflow name must not be empty.")
    return name


def normalize_workflow_description(value: object) -> str | None:
    """Return the description as trimmed text, None for a blank one."""
    return trimmed(value, "Workflow description", WORKFLOW_DESCRIPTION_MAX_LENGTH)


def normalize_workflow_tags(value: Iterable[str] | None) -> list[str]:
    """Trim and lower-case tags, drop blank and repeated ones; None means none."""
    if value is None:
        return []
    return [tag.lower() for tag in distinct_texts(value, "Workflow tags", str.lower)]


def derive_workflow_slug(slug: str | None, name: str) -> str:
    """Return the slug of a workflow: of the given slug if there is one, else of its name.

    A source without any ASCII letter or digit is kept as it is, in lower case; a blank one
    becomes a random UUID.
    """
    source = (optional_text(slug, "Workflow slug") or name).strip().lower()
    return _NOT_IN_SLUG.sub("-", source).strip("-") or source or str(uuid4())


def parse_draft_access(value: WorkflowDraftAccess | str) -> WorkflowDraftAccess:
    """Return the draft access that `value` names."""
    try:
        return WorkflowDraftAccess(value)
    except ValueError:
        allowed = ", ".join(WorkflowDraftAccess)
        raise ValidationError(f"draft_access must be one of: {allowed}.") from None


def normalize_chatkit_prompts(
    value: Iterable[ChatKitStartScreenPrompt | Mapping[str, Any]],
) -> list[ChatKitStartScreenPrompt]:
    """Return start-screen prompts from structs, mappings or models that offer ``model_dump``."""
    field = "chatkit_start_screen_prompts"
    return [_prompt(item, f"{field}[{i}]") for i, item in enumerate(items(value, field))]


def normalize_chatkit_models(
    value: Iterable[ChatKitSupportedModel | Mapping[str, Any]],
) -> list[ChatKitSupportedModel]:
    """Return supported models from structs, mappings or models that offer ``model_dump``."""
    field = "chatkit_supported_models"
    return [_model(item, f"{field}[{i}]") for i, item in enumerate(items(value, field))]


def update_chatkit(
    current: WorkflowChatKitConfig | None,
    *,
    prompts: Iterable[ChatKitStartScreenPrompt | Mapping[str, Any]] | None = None,
    models: Iterable[ChatKitSupportedModel | Mapping[str, Any]] | None = None,
    clear_prompts: bool = False,
    clear_models: bool = False,
) -> WorkflowChatKitConfig | None:
    """Return the chat settings after an update; None as an argument leaves a member alone.

    A clear flag wins over a list; settings without any member are None.
    """
    config = current or WorkflowChatKitConfig()
    new_prompts, new_models = config.start_screen_prompts, config.supported_models
    if clear_prompts:
        new_prompts = None
    elif prompts is not None:
        new_prompts = normalize_chatkit_prompts(prompts)
    if clear_models:
        new_models = None
    elif models is not None:
        new_models = normalize_chatkit_models(models)
    if new_prompts is None and new_models is None:
        return None
    return WorkflowChatKitConfig(start_screen_prompts=new_prompts, supported_models=new_models)


def _prompt(value: object, field: str) -> ChatKitStartScreenPrompt:
    document = _document(value, field, ChatKitStartScreenPrompt)
    label = trimmed(document.get("label"), f"{field}.label", 120)
    prompt = trimmed(document.get("prompt"), f"{field}.prompt", 2000)
    if label is None or prompt is None:
        raise ValidationError(f"{field}: ChatKit prompt fields must not be empty.")
    icon = trimmed(document.get("icon"), f"{field}.icon", 64)
    return ChatKitStartScreenPrompt(label=label, prompt=prompt, icon=icon)


def _model(value: object, field: str) -> ChatKitSupportedModel:
    document = _document(value, field, ChatKitSupportedModel)
    model_id = trimmed(document.get("id"), f"{field}.id", 200)
    if model_id is None:
        raise ValidationError(f"{field}: ChatKit model id must not be empty.")
    return ChatKitSupportedModel(
        id=model_id,
        label=trimmed(document.get("label"), f"{field}.label", 120),
        description=trimmed(document.get("description"), f"{field}.description", 240),
        disabled=require_flag(document.get("disabled", False), f"{field}.disabled"),
        default=require_flag(document.get("default", False), f"{field}.default"),
    )


def _document(value: object, field: str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    if isinstance(value, struct):
        return msgspec.structs.asdict(value)
    return known_fields(mapping(value, field), field, struct.__struct_fields__)
