"""What a run history keeps: any value as JSON, without secrets, and not more than fits.

Values are *records of what happened*, so nothing is refused but for its size: the rules below turn any object into JSON
types, and the policy of `_documents` makes those storable on both databases (docs/values.md).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import re
import sys
import types
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from orcheo_sql._documents import MAX_DEPTH, TOO_DEEP, JsonText, deep_text, encode_record
from orcheo_sql._errors import RunHistoryPayloadTooLargeError

RECURSIVE = "<recursive>"
REDACTED = "<redacted>"

_WORD_BREAKS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
# The end of a key tells what it holds: `access_token` is a secret, `token_count` and `max_tokens` are none.
_SECRET_KEY = re.compile(
    r"(?:^| )(?:passwords?|passwd|passphrase|secrets?|token|credentials?|authorization|cookies?"
    r"|(?:api|private|secret|access|encryption) ?keys?)$"
)
_LONGEST_KEY = 128
# Under `token` alone stand credentials, and the pieces of text that a model streams; those are short.
_SHORTEST_TOKEN = 16
_ARRAYS = (list, tuple, deque, AbstractSet)
# Their attributes are code, or do not say what their text says.
_OPAQUE = (type, types.FunctionType, types.MethodType, types.ModuleType, BaseException)


def normalize_json_value(value: Any) -> Any:
    """Return any value as JSON types, the first of these rules that fits (docs/history.md has them all)."""
    return _Walk(sys.maxsize, redacts=False).value(value, 0)


def normalize_json_mapping(value: Any) -> dict[str, Any]:
    """Return any value as a JSON object: None as an empty one, what is no mapping under the key `value`."""
    return _as_mapping(normalize_json_value(value))


class HistoryDocuments:
    """Makes the documents of a history: normalised, redacted if that is on, and within the limit.

    `name` is what an error calls the document.
    """

    def __init__(self, max_bytes: int, *, redacts: bool):
        self.max_bytes = max_bytes
        self.redacts = redacts

    def normal(self, value: Any, name: str) -> Any:
        """Return any value as JSON types.

        Raises:
            RunHistoryPayloadTooLargeError: it is so large that its JSON can't be within the limit.
        """
        try:
            return _Walk(self.max_bytes, redacts=self.redacts).value(value, 0)
        except _NoRoom:
            raise RunHistoryPayloadTooLargeError(name, self.max_bytes) from None

    def stored(self, normal: Any, name: str) -> JsonText:
        """Return JSON types as the text that is stored.

        Raises:
            RunHistoryPayloadTooLargeError: it is larger than the limit.
        """
        text = encode_record(normal, name=name)
        if len(text) > self.max_bytes or len(text.encode()) > self.max_bytes:
            raise RunHistoryPayloadTooLargeError(name, self.max_bytes)
        return text

    def mapping(self, value: Any, name: str) -> JsonText:
        """Return any value as the JSON object that is stored, made as `normalize_json_mapping` does."""
        return self.stored(_as_mapping(self.normal(value, name)), name)


def history_tags(given: Any, config: Mapping[str, Any]) -> list[str]:
    """Return an execution's tags, from JSON types: those given, else the config's; a text is one tag."""
    tags = config.get("tags") if given is None else given
    if tags is None or isinstance(tags, dict):
        return []
    return [text_of(tag) for tag in tags] if isinstance(tags, list) else [text_of(tags)]


def history_callbacks(given: Any, config: Mapping[str, Any]) -> list[Any]:
    """Return an execution's callbacks, from JSON types: those given, else the config's; one alone becomes a list."""
    callbacks = config.get("callbacks") if given is None else given
    if callbacks is None:
        return []
    return callbacks if isinstance(callbacks, list) else [callbacks]


def history_metadata(given: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an execution's metadata, from JSON types: what is given, else the config's if that is a mapping."""
    if given is not None:
        return _as_mapping(given)
    metadata = config.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def is_secret_key(key: str) -> bool:
    """Say whether what stands under a key is a secret, by the last words of the key."""
    return len(key) <= _LONGEST_KEY and _names_a_secret(key)


