r"""JSON documents and texts, under two policies for values that a database can't hold.

Such hostile values are NUL characters, lone surrogates, NaN and the infinities, integers beyond
signed 64 bit, and what is nested more than `MAX_DEPTH` levels deep. *Records of what happened* (run
input and output, messages, history) keep them as text:

=====================  ======================================================================
NUL, lone surrogate    the six characters of its JSON escape: ``\u0000``, ``\ud83d``
NaN, infinities        ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
integer beyond 64 bit  its decimal digits as text; beyond 2048 bit hexadecimal, ``"0x…"``
deeper than 200        its JSON as text; ``"<nested too deeply>"`` for what contains itself
=====================  ======================================================================

A text that had those very characters before can't be told from a converted one. *Definitions*
(graphs, configs, names, filters) are refused instead, with the JSON path of the offending value.

Everything else is converted alike under both policies. Tuples become arrays; sets arrays sorted by
their JSON text; enums their value; instants ISO text in UTC with ``Z``, a naive one being UTC;
dates, times, durations, UUIDs and decimals text; bytes base64; structs and dataclasses objects;
models what their ``model_dump`` says. Keys become text as their values would, without the quotes.
Where two keys of a record thereby become equal, the last one wins; a definition is refused. A type
that is not listed is an `EncodingError`. `MAX_DEPTH` levels are well within what SQLite, PostgreSQL
and msgspec each can read.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import functools
import math
import re
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from ._errors import EncodingError, ValidationError

MAX_DEPTH = 200
"""Levels of arrays and objects inside each other that a document may have."""
TOO_DEEP = "<nested too deeply>"

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_LONGEST_DECIMAL = 2048  # bits; beyond, the interpreter may refuse to convert to decimal digits

_LONGEST_PATH = 20  # steps; more than that helps nobody in a message

_HOSTILE = re.compile("[\x00\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[^\s.\[\]\"\\\x00-\x1f\ud800-\udfff]{1,60}")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

# Digits become "0", points stay, the rest becomes " ". The first needle then finds nineteen digits or
# more, quickly, for it is skipped over whatever is no digit; the second one those of them that are an
# integer and not the fraction of a number.
_SHAPES = re.sub(rb"[^0.]", b" ", re.sub(rb"[0-9]", b"0", bytes(range(256))))
_MANY_DIGITS = b"0" * len(str(_MAX_INTEGER))
_LONG_INTEGER = b" " + _MANY_DIGITS
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class JsonText(str):
    """A document that is JSON already: bound as it is, never encoded again.

    msgspec decodes plain `str` and bytes only; give it ``text.encode()``.
    """

    __slots__ = ()


def encode_record(value: Any, *, name: str = "document") -> JsonText:
    """Return a record as JSON; hostile values become text.

    Raises `EncodingError` for a type without a JSON form and `ValidationError` for a document that
    is too deep or contains itself. `name` is what the messages call the document.
    """
    return _encode_document(value, name, strict=False)


def encode_definition(value: Any, *, name: str) -> JsonText:
    """Return a definition as JSON, or raise like `encode_record`, and for hostile values too."""
    return _encode_document(value, name, strict=True)


def clean_text(value: str) -> str:
    """Return the text of a record with NULs and lone surrogates written as their JSON escapes."""
    value = str.__str__(value)
    if _is_clean(value):
        return value
    return _HOSTILE.sub(_escape, value)


def check_text(value: str, *, name: str) -> str:
    """Return the text of a definition, or raise `ValidationError` when a database can't hold it."""
    if not isinstance(value, str):
        raise ValidationError(f"{name}: must be text, not {type(value).__name__}")
    value = str.__str__(value)
    if not _is_clean(value):
        raise ValidationError(f"{name}: {_describe(value)}")
    return value


def number_text(value: int) -> str:
    """Return a number for a message; Python refuses to write very long ones in decimal digits."""
    return _integer_text(int(value))


