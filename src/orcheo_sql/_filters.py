"""Filters on JSON documents, as data.

A `JsonFilter` travels to the database as two bound parameters: a document that must be contained, and
a list of conditions. PostgreSQL evaluates them with ``@>`` and our SQL function ``json_meets``, SQLite
with the two functions at the end of this module, which are registered on its connections. Both sides
answer alike for every document.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ._documents import JsonText, encode_definition, number_text
from ._errors import JsonFilterError, ValidationError

MAX_CONDITIONS = 32
MAX_STEPS = 64
MAX_CANDIDATES = 1000
LARGEST_INDEX = 2**31 - 1

OPERATORS = {
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "in": "in",
    "exists": "exists",
    "missing": "missing",
}

_ORDER = frozenset({"<", "<=", ">", ">="})

Step = str | int
Path = tuple[Step, ...]

_STEP = re.compile(
    r"""\[(?P<index>[^\]]*)\] | (?P<dot>\.?) (?: (?P<quoted>"(?:[^"\\]|\\.)*") | (?P<key>[^.\[\]"]+) )""",
    re.VERBOSE | re.DOTALL,
)


class Condition(msgspec.Struct, frozen=True):
    """One comparison: the value at `path`, an operator of `OPERATORS`, and what it is compared with."""

    path: Path
    op: str
    value: Any = msgspec.UNSET


class JsonFilter(msgspec.Struct, frozen=True):
    """What a document must contain, and conditions it must meet.

    ::

        JsonFilter(
            contains={"customer": {"tier": "gold"}},
            where=[("metrics.accuracy", ">=", 0.9), ("error", "missing"), ("tags[0]", "in", ["a", "b"])],
        )

    `contains` is PostgreSQL's ``@>``: an object contains another if it has its keys, and their values
    contain the others; an array contains another if every element of that is contained in some element
    of it; a whole document that is an array also contains its scalars; scalars contain their equals.

    A path is a text, ``a.b[0]."odd.key"``, or a sequence of steps: a `str` is the key of an object, an `int`
    the position in an array, from 0. Neither stands for the other: ``a.0`` is the key "0" of an object.
    The empty sequence is the whole document.

    =================  ============================================================================
    ``==``             a value is there and equal; arrays and objects too
    ``!=``             exactly when ``==`` is false, so also when nothing is there
    ``< <= > >=``      a number is there and given, or a text and given, in this order
    ``in``             equal to one of a list of scalars
    ``exists``         something is there, be it null
    ``missing``        nothing is there
    =================  ============================================================================

    Values of different JSON types are never equal, and have no order. Numbers are compared exactly, as they
    are written in JSON, so 1 is 1.0; texts by code points. Where there is no document at all (SQL's NULL)
    no filter is met.

    Raises `JsonFilterError` for a malformed filter, naming the place.
    """

    contains: Any = msgspec.UNSET
    where: Sequence[Condition | Sequence[Any]] = ()

    def __post_init__(self) -> None:
        if self.contains is not msgspec.UNSET:
            msgspec.structs.force_setattr(self, "contains", _json_copy(self.contains, "contains"))
        if isinstance(self.where, str | Mapping) or not isinstance(self.where, Sequence):
            raise JsonFilterError("where: must be a list of conditions")
        if len(self.where) > MAX_CONDITIONS:
            raise JsonFilterError(f"where: has more than {MAX_CONDITIONS} conditions")
        checked = tuple(_condition(given, f"where[{i}]") for i, given in enumerate(self.where))
        msgspec.structs.force_setattr(self, "where", checked)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The checked conditions of `where`."""
        return self.where  # type: ignore[return-value] # __post_init__ made it so

    def to_parameters(self) -> tuple[JsonText | None, JsonText | None]:
        """Return what must be contained and the conditions, as they are bound; None where there is nothing.

        Equality with a scalar under object keys is containment, which an index can serve, so it is moved there.
        """
        contains, kept = self.contains, []
        for condition in self.conditions:
            if _is_containment(condition):
                merged = _merged(contains, condition.path, condition.value)
                if merged is not msgspec.UNSET:
                    contains = merged
                    continue
            kept.append(_as_bound(condition))
        return (
            None if contains is msgspec.UNSET else _bound(contains),
            # A filter that asks for nothing still asks for a document.
            _bound(kept) if kept or contains is msgspec.UNSET else None,
        )


def as_filter(value: JsonFilter | Mapping[str, Any]) -> JsonFilter:
    """Return a filter as it is, and a mapping as the filter for documents that contain it."""
    if isinstance(value, JsonFilter):
        return value
    if isinstance(value, Mapping):
        return JsonFilter(contains=value)
    raise JsonFilterError(f"a filter is a JsonFilter or a mapping, not {type(value).__name__}")


def parse_path(path: str | Sequence[Step]) -> Path:
    """Return the steps of a path; raise `JsonFilterError` when it is malformed."""
    if isinstance(path, str):
        steps = _parse_text(path)
    elif isinstance(path, Sequence):
        steps = tuple(path)
    else:
        raise JsonFilterError(f"a path is a text or a list of steps, not {type(path).__name__}")
    if len(steps) > MAX_STEPS:
        raise JsonFilterError(f"a path has at most {MAX_STEPS} steps")
    return tuple(map(_step, steps))


def _parse_text(path: str) -> Path:
    if not path:
        raise JsonFilterError("a path is empty; the whole document is the empty list")
    steps: list[Step] = []
    position = 0
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None or (found["index"] is None and bool(found["dot"]) != bool(steps)):
            raise JsonFilterError(f"path {path[:200]!r} is malformed at position {position}")
        if found["index"] is not None:
            steps.append(_index(found["index"]))
        else:
            steps.append(found["key"] or _unquoted(found["quoted"]))
        position = found.end()
    return tuple(steps)


def _index(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise JsonFilterError(f'path step [{text[:60]}] is not a position; write keys as ."key"')
    return int(text)


def _unquoted(text: str) -> str:
    try:
        return msgspec.json.decode(text, type=str)
    except (ValueError, msgspec.MsgspecError):
        raise JsonFilterError(f"path step {text[:60]!r} is not a JSON text") from None


def _step(step: Any) -> Step:
    if isinstance(step, str):
        return str(msgspec.json.decode(_encode(step, "path step").encode()))
    if isinstance(step, bool) or not isinstance(step, int):
        raise JsonFilterError(f"a path step is a key or a position, not {type(step).__name__}")
    if not 0 <= step <= LARGEST_INDEX:
        raise JsonFilterError(
            f"path step [{number_text(step)}] is not a position: they count from 0"
        )
    return int(step)


def _condition(given: Any, place: str) -> Condition:
    if isinstance(given, Condition):
        given = (given.path, given.op) + (
            (given.value,) if given.value is not msgspec.UNSET else ()
        )
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) not in (2, 3):
        raise JsonFilterError(f"{place}: must be (path, operator) or (path, operator, value)")
    path, op, *values = given
    try:
        path = parse_path(path)
    except JsonFilterError as error:
        raise JsonFilterError(f"{place}: {error}") from None
    if not isinstance(op, str) or op not in OPERATORS:
        allowed = " ".join(OPERATORS)
        raise JsonFilterError(f"{place}: unknown operator {str(op)[:60]!r}; use one of {allowed}")
    needs_value = op not in ("exists", "missing")
    if needs_value is not bool(values):
        raise JsonFilterError(f"{place}: {op} takes {'a' if needs_value else 'no'} value")
    if not needs_value:
        return Condition(path, op)
    return Condition(path, op, _compared(op, values[0], place))


def _compared(op: str, value: Any, place: str) -> Any:
    value = _json_copy(value, place)
    if op == "in":
        if not isinstance(value, list) or any(isinstance(item, dict | list) for item in value):
            raise JsonFilterError(f"{place}: in takes a list of texts, numbers, booleans and nulls")
        if len(value) > MAX_CANDIDATES:
            raise JsonFilterError(f"{place}: in takes at most {MAX_CANDIDATES} values")
    is_ordered = isinstance(value, str | int | float) and not isinstance(value, bool)
    if op in _ORDER and not is_ordered:
        raise JsonFilterError(f"{place}: {op} compares with a number or a text")
    return value


def _encode(value: Any, name: str) -> JsonText:
    try:
        return encode_definition(value, name=name)
    except ValidationError as error:
        raise JsonFilterError(str(error)) from error


def _json_copy(value: Any, name: str) -> Any:
    """Return a value as it reads back from JSON; later changes to the original don't reach it."""
    return msgspec.json.decode(_encode(value, name).encode())


def _bound(checked: Any) -> JsonText:
    return JsonText(msgspec.json.encode(checked), "utf-8")


def _is_containment(condition: Condition) -> bool:
    # Not so for the whole document: an array contains its scalars. Below a key it is as strict as ==.
    return (
        condition.op == "=="
        and bool(condition.path)
        and all(isinstance(step, str) for step in condition.path)
        and not isinstance(condition.value, dict | list)
    )


def _merged(contains: Any, path: Path, value: Any) -> Any:
    """Return `contains` with a value at a path, or UNSET when it has something else there."""
    if not path:
        return value if contains is msgspec.UNSET else msgspec.UNSET
    if contains is msgspec.UNSET:
        contains = {}
    if not isinstance(contains, dict):
        return msgspec.UNSET
    key, *rest = path
    inner = _merged(contains.get(key, msgspec.UNSET), tuple(rest), value)
    return msgspec.UNSET if inner is msgspec.UNSET else {**contains, key: inner}


def _as_bound(condition: Condition) -> dict[str, Any]:
    steps = (f"[{s}]" if isinstance(s, int) else f".{_encode(s, 'path')}" for s in condition.path)
    bound = {"path": f"strict ${''.join(steps)}", "op": OPERATORS[condition.op]}
    return bound if condition.value is msgspec.UNSET else {**bound, "value": condition.value}


# --- What SQLite calls -------------------------------------------------------------------------

# Fractions stay the text they are, as bytes, until one is compared: a float could not be exact, and
# making decimals of all of them would cost more than all the rest.
_decode_document = msgspec.json.Decoder(float_hook=str.encode).decode
_decode_filter = msgspec.json.Decoder(float_hook=Decimal).decode

_KINDS: dict[type, str] = {
    **dict.fromkeys((int, bytes, Decimal), "number"),
    str: "string",
    bool: "boolean",
    type(None): "null",
    list: "array",
    dict: "object",
}
_MISSING = object()


def json_contains(document: str | bytes | None, contained: str | None) -> bool | None:
    """Compute PostgreSQL's ``document @> contained``; None for NULL."""
    if document is None or contained is None:
        return None
    left, right = _decode_document(document), _contained(contained)
    if isinstance(left, list) and not isinstance(right, dict | list):
        return any(_is_equal(item, right) for item in left)
    return _contains(left, right)


def json_meets(document: str | bytes | None, conditions: str | None) -> bool | None:
    """Say whether a document meets all conditions, as our PostgreSQL function does; None for NULL."""
    if document is None or conditions is None:
        return None
    value = _decode_document(document)
    return all(test(_found(value, steps)) for steps, test in _tests(conditions))


@functools.lru_cache(maxsize=256)
def _contained(text: str) -> Any:
    return _decode_filter(text)


@functools.lru_cache(maxsize=256)
def _tests(conditions: str) -> list[tuple[Path, functools.partial[bool]]]:
    tests = []
    for bound in _decode_filter(conditions):
        path = bound["path"].removeprefix("strict $").removeprefix(".")
        test = functools.partial(_TESTS[bound["op"]], bound.get("value"))
        tests.append((parse_path(path or ()), test))
    return tests


def _found(value: Any, steps: Path) -> Any:
    for step in steps:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step, _MISSING)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return _MISSING
    return value


