"""What of an orchestrator's state is stored, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from orcheo_sql._documents import JsonText, clean_text, encode_record, path_text
from orcheo_sql._errors import EncodingError, ValidationError

from ..codecs.encode import utc

TASK_STATUSES = ("planned", "ready", "active", "complete", "failed")
WORKSPACE_KEY = "_workspace_path"
MEMORIES_KEY = "task_memories"
_NOT_STORED = frozenset({"orch_config"})
# By these, messages of other libraries give what they are stored as.
_SERIALISERS = ("to_dict", "dict", "to_json")


class StateParts(NamedTuple):
    """A state taken apart into what is stored of it."""

    thread_id: str
    objective: str
    workspace_path: str
    task_counts: dict[str, int]
    tags: list[str]
    created_at: datetime | None
    state: JsonText
    dropped: list[str]


def take_apart(run_id: str, state: object) -> StateParts:
    """Return what is stored of a state: a copy, so that what the caller does to it later changes nothing.

    Keys that begin with an underscore and `orch_config` are left out. What has no JSON form is left out too, and named.

    Raises:
        ValidationError: the state is not a mapping.
    """
    if not isinstance(state, Mapping):
        raise ValidationError(f"state must be a mapping, not {type(state).__name__}.")
    kept: dict[str, msgspec.Raw] = {}
    dropped: list[str] = []
    for key, value in state.items():
        name = str(key)
        if name.startswith("_") or name in _NOT_STORED:
            continue
        if name == MEMORIES_KEY and isinstance(value, Mapping):
            encoded: msgspec.Raw | None = _memories(value, dropped)
        else:
            encoded = _encoded(value)
        if encoded is None:
            dropped.append(path_text((name,)))
        else:
            kept[clean_text(name)] = encoded
    return StateParts(
        thread_id=_id(state.get("run_id")) or run_id,
        objective=_text(state.get("objective")),
        workspace_path=_text(state.get(WORKSPACE_KEY)),
        task_counts=_count_tasks(state.get("tasks")),
        tags=_tags(state.get("tags")),
        created_at=_instant(state.get("created_at")),
        state=JsonText(msgspec.json.encode(kept), "utf-8"),
        dropped=dropped,
    )


def put_together(state: dict[str, Any], workspace_path: str) -> dict[str, Any]:
    """Return a state as it is loaded: with the path of its workspace."""
    return {**state, WORKSPACE_KEY: workspace_path} if workspace_path else state


def _memories(memories: Mapping[Any, Any], dropped: list[str]) -> msgspec.Raw:
    """Return the messages of each task in their serialised form; what has none is dropped."""
    kept: dict[str, msgspec.Raw | list[msgspec.Raw]] = {}
    for task, messages in memories.items():
        name = str(task)
        if not isinstance(messages, list | tuple):
            encoded = _encoded(messages)
            if encoded is None:
                dropped.append(path_text((MEMORIES_KEY, name)))
            else:
                kept[clean_text(name)] = encoded
            continue
        stored = [_encoded(message) or _encoded(_serialised(message)) for message in messages]
        kept[clean_text(name)] = [each for each in stored if each is not None]
        dropped += [
            path_text((MEMORIES_KEY, name, n)) for n, each in enumerate(stored) if each is None
        ]
    return msgspec.Raw(msgspec.json.encode(kept))


def _serialised(message: Any) -> Any:
    for name in _SERIALISERS:
        serialise = getattr(type(message), name, None)
        if callable(serialise):
            with suppress(Exception):  # somebody else's code; the next way, or none
                return serialise(message)
    return message


def _encoded(value: Any) -> msgspec.Raw | None:
    try:
        return msgspec.Raw(encode_record(value).encode())
    except (EncodingError, ValidationError):
        return None


def _text(value: object) -> str:
    """Return text for a column; what is not text counts as missing."""
    return clean_text(value) if isinstance(value, str) else ""


def _id(value: object) -> str:
    return str(value) if isinstance(value, UUID) else _text(value)


def _tags(value: object) -> list[str]:
    if not isinstance(value, list | tuple | set | frozenset):
        return []
    texts = [clean_text(tag) for tag in value if isinstance(tag, str)]
    return sorted(texts) if isinstance(value, set | frozenset) else texts


def _instant(value: object) -> datetime | None:
    """Return a time in UTC; ISO text is one too, and seconds since 1970. A naive one is in UTC. None when it is none."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        return utc(value) if isinstance(value, datetime) else None
    except (ValueError, OverflowError, OSError, ValidationError):
        return None


def _count_tasks(tasks: object) -> dict[str, int]:
    counts = dict.fromkeys(TASK_STATUSES, 0)
    if isinstance(tasks, Mapping):
        tasks = tasks.values()
    if not isinstance(tasks, Iterable) or isinstance(tasks, str | bytes):
        return counts
    for task in tasks:
        status = task.get("status") if isinstance(task, Mapping) else getattr(task, "status", None)
        status = getattr(status, "value", status)
        if isinstance(status, str) and status in counts:
            counts[status] += 1
    return counts
