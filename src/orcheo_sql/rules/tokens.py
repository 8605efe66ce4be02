"""Service tokens: how one is written, recognised and compared with its hash, and when it ends.

A token made here reads ``orc_<identifier>_<secret>_<check>``: its record is found by the identifier, the secret has 256
random bits, and the check (a CRC-32) tells mistyped, cut or invented ones before anybody is asked. Any other text may be
a token that was brought along from the older product; that is found by its SHA-256.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
import zlib
from typing import TYPE_CHECKING

from orcheo_sql._errors import ValidationError
from orcheo_sql.codecs.encode import utc
from orcheo_sql.rules._values import items, require_text

if TYPE_CHECKING:
    from orcheo_sql.structs import ServiceTokenRecord

LONGEST_TOKEN = 512
LONGEST_IDENTIFIER = 256
"""Of records that are brought along; those made here are shorter."""
LONGEST_HASH = 512
LONGEST_ADDRESS = 64
LONGEST_USER_AGENT = 256

_PREFIX = "orc_"
_SECRET_BYTES = 32
# Never like the beginning of a token, so that no token stands in another.
_IDENTIFIER = re.compile(r"(?!orc_)[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}")
_TOKEN = re.compile(
    rf"(?P<head>{_PREFIX}(?P<identifier>{_IDENTIFIER.pattern})_[0-9a-f]{{{2 * _SECRET_BYTES}}})"
    r"_(?P<check>[0-9a-f]{8})"
)
_ARGON2 = "$argon2id$"
_NO_MEMORY = "Memory allocation error"
"""What the library calls it; it has no class of its own."""


def new_identifier() -> str:
    """Return an identifier that nobody has, and that says nothing about the secret."""
    return secrets.token_hex(8)


def new_token(identifier: str) -> str:
    """Return a token with a new secret."""
    head = f"{_PREFIX}{identifier}_{secrets.token_hex(_SECRET_BYTES)}"
    return f"{head}_{_check(head)}"


def identifier_of(token: str) -> str | None:
    """Return the identifier in a token; None when it is not one that was made here, undamaged."""
    found = _TOKEN.fullmatch(token) if len(token) <= LONGEST_TOKEN else None
    if found is None or found["check"] != _check(found["head"]):
        return None
    return found["identifier"]


def is_brought_along(token: str) -> bool:
    """Tell whether a text may be a token of the older product."""
    return 0 < len(token) <= LONGEST_TOKEN and not token.startswith(_PREFIX)


def sha256_of(token: str) -> str:
    """Return the hash by which the older product keeps a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def is_argon2(secret_hash: str) -> bool:
    """Tell whether a hash is one that was made here."""
    return secret_hash.startswith(_ARGON2)


def token_matches(secret_hash: str, token: str) -> bool:
    """Compare a token with a hash of either kind, in a time that does not depend on where they differ."""
    if not is_argon2(secret_hash):
        known = secret_hash.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(known, sha256_of(token).encode())
    from argon2 import PasswordHasher
    from argon2.exceptions import VerificationError

    try:
        return PasswordHasher().verify(secret_hash, token.encode("utf-8", "surrogatepass"))
    except (VerificationError, ValueError) as error:  # another secret, or no hash at all
        if str(error) == _NO_MEMORY:
            raise MemoryError from None
        return False


def check_identifier(value: object) -> str:
    """Return the identifier for a new token.

    Raises:
        ValidationError: it can't stand in a token.
    """
    text = record_identifier(value)
    if not _IDENTIFIER.fullmatch(text):
        raise ValidationError(
            "identifier must have 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : @ + - "
            "and begin with a letter or digit, but not with orc_."
        )
    return text


def record_identifier(value: object) -> str:
    """Return the identifier of a token.

    Raises:
        ValidationError: it is no text of 1 to 256 characters, or is a whole token, which belongs into no table and no log.
    """
    text = require_text(value, "identifier")
    if not 0 < len(text) <= LONGEST_IDENTIFIER:
        raise ValidationError(f"identifier must have 1 to {LONGEST_IDENTIFIER} characters.")
    if identifier_of(text) is not None:
        raise ValidationError("identifier must not be the token itself.")
    return text


def parse_names(value: object, field: str) -> frozenset[str]:
    """Return scopes or workspace ids as a set.

    Raises:
        ValidationError: it is no list of texts, or one of them is blank.
    """
    names = frozenset(
        require_text(each, f"{field}[{i}]") for i, each in enumerate(items(value, field))
    )
    if any(not name.strip() for name in names):
        raise ValidationError(f"{field} must not have blank items.")
    return names


def expiry(now: dt.datetime, expires_in: object) -> dt.datetime | None:
    """Return when a token ends that is made now and lasts for a time; None when it lasts for ever.

    Raises:
        ValidationError: the time is neither a timedelta nor whole seconds, or leads beyond the year 9999.
    """
    if expires_in is None:
        return None
    try:
        if isinstance(expires_in, int) and not isinstance(expires_in, bool):
            expires_in = dt.timedelta(seconds=expires_in)
        if isinstance(expires_in, dt.timedelta):
            return utc(now + expires_in)
    except OverflowError:
        raise ValidationError("expires_in leads beyond the years 1 to 9999.") from None
    raise ValidationError(
        f"expires_in must be a timedelta or whole seconds, not {type(expires_in).__name__}."
    )


def lifetime_of(record: ServiceTokenRecord) -> dt.timedelta | None:
    """Return how long a token was to last, which its successor inherits; None for ever."""
    if record.expires_at is None:
        return None
    if record.issued_at is None:
        raise ValidationError(
            f"expires_in must be given: nobody knows when {record.identifier!r} was issued."
        )
    return record.expires_at - record.issued_at


def overlap_end(now: dt.datetime, overlap_seconds: object) -> dt.datetime:
    """Return when a token ends that is rotated now; an overlap below 0 is none.

    Raises:
        ValidationError: the overlap is not a number of seconds, or leads beyond the year 9999.
    """
    if isinstance(overlap_seconds, bool) or not isinstance(overlap_seconds, int | float):
        raise ValidationError(
            f"overlap_seconds must be a number of seconds, not {type(overlap_seconds).__name__}."
        )
    try:
        return utc(now + dt.timedelta(seconds=max(int(overlap_seconds), 0)))
    except (OverflowError, ValueError):  # an infinity, or NaN
        raise ValidationError("overlap_seconds leads beyond the year 9999.") from None


def _check(head: str) -> str:
    return f"{zlib.crc32(head.encode()):08x}"
