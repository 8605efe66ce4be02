"""Trigger structs: document forms, secrets that never come out, and what is read back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

import msgspec
import pytest
from rich.console import Console

from orcheo_sql import structs
from orcheo_sql._errors import DecodeError
from orcheo_sql.structs import (
    CronMisfirePolicy,
    CronTriggerConfig,
    ManualDispatchItem,
    ManualDispatchRequest,
    RateLimitConfig,
    RetryDecision,
    RetryPolicyConfig,
    WebhookRequest,
    WebhookTriggerConfig,
)
from orcheo_sql.structs.triggers import _Checked

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = UUID("00000000-0000-4000-8000-00000000000a")

WEBHOOK = WebhookTriggerConfig(
    allowed_methods=["POST"],
    shared_secret_header="X-Token",
    shared_secret="open sesame",
    hmac_header="X-Signature",
    hmac_secret="hush hush",
    rate_limit=RateLimitConfig(limit=5),
)

DOCUMENTS: list[tuple[msgspec.Struct, dict[str, Any]]] = [
    (
        WEBHOOK.without_secrets(),
        {
            "allowed_methods": ["POST"],
            "required_headers": {},
            "required_query_params": {},
            "shared_secret_header": "x-token",
            "shared_secret": None,
            "hmac_header": "x-signature",
            "hmac_secret": None,
            "hmac_algorithm": "sha256",
            "hmac_timestamp_header": None,
            "hmac_tolerance_seconds": 300,
            "rate_limit": {"limit": 5, "interval_seconds": 60},
            "kept_headers": None,
            "kept_query_params": None,
            "has_shared_secret": True,
            "has_hmac_secret": True,
        },
    ),
    (
        CronTriggerConfig(expression="0 9 * * *", start_at=NOON),
        {
            "expression": "0 9 * * *",
            "timezone": "UTC",
            "allow_overlapping": False,
            "start_at": "2026-01-01T12:00:00Z",
            "end_at": None,
            "misfire_policy": "fire_once",
            "misfire_grace_seconds": 300,
            "max_catch_up": 10,
        },
    ),
    (
        RetryPolicyConfig(max_delay_seconds=None),
        {
            "max_attempts": 3,
            "initial_delay_seconds": 30.0,
            "backoff_factor": 2.0,
            "max_delay_seconds": None,
            "jitter_factor": 0.1,
        },
    ),
    (
        ManualDispatchRequest(workflow_id=ID, runs=[ManualDispatchItem(input_payload={"a": 1})]),
        {
            "workflow_id": str(ID),
            "actor": "manual",
            "runs": [{"workflow_version_id": None, "input_payload": {"a": 1}}],
            "label": None,
        },
    ),
    (
        RetryDecision(1, NOON, 30.0),
        {"retry_number": 1, "scheduled_for": "2026-01-01T12:00:00Z", "delay_seconds": 30.0},
    ),
]


@pytest.mark.parametrize(("struct", "document"), DOCUMENTS)
def test_documents_round_trip(struct: msgspec.Struct, document: dict[str, Any]) -> None:
    assert msgspec.to_builtins(struct) == document
    assert msgspec.convert(document, type(struct)) == struct


def test_unknown_fields_and_broken_rules_do_not_convert() -> None:
    for document in ({"cron": "0 9 * * *"}, {"expression": "nope"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(document, CronTriggerConfig)


def test_structs_are_frozen() -> None:
    with pytest.raises(AttributeError):
        WEBHOOK.hmac_secret = "other"  # type: ignore[misc]


def shown(value: object) -> str:
    out = StringIO()
    Console(file=out, width=1000).print(value)
    return f"{value!r} {value!s} {value} {out.getvalue()}"


def test_what_is_stored_is_read_back_without_rules_and_shares_nothing() -> None:
    stored = WebhookTriggerConfig.from_document(
        {"hmac_algorithm": "of old", "rate_limit": {"limit": -1}, "of_a_later_release": 1}
    )
    other = WebhookTriggerConfig.from_document({})
    assert stored.hmac_algorithm == "of old"
    assert stored.rate_limit == RateLimitConfig.from_stored({"limit": -1})
    assert stored.rate_limit.interval_seconds == 60
    assert stored.allowed_methods == other.allowed_methods == ["GET", "POST"]
    stored.allowed_methods.clear()
    assert other.allowed_methods == WebhookTriggerConfig.from_document({}).allowed_methods
    assert other == WebhookTriggerConfig()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"later": 1, "hmac_tolerance_seconds": "5"}, "WebhookTriggerConfig.hmac_tolerance_seconds: Expected `int`"),
        ({"rate_limit": {"limit": "5"}}, "RateLimitConfig.limit: Expected `int`"),
        ({"rate_limit": 5}, "WebhookTriggerConfig.rate_limit: Expected `object | null`"),
        ({"kept_headers": [1]}, r"WebhookTriggerConfig.kept_headers: Expected `str`, got `int` - at `$[0]`"),
    ],
)  # fmt: skip
def test_what_is_stored_with_another_type_is_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(message)):
        WebhookTriggerConfig.from_document(document)


def test_secrets_never_show() -> None:
    for config in (WEBHOOK, WEBHOOK.without_secrets(), [WEBHOOK]):
        assert "sesame" not in shown(config)
        assert "hush" not in shown(config)
    assert "shared_secret='***'" in repr(WEBHOOK)
    assert repr(WebhookTriggerConfig()).startswith("WebhookTriggerConfig(allowed_methods=['GET'")


def test_secrets_do_not_come_out_and_can_be_put_back() -> None:
    handed_out = WEBHOOK.without_secrets()
    assert handed_out != WEBHOOK
    assert handed_out == WEBHOOK.without_secrets()
    assert b"sesame" not in msgspec.json.encode(handed_out)
    secrets = {"shared_secret": "open sesame", "hmac_secret": "hush hush"}
    assert handed_out.with_secrets(**secrets) == WEBHOOK


def test_a_config_that_was_handed_out_can_be_changed_and_given_back() -> None:
    changed = msgspec.structs.replace(WEBHOOK.without_secrets(), allowed_methods=["put"])
    assert changed.allowed_methods == ["PUT"]
    assert changed.has_shared_secret
    assert changed.shared_secret is None
    without = WebhookTriggerConfig()
    assert not without.has_shared_secret
    assert not without.has_hmac_secret


def test_calls_are_normalised() -> None:
    request = WebhookRequest(method="post", headers={"X-A": "B"}, query_params={"Q": "v"})
    assert (request.method, request.headers, request.query_params) == (
        "POST",
        {"x-a": "B"},
        {"Q": "v"},
    )


def test_misfire_policies_are_texts() -> None:
    config = CronTriggerConfig(misfire_policy="skip")  # type: ignore[arg-type]
    assert config.misfire_policy is CronMisfirePolicy.SKIP


def test_a_struct_without_rules_is_a_mistake() -> None:
    class Bare(_Checked, frozen=True):
        pass

    with pytest.raises(NotImplementedError):
        Bare()


def test_all_names_are_exported() -> None:
    for name in ("CronMisfirePolicy", "ManualDispatchRun", "WebhookRequest"):
        assert name in structs.__all__