@functools.lru_cache(maxsize=4096)
def _names_a_secret(key: str) -> bool:
    words = _WORD_BREAKS.sub(" ", key).strip().lower()
    return _SECRET_KEY.search(words) is not None


def _as_mapping(normal: Any) -> dict[str, Any]:
    if normal is None:
        return {}
    return normal if isinstance(normal, dict) else {"value": normal}


class _NoRoom(Exception):  # noqa: N818 - never leaves this module
    """The document is larger than it may be."""


class _Walk:
    """Copies one value into JSON types.

    Whatever an object does when it is asked for its parts, the walk ends: it goes `MAX_DEPTH` levels deep, knows what it is
    inside of, and takes no more than `room` bytes of texts and numbers.
    """

    def __init__(self, room: int, *, redacts: bool):
        self.room = room
        self.redacts = redacts
        self.around: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        """Return the JSON form of a value that has `depth` others around it."""
        try:
            normal = self.form(value, depth)
        except _NoRoom:
            raise
        except Exception:  # noqa: BLE001 - an object may raise anything when it is looked at
            normal = text_of(value)
        self.take(normal)
        return normal

    def take(self, normal: Any) -> None:
        """Count what is in a document; containers count little, their parts are counted on their own."""
        if isinstance(normal, str):
            self.room -= len(normal)
        elif isinstance(normal, int):
            self.room -= normal.bit_length() // 8
        self.room -= 1
        if self.room < 0:
            raise _NoRoom

    def form(self, value: Any, depth: int) -> Any:
        """Return the JSON form of a value that behaves; loops are written out, so that a level costs two frames."""
        if value is None or isinstance(value, str | int | float):
            return value
        text = _leaf_text(value)
        if text is not None:
            return text
        if id(value) in self.around:
            return RECURSIVE
        if depth == MAX_DEPTH:
            return TOO_DEEP if self.redacts else deep_text(value)
        self.around.add(id(value))
        try:
            parts = _parts(value)
            if isinstance(parts, Mapping):
                document = {}
                for key, item in parts.items():
                    name = text_of(key)
                    self.take(name)
                    is_hidden = (
                        self.redacts and is_secret_key(name) and not _is_no_secret(name, item)
                    )
                    document[name] = REDACTED if is_hidden else self.value(item, depth + 1)
                return document
            if isinstance(parts, _ARRAYS):
                items = []
                for item in parts:
                    items.append(self.value(item, depth + 1))  # noqa: PERF401 - see above
                return items
            return self.value(parts, depth + 1)
        finally:
            self.around.discard(id(value))


def _is_no_secret(key: str, value: Any) -> bool:
    is_piece = isinstance(value, str) and len(value) < _SHORTEST_TOKEN
    return _says_nothing(value) or (is_piece and key.strip().lower() == "token")


def _says_nothing(value: Any) -> bool:
    return value is None or type(value) is bool


def _leaf_text(value: Any) -> str | None:
    match value:
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case UUID() | PurePath() | Decimal():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode(errors="replace")
        case _:
            return None


def _parts(value: Any) -> Any:
    """Return what stands for a value: itself if it is a container, its fields, what it dumps, or its text."""
    if isinstance(value, (Mapping, *_ARRAYS)):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, _OPAQUE):
        return text_of(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    dump = _dump(value)
    if dump is not None:
        return dump
    try:
        return dict(vars(value))
    except TypeError:
        return text_of(value)


def _dump(value: Any) -> Any:
    try:
        dump = value.model_dump
        try:
            return dump(mode="json")
        except TypeError:
            return dump()
    except Exception:  # noqa: BLE001 - whatever it is, there is no dump
        return None


def text_of(value: Any) -> str:
    """Return the text of any value; one that has none is named by its type."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - also an integer of too many digits
        return f"<{type(value).__name__}>"
