"""What the configs of triggers have in common: how a client may give them, and their numbers."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, TypeVar

import msgspec

from orcheo_sql._errors import ValidationError
from orcheo_sql.rules._values import known_fields, mapping, require_int

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T", bound=msgspec.Struct)

# What an integer column of either database holds.
MAX_INT = 2**31 - 1


def parse_config(
    value: object, field: str, struct: type[T], aliases: Mapping[str, str] | None = None
) -> T:
    """Return a struct from itself, a mapping, or a model that offers ``model_dump``."""
    if isinstance(value, struct):
        return value
    document = mapping(value, field)
    for alias, name in (aliases or {}).items():
        if alias in document:
            if name in document:
                raise ValidationError(f"{field} has both {name} and its other name {alias}.")
            document[name] = document.pop(alias)
    known_fields(document, field, struct.__struct_fields__)
    missing = [name for name in _required_fields(struct) if name not in document]
    if missing:
        raise ValidationError(f"{field} lacks required fields: {', '.join(missing)}.")
    return struct(**document)


@functools.cache
def _required_fields(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(each.name for each in msgspec.structs.fields(struct) if each.required)


def at_least(value: object, field: str, low: int) -> int:
    """Return `value` as a whole number, not below `low`."""
    return require_int(value, field, low, MAX_INT)


def require_number(value: object, field: str, low: float, high: float = math.inf) -> float:
    """Return `value` as a finite number within the bounds; True is not one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    bounds = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
    raise ValidationError(f"{field} must be a finite number {bounds}.")
