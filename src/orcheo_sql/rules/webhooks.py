"""Webhooks: which configs are accepted, and which calls.

A call is checked in two steps. `validate_webhook` needs nothing but the call and the config, and
returns what it depends on besides: a signature not to have been used, and how many calls to have
been accepted. Whoever looks that up passes it to `check_webhook_history`, and, in the transaction
that stores the run, records the call. So a refused call leaves no trace.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import (
    MethodNotAllowedError,
    RateLimitExceededError,
    WebhookAuthenticationError,
    WebhookValidationError,
)
from orcheo_sql.rules._configs import at_least, parse_config
from orcheo_sql.rules._values import items, mapping, optional_text, require_flag, require_text
from orcheo_sql.rules._webhook_signature import (
    HMAC_ALGORITHMS,
    SeenSignature,
    encoded,
    verified_signature,
)
from orcheo_sql.rules._zones import to_utc
from orcheo_sql.structs.base import Record
from orcheo_sql.structs.triggers import RateLimitConfig, WebhookRequest, WebhookTriggerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

ALIASES = {"secret_header": "shared_secret_header"}

KEPT_HEADERS = frozenset(
    {"accept", "accept-language", "content-encoding", "content-language", "content-length"}
    | {"content-type", "date", "host", "idempotency-key", "origin", "user-agent"}
    | {"traceparent", "tracestate", "x-correlation-id", "x-request-id"}
    | {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
    | {"ce-dataschema", "ce-id", "ce-source", "ce-specversion", "ce-subject", "ce-time", "ce-type"}
    | {"webhook-id", "webhook-timestamp", "x-event", "x-event-id", "x-event-type"}
    | {"x-github-delivery", "x-github-event", "x-github-hook-id", "x-gitlab-event"}
    | {"x-gitlab-event-uuid", "x-shopify-event-id", "x-shopify-shop-domain", "x-shopify-topic"}
    | {"x-slack-request-timestamp", "x-slack-retry-num", "x-slack-retry-reason"}
)
"""The headers that a run keeps unless the config names others. Names, no patterns: whoever guesses
from a name whether a secret is in it is wrong one day."""
KEPT_QUERY_PARAMS = frozenset(
    {"action", "event", "event_id", "event_type", "kind", "source", "topic", "type"}
    | {"format", "lang", "locale", "preserve_raw_body", "timezone", "version"}
    | {"dry_run", "limit", "offset", "order", "page", "page_size", "sort"}
)
"""The same for query parameters."""


class WebhookAcceptance(Record, frozen=True, kw_only=True):
    """A call that is right by itself: what to look up before it is accepted, and to record then."""

    received_at: datetime
    input_payload: dict[str, Any]
    signature_digest: str | None = None
    """Refuse the call if this is remembered and has not expired; else remember it."""
    signature_expires_at: datetime | None = None
    """None with a digest means that it is remembered for good."""
    rate_limit: RateLimitConfig | None = None
    counted_from: datetime | None = None
    """Calls accepted at this time or later count towards the rate limit."""


def parse_webhook_config(value: object, field: str = "webhook trigger") -> WebhookTriggerConfig:
    """Return a webhook config from itself, a mapping, or a model that offers ``model_dump``."""
    return parse_config(value, field, WebhookTriggerConfig, ALIASES)


def checked_rate_limit(config: RateLimitConfig) -> dict[str, Any]:
    """Return the fields of a rate limit, checked."""
    return {
        "limit": at_least(config.limit, "limit", 1),
        "interval_seconds": at_least(config.interval_seconds, "interval_seconds", 1),
    }


def checked_webhook(config: WebhookTriggerConfig) -> dict[str, Any]:
    """Return the fields of a config, checked and normalised."""
    limit: object = config.rate_limit
    tolerance = config.hmac_tolerance_seconds
    headers = _texts(config.required_headers, "required_headers")
    fields: dict[str, Any] = {
        "allowed_methods": _methods(config.allowed_methods),
        "required_headers": {name.lower(): value for name, value in headers.items()},
        "required_query_params": _texts(config.required_query_params, "required_query_params"),
        "shared_secret_header": _header(config.shared_secret_header, "shared_secret_header"),
        "shared_secret": _secret(config.shared_secret, "shared_secret"),
        "hmac_header": _header(config.hmac_header, "hmac_header"),
        "hmac_secret": _secret(config.hmac_secret, "hmac_secret"),
        "hmac_algorithm": _algorithm(config.hmac_algorithm),
        "hmac_timestamp_header": _header(config.hmac_timestamp_header, "hmac_timestamp_header"),
        "hmac_tolerance_seconds": at_least(tolerance, "hmac_tolerance_seconds", 0),
        "rate_limit": (
            None if limit is None else parse_config(limit, "rate_limit", RateLimitConfig)
        ),
        "kept_headers": _names(config.kept_headers, "kept_headers", str.lower),
        "kept_query_params": _names(config.kept_query_params, "kept_query_params", str),
    }
    for kind in ("shared", "hmac"):
        flag = require_flag(getattr(config, f"has_{kind}_secret"), f"has_{kind}_secret")
        fields[f"has_{kind}_secret"] = flag or fields[f"{kind}_secret"] is not None
    _check_pairs(fields)
    return fields


def checked_request(request: WebhookRequest) -> dict[str, Any]:
    """Return the fields of a call, its header names in lower case."""
    headers = _received(request.headers, "header")
    body: object = request.raw_body
    if not isinstance(request.method, str):
        raise WebhookValidationError("The HTTP method must be text")
    if body is not None and not isinstance(body, bytes | bytearray | memoryview):
        raise WebhookValidationError("The raw body must be bytes")
    if request.source_ip is not None and not isinstance(request.source_ip, str):
        raise WebhookValidationError("The source address must be text")
    return {
        "method": request.method.upper(),
        "headers": {name.lower(): value for name, value in headers.items()},
        "query_params": _received(request.query_params, "query parameter"),
        "raw_body": None if body is None else bytes(body),
    }


def validate_webhook(
    config: WebhookTriggerConfig, request: WebhookRequest, *, received_at: datetime
) -> WebhookAcceptance:
    """Check all of a call that needs no look at other calls; the first rule broken is raised.

    `config` has its secrets. One that says it has a secret, but comes without, accepts nothing.
    """
    received_at = to_utc(received_at)
    if request.method not in config.allowed_methods:
        raise MethodNotAllowedError(request.method, config.allowed_methods)
    _check_required(config.required_headers, request.headers, "header")
    _check_required(config.required_query_params, request.query_params, "query parameter")
    signature: SeenSignature | None = None
    if config.has_hmac_secret or config.hmac_secret is not None:
        signature = verified_signature(config, request, received_at)
    if config.has_shared_secret or config.shared_secret is not None:
        _check_shared_secret(config, request)
    limit = config.rate_limit
    return WebhookAcceptance(
        received_at=received_at,
        input_payload=_input_payload(config, request),
        signature_digest=None if signature is None else signature.digest,
        signature_expires_at=None if signature is None else signature.expires_at,
        rate_limit=limit,
        counted_from=(
            None if limit is None else received_at - timedelta(seconds=limit.interval_seconds)
        ),
    )


def check_webhook_history(
    acceptance: WebhookAcceptance, *, signature_seen: bool, accepted_calls: int
) -> None:
    """Refuse a call whose signature was used before, or that comes after too many others."""
    if acceptance.signature_digest is not None and signature_seen:
        raise WebhookAuthenticationError
    limit = acceptance.rate_limit
    if limit is not None and accepted_calls >= limit.limit:
        raise RateLimitExceededError(limit.limit, limit.interval_seconds)


def _check_pairs(fields: dict[str, Any]) -> None:
    if fields["shared_secret_header"] and not fields["has_shared_secret"]:
        raise WebhookValidationError(
            "shared_secret must be provided when shared_secret_header is set"
        )
    if fields["has_shared_secret"] and not fields["shared_secret_header"]:
        raise WebhookValidationError(
            "shared_secret_header is required when shared_secret is provided"
        )
    if bool(fields["hmac_header"]) != fields["has_hmac_secret"]:
        raise WebhookValidationError("hmac_header and hmac_secret must be configured together")


def _check_required(expected: Mapping[str, str], received: Mapping[str, str], what: str) -> None:
    for name, value in expected.items():
        if name not in received or not _equal(received[name], value):
            raise WebhookValidationError(f"Missing or invalid required {what}: {name}")


def _check_shared_secret(config: WebhookTriggerConfig, request: WebhookRequest) -> None:
    received = request.headers.get(config.shared_secret_header or "")
    secret = config.shared_secret
    if received is None or secret is None or not _equal(received, secret):
        raise WebhookAuthenticationError


def _equal(received: str, expected: str) -> bool:
    # As bytes: compare_digest takes no other text than ASCII.
    return hmac.compare_digest(encoded(received), encoded(expected))


def _input_payload(config: WebhookTriggerConfig, request: WebhookRequest) -> dict[str, Any]:
    body = request.payload
    if isinstance(body, bytes | bytearray | memoryview):
        body = {"raw": bytes(body).decode("utf-8", "replace")}
    return {
        "body": body,
        "headers": {
            name: value for name, value in request.headers.items() if _keeps_header(config, name)
        },
        "query_params": {
            name: value
            for name, value in request.query_params.items()
            if _keeps_query_param(config, name)
        },
        "source_ip": request.source_ip,
    }


def _keeps_header(config: WebhookTriggerConfig, name: str) -> bool:
    # Headers that the config requires are no exception: some are required because they are secret.
    if name in (config.shared_secret_header, config.hmac_header):
        return False
    return name in (KEPT_HEADERS if config.kept_headers is None else config.kept_headers)


def _keeps_query_param(config: WebhookTriggerConfig, name: str) -> bool:
    kept = config.kept_query_params
    return name in (KEPT_QUERY_PARAMS if kept is None else kept)


def _received(value: object, what: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise WebhookValidationError(f"The {what}s must be a mapping")
    received = dict(value)
    for name, text in received.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise WebhookValidationError(f"Each {what} must be text: {name!r:.100}")
    return received


def _methods(value: object) -> list[str]:
    methods = {
        require_text(item, f"allowed_methods[{index}]").upper()
        for index, item in enumerate(items(value, "allowed_methods"))
    }
    if not methods:
        raise WebhookValidationError("At least one HTTP method must be allowed")
    return sorted(methods)


def _algorithm(value: object) -> str:
    text = require_text(value, "hmac_algorithm")
    name = text.strip().lower()
    if name not in HMAC_ALGORITHMS:
        raise WebhookValidationError(f"Unsupported HMAC algorithm: {text}")
    return name


def _header(value: object, field: str) -> str | None:
    return (optional_text(value, field) or "").lower() or None


def _secret(value: object, field: str) -> str | None:
    # An empty secret protects nothing, so it counts as none.
    return optional_text(value, field) or None


def _texts(value: object, field: str) -> dict[str, str]:
    return {
        require_text(name, f"{field} key"): require_text(text, f"{field}.{name}")
        for name, text in mapping(value, field).items()
    }


def _names(value: object, field: str, normal: Callable[[str], str]) -> list[str] | None:
    if value is None:
        return None
    names = [
        require_text(item, f"{field}[{index}]") for index, item in enumerate(items(value, field))
    ]
    return sorted({normal(name) for name in names})