def path_text(steps: tuple[str | int, ...]) -> str:
    """Write a path as ``a.b[0]."odd key"``."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{_key_text(step)}" for step in steps)
    return "".join(parts).removeprefix(".")


def _encode_document(value: Any, name: str, *, strict: bool) -> JsonText:
    if isinstance(value, JsonText):
        return value
    raw = _encode_plain(value)
    if raw is None:
        try:
            raw = _encode(_Walk(name, strict=strict).value(value, (), 0))
        except RecursionError:  # little stack was left, or an object turns into itself
            raise _too_deep(name) from None
    return JsonText(raw, "utf-8")


def _encode_plain(value: Any) -> bytes | None:
    """Encode a document that holds nothing to convert or to refuse; None sends it to the walk.

    msgspec writes NaN as null, sets in any order, naive times without zone: all that shows when the
    text is read back and compared. What does not show is looked for in the text. A false alarm,
    say a string of nineteen digits, costs time only.
    """
    try:
        opened = _opened(value) if isinstance(value, msgspec.Struct) else value
        raw = _encode(opened)
        if _decode(raw) != opened:
            return None
    except Exception:  # noqa: BLE001 - whatever it is, the walk finds it and says where
        return None
    if b"\\u0000" in raw or _has_long_integer(raw) or _is_too_deep(raw):
        return None
    return raw


def _opened(value: msgspec.Struct) -> Any:
    """Return what the walk makes of a struct, but with the items of its lists and dicts as they are.

    So these show in the comparison, like those of a document that is none. What is a struct further down does too.
    """
    fields = _struct_fields(value)
    if isinstance(fields, dict):
        for name, item in fields.items():
            kind = type(item)
            if kind in _PLAIN_KINDS:
                continue
            if kind is UUID:
                fields[name] = str(item)
            elif kind is dt.datetime:
                fields[name] = _instant_text(item)
            elif isinstance(item, msgspec.Struct):
                fields[name] = _opened(item)
    return fields


_PLAIN_KINDS = frozenset({type(None), str, int, float, bool, dict, list})


def _has_long_integer(raw: bytes) -> bool:
    shapes = raw.translate(_SHAPES)
    return _MANY_DIGITS in shapes and _LONG_INTEGER in b" " + shapes


def _is_too_deep(raw: bytes) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(raw.split(b'"')[::2])
    brackets = outside_strings.translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")  # the innermost level
    return bool(brackets)


_Path = tuple[str | int, ...]


class _Walk:
    """Copies a document into what JSON can say, or refuses it."""

    def __init__(self, name: str, *, strict: bool):
        self.name = name
        self.strict = strict

    def value(self, value: Any, path: _Path, depth: int) -> Any:
        """Return the JSON form of a value; `depth` counts the containers around it."""
        match value:
            case None | bool():
                return value
            case enum.Enum():
                return self.value(value.value, path, depth)
            case str():
                return self.text(value, path)
            case int():
                return self.integer(value, path)
            case float():
                return self.number(value, path)
        if depth == MAX_DEPTH and _is_container(value):
            if self.strict:
                raise _too_deep(self.where(path))
            return deep_text(value)
        match value:
            case Mapping():
                return self.mapping(value, path, depth + 1)
            case list() | tuple() | deque():
                return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(value)]
            case AbstractSet():
                items = [self.value(item, (*path, i), depth + 1) for i, item in enumerate(value)]
                return sorted(items, key=_encode)
        text = _leaf_text(value)
        return text if text is not None else self.value(self.fields(value, path), path, depth)

    def text(self, value: str, path: _Path, *, what: str = "") -> str:
        if self.strict and not _is_clean(value):
            raise self.refusal(path, what + _describe(value))
        return clean_text(value)

    def integer(self, value: int, path: _Path) -> int | str:
        value = int(value)
        if _MIN_INTEGER <= value <= _MAX_INTEGER:
            return value
        if self.strict:
            raise self.refusal(path, "an integer beyond 64 bit")
        return _integer_text(value)

    def number(self, value: float, path: _Path) -> float | str:
        if math.isfinite(value):
            return float(value)
        if self.strict:
            raise self.refusal(path, f"{_float_text(value)} is not a JSON number")
        return _float_text(value)

    def mapping(self, value: Mapping[Any, Any], path: _Path, depth: int) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for key, item in value.items():
            text = self.key(key, path)
            if self.strict and text in document:
                raise self.refusal(path, f"two keys that are both {_key_text(text)} in JSON")
            document[text] = self.value(item, (*path, text), depth)
        return document

    def key(self, key: Any, path: _Path) -> str:
        match key:
            case enum.Enum():
                return self.key(key.value, path)
            case str():
                return self.text(key, (*path, key), what="a key with ")
            case None | bool():
                return _encode(key).decode()
            case int():
                return _integer_text(int(key))
            case float():
                number = self.number(key, path)
                return number if isinstance(number, str) else _encode(number).decode()
        text = _leaf_text(key)
        if text is None:
            raise self.unencodable(path, key, what="a key")
        return text

    def fields(self, value: Any, path: _Path) -> Any:
        """Return what an object with fields is made of."""
        if isinstance(value, msgspec.Struct):
            return _struct_fields(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
            return {name: item for name, item in fields.items() if item is not msgspec.UNSET}
        if callable(getattr(type(value), "model_dump", None)):
            try:
                return _model_fields(value)
            except (TypeError, ValueError) as error:
                message = f"{self.where(path)}: {type(value).__name__}.model_dump() failed: {error}"
                raise EncodingError(clean_text(message)) from error
        raise self.unencodable(path, value, what="a value")

    def where(self, path: _Path) -> str:
        text = path_text(path[:_LONGEST_PATH]) + ("…" if len(path) > _LONGEST_PATH else "")
        return f"{self.name}{'' if not text or text[0] == '[' else '.'}{text}"

    def refusal(self, path: _Path, problem: str) -> ValidationError:
        return ValidationError(f"{self.where(path)}: {problem}")

    def unencodable(self, path: _Path, value: Any, *, what: str) -> EncodingError:
        kind = type(value).__name__
        return EncodingError(f"{self.where(path)}: {what} of type {kind} has no JSON form")


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple | deque | AbstractSet)


def _leaf_text(value: Any) -> str | None:
    """Return the text of a value that JSON has no type for, or None when it has none."""
    match value:
        case dt.datetime():
            return _instant_text(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return str(msgspec.to_builtins(value))
        case UUID() | Decimal():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case _:
            return None


def _instant_text(value: dt.datetime) -> str:
    if value.tzinfo is not dt.UTC:
        if value.utcoffset() is None:
            value = value.replace(tzinfo=dt.UTC)
        try:
            value = value.astimezone(dt.UTC)
        except OverflowError:  # in UTC this is a day outside of the calendar
            return value.isoformat()
    return value.isoformat().replace("+00:00", "Z")


def _struct_fields(value: msgspec.Struct) -> dict[str, Any] | list[Any]:
    """Return a struct's fields as msgspec writes them: renamed, tagged, without unset ones."""
    config = value.__struct_config__
    fields: dict[str, Any] = {}
    if config.tag is not None and config.tag_field is not None:
        fields[config.tag_field] = config.tag
    for field in _struct_layout(type(value)):
        item = getattr(value, field.name)
        if item is msgspec.UNSET or (config.omit_defaults and _is_default(item, field)):
            continue
        fields[field.encode_name] = item
    return list(fields.values()) if config.array_like else fields


