"""Service tokens: how one is written, recognised and compared with its hash, and when it ends.

A token made here reads ``orc_<identifier>_<secret>_<check>``: its record is found by the identifier, the secret has 256
random bits, and the check (a CRC-32) tells mistyped, cut or invented ones before anybody is asked. 43 characters of URL-safe
base64 are a token that may have been brought along from the older product; that is found by its SHA-256. Any other text
is no token.
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
# As the older product makes them. One may begin with orc_ by chance; ours are longer.
_BROUGHT_ALONG = re.compile(r"[A-Za-z0-9_-]{43}")
# A token in a text, however it was cut, joined or damaged: as soon as there is enough of its secret to be worth hiding.
_OURS_INSIDE = re.compile(
    r"orc_[A-Za-z0-9._~:@+-]{0,127}_[0-9a-f]{16,}(?:_[0-9a-f]*)?", re.IGNORECASE
)
# Long names have that shape too, but hardly one has a digit and letters of both cases, as all but one of 1000 tokens have.
_THEIRS_INSIDE = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[A-Z0-9_-]*[a-z])(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"
)
_HIDDEN = "**********"
_LONGEST_SHOWN = 40
"""Of identifiers that nobody has: a longer one may be a secret."""
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
    return _BROUGHT_ALONG.fullmatch(token) is not None


def has_token(text: str) -> bool:
    """Tell whether a token stands in a text, whole or in part, damaged or not."""
    return any(each.search(text) for each in (_OURS_INSIDE, _THEIRS_INSIDE))


def without_tokens(text: str) -> str:
    """Return a text with the tokens in it hidden."""
    return _THEIRS_INSIDE.sub(_HIDDEN, _OURS_INSIDE.sub(_HIDDEN, text))


def shown_identifier(identifier: str) -> str:
    """Return what an error may say of an identifier that nobody has, which may be a secret in the wrong place."""
    too_long = len(identifier) > _LONGEST_SHOWN
    return f"({len(identifier)} characters)" if too_long else identifier


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
        ValidationError: it is no text of 1 to 256 characters, or there is a token in it, which belongs into no table and
            no log.
    """
    text = require_text(value, "identifier")
    if not 0 < len(text) <= LONGEST_IDENTIFIER:
        raise ValidationError(f"identifier must have 1 to {LONGEST_IDENTIFIER} characters.")
    if has_token(text):
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
        ValidationError: the time is neither a timedelta nor whole seconds, is none at all, or leads beyond the year 9999.
    """
    if expires_in is None:
        return None
    try:
        if isinstance(expires_in, int) and not isinstance(expires_in, bool):
            expires_in = dt.timedelta(seconds=expires_in)
        if isinstance(expires_in, dt.timedelta):
            if expires_in <= dt.timedelta(0):
                raise ValidationError("expires_in must be greater than 0.")
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
    lasted = record.expires_at - record.issued_at
    if lasted <= dt.timedelta(0):
        raise ValidationError(
            f"expires_in must be given: {record.identifier!r} was to end before it was issued."
        )
    return lasted


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
