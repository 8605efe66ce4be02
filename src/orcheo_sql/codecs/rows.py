"""Build, once per query, the function that turns a row into its struct.

The annotations of the struct decide; there is no second description of a row anywhere. JSON columns get a typed
msgspec decoder, so a stored document is validated while it is parsed.
"""

from __future__ import annotations

import secrets
import types
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from enum import Enum
from itertools import chain
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

import msgspec

from .._errors import ContractMismatchError, DecodeError

Dialect = Literal["sqlite", "postgres"]
Kind = Literal["bool", "float", "int", "instant", "json", "text", "uuid"]
Decoder = Callable[[Sequence[Any]], Any]
T = TypeVar("T")

SCALARS: dict[str, type] = {
    "int": int,
    "str": str,
    "bool": bool,
    "UUID": UUID,
    "datetime": datetime,
}
"""What `Returns:` may name beside a struct."""


def strip_optional(annotation: Any) -> tuple[Any, bool]:
    """Return the annotation without None, and whether None was allowed."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [a for a in get_args(annotation) if a is not types.NoneType]
        if len(rest) == 1:
            return rest[0], True
    return annotation, False


def kind_of(annotation: Any) -> Kind:
    """Name how values of this annotation are stored."""
    base, _ = strip_optional(annotation)
    if isinstance(base, type):
        if issubclass(base, Enum):
            return "text"
        for known, kind in _KINDS:
            if base is known:
                return kind
    return "json"


_KINDS: tuple[tuple[type, Kind], ...] = (
    (UUID, "uuid"),
    (datetime, "instant"),
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (str, "text"),
)


_quoted_instant = msgspec.json.Decoder(datetime).decode


def _instant_from_text(value: str) -> datetime:
    return _quoted_instant(f'"{value}"')


def _instant_in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


_quoted_uuid = msgspec.json.Decoder(UUID).decode


def _uuid_from_text(value: str) -> UUID:
    # msgspec reads a UUID ten times as fast as the class does.
    return _quoted_uuid(f'"{value}"')


_FROM_SQLITE: dict[Kind, Callable[[Any], Any]] = {
    "uuid": _uuid_from_text,
    "instant": _instant_from_text,
    "bool": bool,
}


def converter(annotation: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return the function that decodes one non-null value, or None when the driver's value is right already."""
    base, _ = strip_optional(annotation)
    kind = kind_of(annotation)
    if kind == "json":
        return msgspec.json.Decoder(base).decode
    if isinstance(base, type) and issubclass(base, Enum):
        return {member.value: member for member in base}.__getitem__
    if dialect == "sqlite":
        return _FROM_SQLITE.get(kind)
    return _instant_in_utc if kind == "instant" else None