@functools.lru_cache(maxsize=256)
def _struct_layout(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(struct)


def _is_default(item: Any, field: msgspec.structs.FieldInfo) -> bool:
    if field.default is not msgspec.NODEFAULT:
        return item is field.default
    return type(item) is field.default_factory and not item


def _model_fields(value: Any) -> Mapping[str, Any]:
    try:
        return value.model_dump(mode="json")  # type: ignore[no-any-return]
    except ValueError:  # lone surrogates, bytes that are not UTF-8: the walk has rules for them
        return value.model_dump()  # type: ignore[no-any-return]


def _is_clean(value: str) -> bool:
    if value.isascii():
        return "\0" not in value
    return _HOSTILE.search(value) is None


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _describe(value: str) -> str:
    found = _HOSTILE.search(value)
    assert found is not None
    what = "a NUL character" if found[0] == "\0" else f"a lone surrogate ({_escape(found)})"
    return f"{what} at position {found.start()}, which a database can't hold"


def _integer_text(value: int) -> str:
    return str(value) if value.bit_length() <= _LONGEST_DECIMAL else hex(value)


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _key_text(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key):
        return key
    short = key if len(key) <= 60 else f"{key[:60]}…"
    return _encode(clean_text(short)).decode()


def deep_text(value: Any) -> str:
    """Return what stands below the deepest level of a record as one text: its JSON, if it has any."""
    try:
        return clean_text(_encode(value).decode())
    except Exception:  # noqa: BLE001 - no JSON form, deeper than the stack, or contains itself
        return TOO_DEEP


def _too_deep(where: str) -> ValidationError:
    return ValidationError(f"{where}: nested deeper than {MAX_DEPTH} levels, or contains itself")
