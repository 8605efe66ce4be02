"""Checks of single argument values; each names the field it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable


def storable(text: str, field: str) -> str:
    """Return `text`; refuse what one of the databases can't hold in a text column."""
    if "\0" in text:
        raise ValidationError(f"{field} must not contain NUL characters.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValidationError(f"{field} must not contain lone surrogates.")
    return text


def require_text(value: object, field: str) -> str:
    """Return `value` unchanged; refuse what is not text."""
    if not isinstance(value, str):
        raise ValidationError(f"{field} must be text, not {type(value).__name__}.")
    # An enum's text is its value; its own str() may be its name.
    return storable(str.__str__(value), field)


def optional_text(value: object, field: str) -> str | None:
    """Return `value` unchanged; refuse what is neither text nor None."""
    return None if value is None else require_text(value, field)


def trimmed(value: object, field: str, max_length: int) -> str | None:
    """Return `value` as trimmed text, None when nothing is left of it."""
    if value is None:
        return None
    text = storable((str.__str__(value) if isinstance(value, str) else str(value)).strip(), field)
    if len(text) > max_length:
        raise ValidationError(f"{field} must be at most {max_length} characters long.")
    return text or None


def require_flag(value: object, field: str) -> bool:
    """Return `value`; refuse what is not True or False."""
    if not isinstance(value, bool):
        raise ValidationError(f"{field} must be true or false.")
    return value


def require_int(value: object, field: str, low: int, high: int) -> int:
    """Return `value` as a whole number within the bounds; ``10.0`` is one, True is not."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        raise ValidationError(f"{field} must be a whole number from {low} to {high}.")
    return int(number)


def items(value: object, field: str) -> list[Any]:
    """Return the items of `value`; a text or a mapping is not a list."""
    if isinstance(value, str | bytes | bytearray | Mapping) or not isinstance(value, Iterable):
        raise ValidationError(f"{field} must be a list, not {type(value).__name__}.")
    return list(value)


def distinct_texts(value: object, field: str, key: Callable[[str], str]) -> list[str]:
    """Trim the texts of a list, drop blank ones, keep the first of those with equal `key`."""
    kept: dict[str, str] = {}
    for index, item in enumerate(items(value, field)):
        text = require_text(item, f"{field}[{index}]").strip()
        if text:
            kept.setdefault(key(text), text)
    return list(kept.values())


def mapping(value: object, field: str) -> dict[str, Any]:
    """Return `value` as a dict; a model that offers ``model_dump`` gives what its client set."""
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, Mapping):
        try:
            value = dump(mode="json", exclude_unset=True)
        except (TypeError, ValueError) as error:
            raise ValidationError(f"{field} can't be dumped to JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise ValidationError(f"{field} must be a mapping, not {type(value).__name__}.")
    return dict(value)


def known_fields(document: dict[str, Any], field: str, known: Iterable[str]) -> dict[str, Any]:
    """Return `document`; refuse keys that are not among `known`."""
    allowed = list(known)
    unknown = [key for key in document if key not in allowed]
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise ValidationError(f"{field} has unknown fields: {names}. Known: {', '.join(allowed)}.")
    return document