def columns_of(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the fields of a struct that come from SQL, in their order."""
    derived: frozenset[str] = getattr(struct, "derived_fields", frozenset())
    return {f.name: f for f in msgspec.structs.fields(struct) if f.name not in derived}


def check_columns(struct: type[msgspec.Struct], columns: Sequence[str]) -> str | None:
    """Say how the columns of a query differ from the fields of its struct, or None when they fit."""
    fields = columns_of(struct)
    unknown = [c for c in columns if c not in fields]
    missing = [n for n in fields if n not in columns]
    twice = sorted({c for c in columns if list(columns).count(c) > 1})
    problems = [
        f"{label} {', '.join(names)}"
        for label, names in (("unknown", unknown), ("missing", missing), ("repeated", twice))
        if names
    ]
    return f"columns do not fit {struct.__name__}: {'; '.join(problems)}" if problems else None


def row_decoder(
    struct: type[msgspec.Struct], columns: Sequence[str], dialect: Dialect, query: str
) -> Decoder:
    """Compile the decoder of one query.

    Raises:
        ContractMismatchError: the columns are not those of the struct.
    """
    problem = check_columns(struct, columns)
    if problem:
        raise ContractMismatchError(f"{query}: {problem}")
    fields = columns_of(struct)
    steps = [(name, converter(fields[name].type, dialect)) for name in columns]
    build = _built(struct, steps)

    def decode(row: Sequence[Any]) -> Any:
        try:
            return build(row)
        except _MISFIT:
            column, reason = _misfit(steps, row)
        # Raised out here, without its cause: the value itself must not travel.
        raise DecodeError(
            f"{query}: column {column} does not fit {struct.__name__}: {reason}",
            query=query,
            dialect=dialect,
        )

    return decode


_MISFIT = (ValueError, TypeError, KeyError, msgspec.MsgspecError)


def _built(struct: type[msgspec.Struct], steps: Sequence[tuple[str, Any]]) -> Decoder:
    """Write the expression that builds a struct from a row.

    A loop over the columns would take longer than all that it calls.
    """
    names: dict[str, Any] = {"struct": struct}
    terms = []
    for column, (name, convert) in enumerate(steps):
        value = f"row[{column}]"
        if convert is not None:
            names[f"convert{column}"] = convert
            value = f"None if {value} is None else convert{column}({value})"
        terms.append(f"{name}={value}")
    return cast("Decoder", eval(f"lambda row: struct({', '.join(terms)})", names))  # noqa: S307 - names of fields


def _misfit(steps: Sequence[tuple[str, Any]], row: Sequence[Any]) -> tuple[str, str]:
    """Return the first column that can't be converted, and why; msgspec names path and type, never the value."""
    for (name, convert), value in zip(steps, row, strict=True):
        if convert is None or value is None:
            continue
        try:
            convert(value)
        except msgspec.ValidationError as error:
            return name, str(error)
        except _MISFIT:
            return name, "malformed"
    return "?", "malformed"


FEW_ROWS = 4
"""Fewer rows than that are decoded one by one."""


def rows_decoder(
    struct: type[msgspec.Struct], columns: Sequence[str], dialect: Dialect, query: str
) -> Callable[[Sequence[Sequence[Any]]], list[Any]]:
    """Compile the decoder of the lists of one query, which takes them column by column.

    A column is handed to msgspec as one document, which reads fifty values in the time that five calls take. A value
    that does not fit, and so might be taken for several or for a part of one, is found by the count or by its type;
    then each row is decoded for itself, and the message names the column.

    Raises:
        ContractMismatchError: the columns are not those of the struct.
    """
    one = row_decoder(struct, columns, dialect, query)
    fields = columns_of(struct)
    steps = [_column_converter(fields[name].type, dialect) for name in columns]
    build = _built_of_columns(struct, columns)

    def decode(rows: Sequence[Sequence[Any]]) -> list[Any]:
        if not rows or len(rows) < FEW_ROWS:
            return [one(row) for row in rows]
        try:
            values = [
                column if step is None else step(column)
                for step, column in zip(steps, zip(*rows, strict=True), strict=True)
            ]
            return build(values)
        except Exception:  # noqa: BLE001 - row by row it shows what is wrong, and where
            return [one(row) for row in rows]

    return decode


MOST_KEYWORDS = 15
"""CPython makes a dict for a call with more, which takes three times as long."""


def _built_of_columns(
    struct: type[msgspec.Struct], columns: Sequence[str]
) -> Callable[[list[Column]], list[Any]]:
    """Write the comprehension that builds structs from columns: a function for each row would take half as long again.

    Of a wide struct, columns that are None throughout are left to its defaults, when these are None.
    """
    defaults = {f.name: f.default for f in msgspec.structs.fields(struct)}
    wide = len(columns) > MOST_KEYWORDS
    spare = [n for n, name in enumerate(columns) if wide and defaults[name] is None]
    written: dict[tuple[int, ...], Callable[[list[Column]], list[Any]]] = {}

    def build(values: list[Column]) -> list[Any]:
        rows = len(values[0])
        empty = tuple(n for n in spare if values[n][0] is None and values[n].count(None) == rows)
        write = written.get(empty)
        if write is None:
            write = written[empty] = _comprehension(struct, columns, empty)
        return write(values)

    return build if spare else _comprehension(struct, columns, ())


def _comprehension(
    struct: type[msgspec.Struct], columns: Sequence[str], left_out: Collection[int]
) -> Callable[[list[Column]], list[Any]]:
    values = "".join(f"_{name}, " for name in columns)
    terms = ", ".join(f"{name}=_{name}" for n, name in enumerate(columns) if n not in left_out)
    source = f"lambda columns: [struct({terms}) for {values}in zip(*columns)]"
    return cast("Callable[[list[Column]], list[Any]]", eval(source, {"struct": struct}))  # noqa: S307 - names of fields


Column = Sequence[Any]


def _column_converter(annotation: Any, dialect: Dialect) -> Callable[[Column], Column] | None:
    """Return what decodes a column, or None when the driver's values are right already."""
    base, optional = strip_optional(annotation)
    kind = kind_of(annotation)
    single = converter(annotation, dialect)
    if single is None:
        return None
    if kind == "json":
        decode = _documents(base)
    elif dialect == "sqlite" and kind in ("uuid", "instant"):
        decode = _quoted(base)
    else:

        def decode(column: Column) -> Column:
            return list(map(single, column))

    def convert(column: Column) -> Column:
        if None not in column:
            return decode(column)
        if not optional:
            raise ValueError("null")
        values = [value for value in column if value is not None]
        if not values:
            return column
        found = iter(decode(values))
        return [None if value is None else next(found) for value in column]

    return convert


def _documents(kind: Any) -> Callable[[Column], Column]:
    """Decode documents as one.

    Each stands in brackets of its own, and between two of them a number that nobody can guess. A damaged document might
    go on in the next one or stand for several, but then the numbers are not where they belong.
    """
    decode = msgspec.json.Decoder(list[tuple[kind] | int]).decode

    def convert(column: Column) -> Column:
        if isinstance(column[0], str):
            found = decode(f"[[{_BETWEEN.join(column)}]]")
        else:
            found = decode(b"[[%b]]" % _BETWEEN.encode().join(column))
        if found[1::2] != [_MARK] * (len(column) - 1):
            raise ValueError("not one value for each row")
        return list(chain.from_iterable(_as_many(found[::2], column)))

    return convert


_MARK = secrets.randbits(62)
_BETWEEN = f"],{_MARK},["


def _quoted(kind: Any) -> Callable[[Column], Column]:
    """Decode UUIDs and times of SQLite, whose texts are strings of JSON when they are quoted.

    None of either holds a quote, so no two can be read as one.
    """
    decode = msgspec.json.Decoder(list[kind]).decode

    def convert(column: Column) -> Column:
        return _as_many(decode('["' + '","'.join(column) + '"]'), column)

    return convert


def _as_many(found: list[Any], column: Column) -> list[Any]:
    if len(found) != len(column):
        raise ValueError("not one value for each row")
    return found


def value_decoder(kind: type, dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return the converter of a single value (`$` queries)."""
    return converter(kind, dialect)
