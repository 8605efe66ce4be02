"""Run configs: the schema they follow, and how a run's override joins the stored one.

A config is a dict of the fields that were *set*. That a field is absent means something (keep
what is stored), so nothing here adds defaults; `effective_config` drops those that were set.

Only the shape is checked here. Values that can't be stored as JSON, wherever they are nested, are
refused by the encoder of definitions; values are shared with the argument, not copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import ValidationError
from orcheo_sql.rules._values import (
    distinct_texts,
    items,
    known_fields,
    mapping,
    require_flag,
    require_int,
    require_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[object, str], Any]

RECURSION_LIMIT_MAX = 250
MAX_CONCURRENCY_MAX = 32


def parse_runnable_config(value: object, field: str = "runnable_config") -> dict[str, Any] | None:
    """Check a config and return its set fields, normalised; None passes through.

    A model that offers ``model_dump`` counts as the fields its client set.
    """
    if value is None:
        return None
    document = known_fields(mapping(value, field), field, _FIELDS)
    return {name: _FIELDS[name](item, f"{field}.{name}") for name, item in document.items()}


def merge_runnable_configs(
    stored: Mapping[str, Any], override: Mapping[str, Any]
) -> dict[str, Any]:
    """Join two parsed configs: what `override` sets wins, what it lacks is kept.

    `configurable` and `metadata` merge key by key and `prompts` name by name; setting one of the
    first two to an empty mapping, or `prompts` to None, clears it. All else is replaced.
    """
    merged = dict(stored)
    for name, value in override.items():
        cleared = value is None if name == "prompts" else not value
        if name in _MERGED_BY_KEY and not cleared:
            merged[name] = {**(stored.get(name) or {}), **value}
        else:
            merged[name] = value
    return merged


def effective_config(stored: object, override: object) -> dict[str, Any]:
    """Return the config of a run, without None and default values.

    An override that is None or sets nothing is ignored.
    """
    config = parse_runnable_config(stored, "the version's runnable_config") or {}
    changes = parse_runnable_config(override)
    if changes:
        config = merge_runnable_configs(config, changes)
    return _dump(config)


def _dump(config: dict[str, Any]) -> dict[str, Any]:
    dumped = {
        name: config[name]
        for name in _FIELDS
        if config.get(name) is not None and (config[name] or name not in _EMPTY_BY_DEFAULT)
    }
    if "prompts" in dumped:
        dumped["prompts"] = {
            name: {
                key: value
                for key, value in prompt.items()
                if key not in _PROMPT_DEFAULTS or value != _PROMPT_DEFAULTS[key]
            }
            for name, prompt in dumped["prompts"].items()
        }
    return dumped


def _tags(value: object, field: str) -> list[str]:
    return [] if value is None else distinct_texts(value, field, str.casefold)


def _list(value: object, field: str) -> list[Any]:
    return [] if value is None else items(value, field)


def _run_name(value: object, field: str) -> str | None:
    return None if value is None else require_text(value, field).strip() or None


def _limit(high: int) -> Check:
    def check(value: object, field: str) -> int | None:
        return None if value is None else require_int(value, field, 1, high)

    return check


def _prompts(value: object, field: str) -> dict[str, Any] | None:
    if value is None:
        return None
    prompts = mapping(value, field)
    return {
        require_text(name, f"{field} key"): _prompt(prompt, f"{field}.{name}")
        for name, prompt in prompts.items()
    }


def _prompt(value: object, field: str) -> dict[str, Any]:
    document = known_fields(mapping(value, field), field, _PROMPT_FIELDS)
    if "text" not in document:
        raise ValidationError(f"{field}.text is required.")
    return {name: _PROMPT_FIELDS[name](item, f"{field}.{name}") for name, item in document.items()}


def _prompt_type(value: object, field: str) -> str:
    if value != _PROMPT_DEFAULTS["type"]:
        raise ValidationError(f"{field} must be {_PROMPT_DEFAULTS['type']!r}.")
    return str(value)


_FIELDS: dict[str, Check] = {
    "configurable": mapping,
    "tags": _tags,
    "metadata": mapping,
    "callbacks": _list,
    "run_name": _run_name,
    "recursion_limit": _limit(RECURSION_LIMIT_MAX),
    "max_concurrency": _limit(MAX_CONCURRENCY_MAX),
    "prompts": _prompts,
}
_MERGED_BY_KEY = frozenset({"configurable", "metadata", "prompts"})
_EMPTY_BY_DEFAULT = frozenset({"configurable", "tags", "metadata", "callbacks"})

_PROMPT_FIELDS: dict[str, Check] = {
    "text": require_text,
    "requires_grad": require_flag,
    "metadata": mapping,
    "model_kwargs": mapping,
    "type": _prompt_type,
}
_PROMPT_DEFAULTS: dict[str, Any] = {
    "requires_grad": False,
    "metadata": {},
    "model_kwargs": {},
    "type": "TextTensor",
}
