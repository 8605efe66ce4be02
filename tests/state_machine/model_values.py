"""Texts, run configs and hostile values as the rules have them, once more and on their own."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

CONFIG_FIELDS = (
    "configurable", "tags", "metadata", "callbacks", "run_name", "recursion_limit", "max_concurrency", "prompts"
)  # fmt: skip
PROMPT_DEFAULTS: dict[str, Any] = {
    "requires_grad": False, "metadata": {}, "model_kwargs": {}, "type": "TextTensor"
}  # fmt: skip


class Refused(Exception):
    """What the library answers with an error: the class and the text of it."""

    def __init__(self, kind: str, text: str):
        super().__init__(kind, text)
        self.kind = kind
        self.text = text


def invalid(text: str) -> Refused:
    return Refused("ValidationError", text)


def text_of(value: Any, field: str) -> str:
    """Refuse what no database can hold in a text column."""
    if not isinstance(value, str):
        raise invalid(f"{field} must be text, not {type(value).__name__}.")
    if "\0" in value:
        raise invalid(f"{field} must not contain NUL characters.")
    return value


def short_text(value: str | None, field: str, longest: int) -> str | None:
    text = "" if value is None else text_of(value.strip(), field)
    if len(text) > longest:
        raise invalid(f"{field} must be at most {longest} characters long.")
    return text or None


def name_of(value: str) -> str:
    name = short_text(value, "Workflow name", 128)
    if name is None:
        raise invalid("Workflow name must not be empty.")
    return name


def handle_of(value: str | None) -> str | None:
    if value is None:
        return None
    handle = value.strip().lower()
    if not handle:
        raise invalid("Workflow handle must not be empty.")
    if len(handle) > 64:
        raise invalid("Workflow handle must be at most 64 characters long.")
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", handle):
        raise invalid(
            "Workflow handle must contain only lowercase letters, numbers, and single hyphens."
        )
    if uuid_of(handle) is not None:
        raise invalid("Workflow handle must not use a UUID format.")
    return handle


def uuid_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def tags_of(values: list[str] | None) -> list[str]:
    texts = [text_of(v, f"Workflow tags[{i}]").strip().lower() for i, v in enumerate(values or [])]
    return list(dict.fromkeys(filter(None, texts)))


def slug_of(slug: str | None, name: str) -> str | None:
    """Derive a slug; None stands for one that the library makes up."""
    source = (slug or name).strip().lower()
    return re.sub("[^a-z0-9]+", "-", source).strip("-") or source or None


def access_of(value: str) -> str:
    if value not in ("personal", "authenticated", "workspace"):
        raise invalid("draft_access must be one of: personal, authenticated, workspace.")
    return value


def prompts_of(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    prompts = []
    for i, value in enumerate(values):
        field = f"chatkit_start_screen_prompts[{i}]"
        label = short_text(value.get("label"), f"{field}.label", 120)
        prompt = short_text(value.get("prompt"), f"{field}.prompt", 2000)
        if label is None or prompt is None:
            raise invalid(f"{field}: ChatKit prompt fields must not be empty.")
        icon = short_text(value.get("icon"), f"{field}.icon", 64)
        prompts.append({"label": label, "prompt": prompt, "icon": icon})
    return prompts


def models_of(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    models = []
    for i, value in enumerate(values):
        field = f"chatkit_supported_models[{i}]"
        model_id = short_text(value.get("id"), f"{field}.id", 200)
        if model_id is None:
            raise invalid(f"{field}: ChatKit model id must not be empty.")
        models.append(
            {
                "id": model_id,
                "label": short_text(value.get("label"), f"{field}.label", 120),
                "description": short_text(value.get("description"), f"{field}.description", 240),
                "disabled": value.get("disabled", False),
                "default": value.get("default", False),
            }
        )
    return models


def config_of(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Check a run config and return the fields that are set."""
    if value is None:
        return None
    unknown = [key for key in value if key not in CONFIG_FIELDS]
    if unknown:
        names = ", ".join(map(repr, unknown))
        known = ", ".join(CONFIG_FIELDS)
        raise invalid(f"runnable_config has unknown fields: {names}. Known: {known}.")
    return {key: _config_field(key, item) for key, item in value.items()}


def _config_field(key: str, value: Any) -> Any:
    field = f"runnable_config.{key}"
    if key == "tags":
        kept: dict[str, str] = {}
        for i, tag in enumerate(value or []):
            text = text_of(tag, f"{field}[{i}]").strip()
            if text:
                kept.setdefault(text.casefold(), text)
        return list(kept.values())
    if key == "run_name":
        return None if value is None else text_of(value, field).strip() or None
    if key in ("recursion_limit", "max_concurrency"):
        highest = 250 if key == "recursion_limit" else 32
        if value is not None and not 1 <= value <= highest:
            raise invalid(f"{field} must be a whole number from 1 to {highest}.")
    if key == "prompts":
        for name, prompt in (value or {}).items():
            if "text" not in prompt:
                raise invalid(f"{field}.{name}.text is required.")
    return value


def merged_config(stored: dict[str, Any] | None, override: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a run gets: its version's config, the override over it, no defaults."""
    config = dict(stored or {})
    for key, value in (config_of(override) or {}).items():
        by_key = (
            key in ("configurable", "metadata") and value or key == "prompts" and value is not None
        )
        config[key] = {**(config.get(key) or {}), **value} if by_key else value
    may_be_empty = ("run_name", "recursion_limit", "max_concurrency", "prompts")
    dumped = {
        key: config[key]
        for key in CONFIG_FIELDS
        if config.get(key) is not None and (config[key] or key in may_be_empty)
    }
    if "prompts" in dumped:
        dumped["prompts"] = {
            name: {
                k: v for k, v in p.items() if k not in PROMPT_DEFAULTS or v != PROMPT_DEFAULTS[k]
            }
            for name, p in dumped["prompts"].items()
        }
    return dumped


def definition(value: Any, name: str) -> Any:
    """Return a definition as it is stored, or refuse a value in it that no database can hold."""
    if isinstance(value, dict):
        return {key: definition(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [definition(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float) and value != value:
        raise invalid(f"{name}: NaN is not a JSON number")
    if isinstance(value, int) and abs(value) > 2**63:
        raise invalid(f"{name}: an integer beyond 64 bit")
    if isinstance(value, str) and "\0" in value:
        where = value.index("\0")
        raise invalid(f"{name}: a NUL character at position {where}, which a database can't hold")
    if isinstance(value, str) and "\ud83d" in value:
        where = value.index("\ud83d")
        raise invalid(
            f"{name}: a lone surrogate (\\ud83d) at position {where}, which a database can't hold"
        )
    return value


def record(value: Any) -> Any:
    """Return a record as it is stored, hostile values as text."""
    if isinstance(value, dict):
        return {record_text(key): record(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [record(item) for item in value]
    if isinstance(value, set):
        return sorted(map(record, value), key=lambda item: json.dumps(item).encode())
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, float) and abs(value) == float("inf"):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and abs(value) > 2**63:
        return str(value)
    if isinstance(value, UUID):
        return str(value)
    return record_text(value) if isinstance(value, str) else value


def record_text(value: str) -> str:
    return value.replace("\0", "\\u0000").replace("\ud83d", "\\ud83d")