def _contains(left: Any, right: Any) -> bool:
    if isinstance(right, dict):
        if not isinstance(left, dict):
            return False
        for key, item in right.items():  # noqa: SIM110 - a generator would double the stack
            if key not in left or not _contains(left[key], item):
                return False
        return True
    if isinstance(right, list):
        if not isinstance(left, list):
            return False
        for item in right:
            for candidate in left:
                if _contains(candidate, item):
                    break
            else:
                return False
        return True
    return _is_equal(left, right)


def _is_equal(left: Any, right: Any) -> bool:
    kind = _KINDS[type(right)]
    if left is _MISSING or _KINDS[type(left)] != kind:
        return False
    if kind == "number":
        return bool(_number(left) == right)
    if kind == "array":
        return len(left) == len(right) and all(map(_is_equal, left, right))
    if kind == "object":
        return left.keys() == right.keys() and all(
            _is_equal(left[key], right[key]) for key in right
        )
    return bool(left == right)


def _number(value: Any) -> Any:
    return Decimal(value.decode()) if type(value) is bytes else value


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(value: Any, found: Any) -> bool:
        if found is _MISSING or _KINDS[type(found)] != _KINDS[type(value)]:
            return False
        return compare(_number(found), value)

    return test


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, found: _is_equal(found, value),
    "ne": lambda value, found: not _is_equal(found, value),
    "lt": _ordered(operator.lt),
    "le": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "ge": _ordered(operator.ge),
    "in": lambda value, found: any(_is_equal(found, candidate) for candidate in value),
    "exists": lambda _, found: found is not _MISSING,
    "missing": lambda _, found: found is _MISSING,
}
