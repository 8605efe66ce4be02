"""Which values of a run history are secrets: told by the key they stand under, or by their type."""

from __future__ import annotations

import enum
import functools
import re
from typing import Any

REDACTED = "<redacted>"

_WORD_BREAKS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Behind what it likes, `dbpassword` as well as `XAPIKey`; the last such word of a key, and the words behind it.
_SECRET = re.compile(
    r".*(?:(?:password|passwd|passphrase|secret|credential|authorization|cookie"
    r"|(?:api|private|secret|access|encryption|signing) ?key)s?|(?P<token>token)s?)\d*(?: (?P<rest>.+))?"
)
# Most keys have none of these: that is found out without taking them apart.
_CANDIDATE = re.compile("pass|secret|token|credential|authorization|cookie|key", re.IGNORECASE)
# What ends so tells something about a secret, and is none: `api_key_id`, `token_count`, `secret_name`.
_ABOUT = re.compile(
    r"(?:.* )?(?:ids?|names?|types?|kind|counts?|limits?|length|size|url|uri|endpoint|policy|expires|expiry|expiration|at|on|in"
    r"|ttl|age|status|state|fields?|usage|used|budget|provider|source|ref|path|file|index|required|enabled|version|domain)"
)
# What a language model counts, and the marks that its texts have.
_COUNTED = re.compile(
    r"(?:max|min|total|num|n) .*tokens"
    r"|(?:.* )?(?:prompt|completion|input|output|reasoning|stop|special) tokens"
    r"|(?:.* )?(?:bos|eos|pad|unk|sep|cls|mask|stop|special) token"
)
# The end of a key tells most about it, and keys may be of any length.
_LONGEST_KEY = 128
# Under `token` alone stand credentials, and the pieces of text that a model streams; those are short.
_SHORTEST_TOKEN = 16
_LABELS = ("name", "key", "header", "Name", "Key", "Header")
_LABELLED = ("value", "values", "Value", "Values")


class SecretKind(enum.Enum):
    """What stands under a key that secrets have."""

    ANY = enum.auto()
    TOKEN = enum.auto()
    BARE_TOKEN = enum.auto()

    def hides(self, value: Any) -> bool:
        """Say whether a value, of JSON types, is kept out."""
        if value is None or type(value) is bool:
            return False
        if self is SecretKind.ANY:
            return True
        if (
            self is SecretKind.BARE_TOKEN
            and isinstance(value, str)
            and len(value) < _SHORTEST_TOKEN
        ):
            return False
        return not _counts(value)


def secret_kind(key: str) -> SecretKind | None:
    """Return what kind of secrets stands under a key; None when there are none."""
    if _CANDIDATE.search(key) is None:
        return None
    return _kind_of(key[-_LONGEST_KEY:])


def is_secret_key(key: str) -> bool:
    """Say whether secrets stand under a key."""
    return secret_kind(key) is not None


def is_secret_object(value: Any) -> bool:
    """Say whether a value guards a secret, as `SecretStr` of pydantic does."""
    return hasattr(type(value), "get_secret_value")


def redact_pair(items: list[Any]) -> None:
    """Hide the second of what is a key with its secret: `["Authorization", "Bearer …"]` among the headers of HTTP."""
    if len(items) == 2 and isinstance(items[0], str) and _hides(items[0], items[1]):
        items[1] = REDACTED


def redact_labelled(document: dict[str, Any]) -> None:
    """Hide the value of what is a key and its secret by name: `{"name": "Authorization", "value": "Bearer …"}`."""
    for label in _LABELS:
        key = document.get(label)
        if isinstance(key, str):
            for name in _LABELLED:
                if name in document and _hides(key, document[name]):
                    document[name] = REDACTED


def _hides(key: str, value: Any) -> bool:
    kind = secret_kind(key)
    return kind is not None and kind.hides(value)


@functools.lru_cache(maxsize=4096)
def _kind_of(key: str) -> SecretKind | None:
    words = _WORD_BREAKS.sub(" ", key).strip().lower()
    found = _SECRET.fullmatch(words)
    if found is None or _COUNTED.fullmatch(words):
        return None
    rest = found["rest"]
    if rest and _ABOUT.fullmatch(rest):
        return None
    if found["token"] is None:
        return SecretKind.ANY
    return SecretKind.BARE_TOKEN if words == "token" else SecretKind.TOKEN


def _counts(value: Any) -> bool:
    """Say whether a value is a number or has nothing but numbers: `{"prompt": 12, "cached": None}`."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return all(item is None or isinstance(item, int | float) for item in value)
    return isinstance(value, int | float)
