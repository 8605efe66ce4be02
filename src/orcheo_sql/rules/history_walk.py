"""How any Python value becomes JSON types, whatever it is and does."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import types
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from orcheo_sql._documents import MAX_DEPTH, TOO_DEEP
from orcheo_sql.rules.history_secrets import (
    REDACTED,
    SecretKind,
    is_secret_object,
    redact_labelled,
    redact_pair,
    secret_kind,
)

RECURSIVE = "<recursive>"
ARRAYS = (list, tuple, deque, AbstractSet)
# Their attributes are code, or do not say what their text says.
_OPAQUE = (type, types.FunctionType, types.MethodType, types.ModuleType, BaseException)
_ORDERED = (list, tuple, deque)
_PLAIN = frozenset([type(None), bool, int, float, str])
_UNIFORM = frozenset([type(None), bool, float])


class Stopped(Exception):  # noqa: N818 - never leaves the rules of histories and their repository
    """The walk has come to one of its limits."""


class NoRoomError(Stopped):
    """The document is larger than it may be."""


class ManyPartsError(Stopped):
    """The value has more parts than were to be looked at."""


class Walk:
    """Copies one value into JSON types.

    Whatever an object does when it is asked for its parts, the walk ends: it goes `MAX_DEPTH` levels deep, knows what it
    is inside of, and makes no document that can't be written in `room` bytes. What is shared in a value is looked at
    once for each level it stands at, and shared in the document: sixty lists that hold the next one twice are 2**60
    items, and a hundred steps.
    """

    def __init__(self, room: int, parts: int, *, redacts: bool):
        self.room = room + 1  # each value is counted with a comma, the outermost has none
        self.parts = parts
        self.redacts = redacts
        self.around: set[int] = set()
        self.recursions = 0
        # The values themselves are in it, so that no other object gets the id of one.
        self.seen: dict[tuple[int, int], tuple[Any, Any, int]] = {}

    def value(self, value: Any, depth: int) -> Any:
        """Return the JSON form of a value that has `depth` others around it."""
        try:
            if type(value) not in _PLAIN and is_secret_object(value):
                return self.text(REDACTED if self.redacts else str(value))
            if isinstance(value, str):
                return self.text(value)
            if value is None or isinstance(value, int | float):
                bits = int.bit_length(value) if isinstance(value, int) else 0
                self.take(1 + max(1, bits >> 2), 1 + (bits >> 10))
                return value
            text = None if type(value) in (dict, list) else _leaf_text(value)
            if text is not None:
                return self.text(text)
            if id(value) in self.around:
                self.recursions += 1
                return self.text(RECURSIVE)
            if depth == MAX_DEPTH:
                return self.text(TOO_DEEP)
            place = (id(value), depth)
            if place in self.seen:
                _, normal, size = self.seen[place]
                self.take(size, 1)
                return normal
            room, recursions = self.room, self.recursions
            self.around.add(id(value))
            try:
                normal = self.container(_parts(value), depth)
            finally:
                self.around.discard(id(value))
            if self.recursions == recursions:  # else the form depends on what is around it
                self.seen[place] = (value, normal, room - self.room)
            return normal  # noqa: TRY300 - one of many
        except Stopped:
            raise
        except Exception:  # noqa: BLE001 - an object may raise anything when it is looked at
            # Its text would have what was to be left out: that of a mapping has all keys and values.
            return self.text(_kind_text(value) if self.redacts else text_of(value))

    def texts(self, value: Any) -> list[str]:
        """Return each item of an array as text, what is none as one: of what was given, not of its JSON.

        So that of a guarded secret says nothing, and that of an object is what it says of itself. A mapping has none.
        """
        try:
            if value is None or isinstance(value, Mapping):
                return []
            return [
                self.text(self._text(each))
                for each in (value if isinstance(value, ARRAYS) else [value])
            ]
        except Stopped:
            raise
        except Exception:  # noqa: BLE001 - as above
            return [self.text(_kind_text(value))]

    def _text(self, value: Any) -> str:
        if self.redacts and is_secret_object(value):
            return REDACTED
        # The text of what has parts would be that of their secrets as well.
        return text_of(self.value(value, 0) if _has_parts(value) else value)

    def container(self, parts: Any, depth: int) -> Any:
        """Return the JSON form of what stands for a value; loops are written out, so that a level costs two frames."""
        if isinstance(parts, Mapping):
            self.take(2, 1)
            document: dict[str, Any] = {}
            for key, item in parts.items():
                name = self.text(text_of(key))
                kind = secret_kind(name) if self.redacts else None
                if kind is SecretKind.ANY and kind.hides(item):
                    document[name] = self.text(REDACTED)
                    continue
                normal = self.value(item, depth + 1)
                document[name] = REDACTED if kind is not None and kind.hides(normal) else normal
            if self.redacts:
                redact_labelled(document)
            return document
        if isinstance(parts, ARRAYS):
            self.take(2, 1)
            items = self.numbers(parts)
            if items is None:
                items = []
                for item in parts:
                    items.append(self.value(item, depth + 1))
            if self.redacts and isinstance(parts, _ORDERED):
                redact_pair(items)
            return items
        return self.value(parts, depth + 1)

    def take(self, size: int, parts: int) -> None:
        """Count what is in a document. The size is at most that of its JSON, so that nothing is refused that fits."""
        self.room -= size
        self.parts -= parts
        if self.room < 0:
            raise NoRoomError
        if self.parts < 0:
            raise ManyPartsError

    def text(self, text: str) -> str:
        """Count a text; long ones are work too."""
        size = str.__len__(text)
        self.take(size + 3, 1 + (size >> 10))
        return text

    def numbers(self, parts: Any) -> list[Any] | None:
        """Return a copy of a long list of numbers, such as an embedding, or None for anything else."""
        if type(parts) not in (list, tuple):
            return None
        kinds = set(map(type, parts))
        if kinds == {int}:
            size = len(parts) + (sum(map(int.bit_length, parts)) >> 2)
        elif kinds <= _UNIFORM:
            size = 2 * len(parts)
        else:
            return None
        self.take(size, 1 + (len(parts) >> 4))
        return list(parts)


def _has_parts(value: Any) -> bool:
    """Say whether the text of a value would be that of its parts."""
    return (
        isinstance(value, (Mapping, *ARRAYS, msgspec.Struct))
        or (dataclasses.is_dataclass(value) and not isinstance(value, type))
        or hasattr(type(value), "model_dump")
    )


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
    if isinstance(value, (Mapping, *ARRAYS)):
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
        return _kind_text(value)


def _kind_text(value: Any) -> str:
    return f"<{type(value).__name__}>"
