"""HMAC signatures of webhook calls: total over whatever a caller sends."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from orcheo_sql._errors import WebhookAuthenticationError, WebhookValidationError

if TYPE_CHECKING:
    from orcheo_sql.structs.triggers import WebhookRequest, WebhookTriggerConfig

# Named rather than asked of the platform, whose list has names that fail when used.
HMAC_ALGORITHMS = frozenset(
    {"sha1", "sha224", "sha256", "sha384", "sha512"}
    | {"sha3_224", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
)

_SIGNATURE_KEYS = frozenset({"sha256", "sha512", "v1", "signature"})
_EPOCH_SECONDS = re.compile(r"[0-9]{1,12}")
_LAST_EPOCH_SECOND = 253_402_300_799

# Another process, whose clock is behind, accepts a signature for this much longer.
_CLOCK_SKEW = timedelta(seconds=60)


class SeenSignature(NamedTuple):
    """What to remember of a signature, so that it works once."""

    digest: str
    expires_at: datetime | None


def verified_signature(
    config: WebhookTriggerConfig, request: WebhookRequest, received_at: datetime
) -> SeenSignature:
    """Return what to remember of a call's signature; refuse a call whose signature is not right."""
    if config.hmac_header is None or config.hmac_secret is None:
        raise WebhookAuthenticationError
    claimed = _candidate(request.headers.get(config.hmac_header, ""), config.hmac_algorithm)
    signed = _body(request)
    epoch = _timestamp(config, request)
    if epoch is not None:
        tolerance = config.hmac_tolerance_seconds
        if tolerance and abs(received_at.timestamp() - epoch) > tolerance:
            raise WebhookAuthenticationError
        signed = b"%d." % epoch + signed
    expected = hmac.new(encoded(config.hmac_secret), signed, config.hmac_algorithm)
    # bytes.lower() changes ASCII only.
    if not hmac.compare_digest(encoded(claimed).lower(), expected.hexdigest().encode()):
        raise WebhookAuthenticationError
    return SeenSignature(
        digest=hashlib.sha256(expected.digest()).hexdigest(),
        expires_at=_expiry(config, epoch),
    )


def encoded(text: str) -> bytes:
    """Return any text as bytes, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def _candidate(header: str, algorithm: str) -> str:
    candidate = header.strip()
    keys = _SIGNATURE_KEYS | {algorithm}
    for part in header.split(","):
        key, equals, value = part.partition("=")
        if equals and key.strip().lower() in keys:
            candidate = value.strip()
    if not candidate:
        raise WebhookAuthenticationError
    return candidate


def _timestamp(config: WebhookTriggerConfig, request: WebhookRequest) -> int | None:
    if config.hmac_timestamp_header is None:
        return None
    text = request.headers.get(config.hmac_timestamp_header, "").strip()
    if _EPOCH_SECONDS.fullmatch(text):
        epoch = int(text)
    else:
        try:
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is None:
                raise WebhookAuthenticationError
            epoch = int(instant.timestamp())
        except (ValueError, OverflowError):
            raise WebhookAuthenticationError from None
    if not 0 <= epoch <= _LAST_EPOCH_SECOND:
        raise WebhookAuthenticationError
    return epoch


def _body(request: WebhookRequest) -> bytes:
    payload = request.payload
    if request.raw_body is not None:
        return request.raw_body
    if payload is None:
        return b""
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    if isinstance(payload, str):
        return encoded(payload)
    try:
        return json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        raise WebhookValidationError("The payload can't be encoded as JSON") from None


def _expiry(config: WebhookTriggerConfig, epoch: int | None) -> datetime | None:
    """Return until when a signature must be remembered: as long as it would be accepted.

    None means for good: without a signed time, or with one whose age is not checked, a signature
    never stops being valid.
    """
    tolerance = config.hmac_tolerance_seconds
    if epoch is None or not tolerance:
        return None
    return datetime.fromtimestamp(epoch, UTC) + timedelta(seconds=tolerance) + _CLOCK_SKEW
