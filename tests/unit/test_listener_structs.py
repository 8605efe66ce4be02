"""Listener structs: their document forms, defaults, and what they refuse."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from orcheo_sql._errors import EncodingError
from orcheo_sql.structs import AuditRecord, Record
from orcheo_sql.structs.listeners import (
    ListenerCursor,
    ListenerDedupeRecord,
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerHealthSnapshot,
    ListenerLease,
    ListenerSubscription,
    ListenerSubscriptionStatus,
)

ID = UUID("00000000-0000-4000-8000-00000000000a")
OTHER = UUID("00000000-0000-4000-8000-00000000000b")
THIRD = UUID("00000000-0000-4000-8000-00000000000c")
THEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
THEN_TEXT, LATER_TEXT = "2026-01-02T03:04:05.678901Z", "2026-01-02T03:04:06Z"

SUBSCRIPTION = ListenerSubscription(
    id=ID,
    created_at=THEN,
    updated_at=LATER,
    audit_log=[AuditRecord(actor="ada", action="listener_subscription_synced", at=THEN)],
    workflow_id=OTHER,
    workflow_version_id=THIRD,
    node_name="bot",
    platform="telegram",
    bot_identity_key="telegram:[[tg]]",
    config={"token": "[[tg]]", "allowed_chat_types": ["private"]},
    status=ListenerSubscriptionStatus.BLOCKED,
    assigned_runtime="worker-1",
    lease_expires_at=LATER,
    last_event_at=THEN,
    last_error="no credential",
)
SUBSCRIPTION_DOCUMENT = {
    "id": str(ID),
    "created_at": THEN_TEXT,
    "updated_at": LATER_TEXT,
    "audit_log": [
        {
            "actor": "ada",
            "action": "listener_subscription_synced",
            "at": THEN_TEXT,
            "metadata": {},
        }
    ],
    "workflow_id": str(OTHER),
    "workflow_version_id": str(THIRD),
    "node_name": "bot",
    "platform": "telegram",
    "bot_identity_key": "telegram:[[tg]]",
    "config": {"token": "[[tg]]", "allowed_chat_types": ["private"]},
    "status": "blocked",
    "assigned_runtime": "worker-1",
    "lease_expires_at": LATER_TEXT,
    "last_event_at": THEN_TEXT,
    "last_error": "no credential",
}
CURSOR = ListenerCursor(
    subscription_id=ID,
    telegram_offset=7,
    discord_session_id="d",
    discord_sequence=8,
    discord_resume_gateway_url="wss://d",
    qq_session_id="q",
    qq_sequence=9,
    qq_resume_gateway_url="wss://q",
    metadata={"k": 1},
    updated_at=THEN,
)
CURSOR_DOCUMENT = {
    "subscription_id": str(ID),
    "telegram_offset": 7,
    "discord_session_id": "d",
    "discord_sequence": 8,
    "discord_resume_gateway_url": "wss://d",
    "qq_session_id": "q",
    "qq_sequence": 9,
    "qq_resume_gateway_url": "wss://q",
    "metadata": {"k": 1},
    "updated_at": THEN_TEXT,
}
DEDUPE = ListenerDedupeRecord(
    subscription_id=ID, dedupe_key="telegram:1", created_at=THEN, expires_at=LATER
)
DEDUPE_DOCUMENT = {
    "subscription_id": str(ID),
    "dedupe_key": "telegram:1",
    "created_at": THEN_TEXT,
    "expires_at": LATER_TEXT,
}
MESSAGE = ListenerDispatchMessage(
    chat_id="1",
    channel_id="2",
    guild_id="3",
    message_id="4",
    user_id="5",
    username="ada",
    text="hi",
    chat_type="private",
    metadata={"lang": "en"},
)
MESSAGE_DOCUMENT = {
    "chat_id": "1",
    "channel_id": "2",
    "guild_id": "3",
    "message_id": "4",
    "user_id": "5",
    "username": "ada",
    "text": "hi",
    "chat_type": "private",
    "metadata": {"lang": "en"},
}
PAYLOAD = ListenerDispatchPayload(
    platform="telegram",
    event_type="message",
    dedupe_key="telegram:1",
    bot_identity="telegram:[[tg]]",
    listener_subscription_id=ID,
    message=MESSAGE,
    reply_target={"chat_id": "1"},
    raw_event={"update_id": 1},
    metadata={"m": None},
)
PAYLOAD_DOCUMENT = {
    "platform": "telegram",
    "event_type": "message",
    "dedupe_key": "telegram:1",
    "bot_identity": "telegram:[[tg]]",
    "listener_subscription_id": str(ID),
    "message": MESSAGE_DOCUMENT,
    "reply_target": {"chat_id": "1"},
    "raw_event": {"update_id": 1},
    "metadata": {"m": None},
}
HEALTH = ListenerHealthSnapshot(
    subscription_id=ID,
    runtime_id="worker-1",
    status="backoff",
    platform="qq",
    last_polled_at=THEN,
    last_event_at=LATER,
    consecutive_failures=3,
    detail="503",
)
HEALTH_DOCUMENT = {
    "subscription_id": str(ID),
    "runtime_id": "worker-1",
    "status": "backoff",
    "platform": "qq",
    "last_polled_at": THEN_TEXT,
    "last_event_at": LATER_TEXT,
    "consecutive_failures": 3,
    "detail": "503",
}
LEASE = ListenerLease(subscription=SUBSCRIPTION, runtime_id="worker-1", epoch=3, expires_at=LATER)
LEASE_DOCUMENT = {
    "subscription": SUBSCRIPTION_DOCUMENT,
    "runtime_id": "worker-1",
    "epoch": 3,
    "expires_at": LATER_TEXT,
}
DOCUMENTS: list[tuple[Record, dict[str, Any]]] = [
    (SUBSCRIPTION, SUBSCRIPTION_DOCUMENT),
    (CURSOR, CURSOR_DOCUMENT),
    (DEDUPE, DEDUPE_DOCUMENT),
    (MESSAGE, MESSAGE_DOCUMENT),
    (PAYLOAD, PAYLOAD_DOCUMENT),
    (HEALTH, HEALTH_DOCUMENT),
    (LEASE, LEASE_DOCUMENT),
]
NAMES = [type(entity).__name__ for entity, _ in DOCUMENTS]


@pytest.mark.parametrize(("entity", "document"), DOCUMENTS, ids=NAMES)
def test_document_form(entity: Record, document: dict[str, Any]) -> None:
    built = msgspec.to_builtins(entity)
    assert built == document
    assert list(built) == list(document)
    assert msgspec.convert(document, type(entity)) == entity


@pytest.mark.parametrize(("entity", "document"), DOCUMENTS, ids=NAMES)
def test_structs_are_frozen(entity: Record, document: dict[str, Any]) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        setattr(entity, next(iter(document)), None)


@pytest.mark.parametrize(
    ("entity", "document"), [DOCUMENTS[0], DOCUMENTS[2], DOCUMENTS[5], DOCUMENTS[6]]
)
def test_rows_refuse_unknown_fields(entity: Record, document: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match="surprise"):
        msgspec.convert(document | {"surprise": 1}, type(entity))


def test_an_event_stored_by_a_newer_release_is_readable() -> None:
    newer = PAYLOAD_DOCUMENT | {"surprise": 1, "message": MESSAGE_DOCUMENT | {"surprise": 2}}
    assert msgspec.convert(newer, ListenerDispatchPayload) == PAYLOAD


def test_a_cursor_stored_by_a_newer_release_is_readable() -> None:
    newer = CURSOR_DOCUMENT | {"surprise": 1}
    assert msgspec.convert(newer, ListenerCursor) == CURSOR


def test_status_values() -> None:
    assert list(ListenerSubscriptionStatus) == ["active", "blocked", "paused", "error", "disabled"]
    assert f"{ListenerSubscriptionStatus.ACTIVE}" == "active"


def test_a_new_subscription_is_active_and_free() -> None:
    subscription = ListenerSubscription(
        workflow_id=ID,
        workflow_version_id=OTHER,
        node_name="n",
        platform="qq",
        bot_identity_key="k",
    )
    assert subscription.status is ListenerSubscriptionStatus.ACTIVE
    assert subscription.config == {}
    assert (subscription.assigned_runtime, subscription.lease_expires_at) == (None, None)
    assert (subscription.last_event_at, subscription.last_error) == (None, None)


def test_a_new_cursor_is_dated_and_says_nothing() -> None:
    document = msgspec.structs.asdict(ListenerCursor(subscription_id=ID))
    assert document.pop("updated_at").utcoffset() == timedelta(0)
    assert document.pop("metadata") == {}
    assert document.pop("subscription_id") == ID
    assert set(document.values()) == {None}


def test_a_dedupe_record_lasts_five_minutes() -> None:
    record = ListenerDedupeRecord(subscription_id=ID, dedupe_key="k")
    lifetime = record.expires_at - record.created_at
    assert timedelta(minutes=5) <= lifetime < timedelta(minutes=5, seconds=30)


def test_a_bare_snapshot() -> None:
    snapshot = ListenerHealthSnapshot(
        subscription_id=ID, runtime_id="r", status="starting", platform="qq"
    )
    assert (snapshot.last_polled_at, snapshot.last_event_at, snapshot.detail) == (None, None, None)
    assert snapshot.consecutive_failures == 0
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(HEALTH_DOCUMENT | {"status": "fine"}, ListenerHealthSnapshot)


def test_input_of_a_run() -> None:
    document = PAYLOAD.to_input_payload()
    assert document == {
        "listener": PAYLOAD_DOCUMENT,
        "platform": "telegram",
        "event_type": "message",
        "bot_identity": "telegram:[[tg]]",
        "message": MESSAGE_DOCUMENT,
        "reply_target": {"chat_id": "1"},
        "raw_event": {"update_id": 1},
    }
    assert next(iter(document)) == "listener"


def bare_payload(**fields: Any) -> ListenerDispatchPayload:
    return ListenerDispatchPayload(
        platform="qq", event_type="e", dedupe_key="k", bot_identity="b", **fields
    )


def test_input_of_a_bare_event() -> None:
    document = bare_payload().to_input_payload()
    assert document["listener"]["listener_subscription_id"] is None
    assert document["message"] == dict.fromkeys(MESSAGE_DOCUMENT) | {"metadata": {}}
    assert document["reply_target"] == document["raw_event"] == {}


def test_input_is_json_whatever_the_platform_sent() -> None:
    raw = {"t": "a\0\ud800", "n": float("nan"), "big": 2**70, "at": THEN, "set": {2, 1}}
    assert bare_payload(raw_event=raw).to_input_payload()["raw_event"] == {
        "t": "a\\u0000\\ud800",
        "n": "NaN",
        "big": str(2**70),
        "at": THEN_TEXT,
        "set": [1, 2],
    }


def test_input_is_detached_from_the_event() -> None:
    event = bare_payload(raw_event={"a": []})
    event.to_input_payload()["raw_event"]["a"].append(1)
    assert event.raw_event == {"a": []}


def test_input_refuses_what_has_no_json_form() -> None:
    with pytest.raises(EncodingError, match=r"payload\.raw_event\.x: a value of type object"):
        bare_payload(raw_event={"x": object()}).to_input_payload()
