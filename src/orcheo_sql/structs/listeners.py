"""Listeners: subscriptions to a platform's events, their cursors, and the events themselves.

Strictness follows `orcheo_sql.structs.base`: what is a row of its own, or is never stored, refuses
unknown fields. A cursor is stored as a document and an event inside the input of its run, so their
structs ignore them when they are read back; what a client sends is checked by
`rules.listeners`, strictly.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

import msgspec

from orcheo_sql._documents import encode_record
from orcheo_sql.structs.base import AuditedEntity, Record, utc_now

LISTENER_DEDUPE_SECONDS = 300
"""How long the key of an event is remembered unless the listener's config says otherwise."""


class ListenerSubscriptionStatus(StrEnum):
    """What a subscription may do: only an active one is claimed and dispatches."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    PAUSED = "paused"
    ERROR = "error"
    DISABLED = "disabled"


class ListenerSubscription(AuditedEntity, frozen=True, kw_only=True):
    """A listener node of one version, and the runtime that serves it."""

    workflow_id: UUID
    workflow_version_id: UUID
    node_name: str
    platform: str
    bot_identity_key: str
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    status: ListenerSubscriptionStatus = ListenerSubscriptionStatus.ACTIVE
    assigned_runtime: str | None = None
    lease_expires_at: datetime | None = None
    last_event_at: datetime | None = None
    last_error: str | None = None


class ListenerLease(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The right of one runtime to serve a subscription, until it expires or passes to another.

    `epoch` grows whenever the lease is not simply renewed: it tells this lease from every later one,
    also of a runtime with the same name.
    """

    subscription: ListenerSubscription
    runtime_id: str
    epoch: int
    expires_at: datetime


class ListenerCursor(Record, frozen=True, kw_only=True):
    """How far a listener has read its platform's events."""

    subscription_id: UUID
    telegram_offset: int | None = None
    discord_session_id: str | None = None
    discord_sequence: int | None = None
    discord_resume_gateway_url: str | None = None
    qq_session_id: str | None = None
    qq_sequence: int | None = None
    qq_resume_gateway_url: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    updated_at: datetime = msgspec.field(default_factory=utc_now)


def _dedupe_expiry() -> datetime:
    return utc_now() + timedelta(seconds=LISTENER_DEDUPE_SECONDS)


class ListenerDedupeRecord(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that was dispatched: until `expires_at` its key is not dispatched again."""

    subscription_id: UUID
    dedupe_key: str
    created_at: datetime = msgspec.field(default_factory=utc_now)
    expires_at: datetime = msgspec.field(default_factory=_dedupe_expiry)


class ListenerDispatchMessage(Record, frozen=True, kw_only=True):
    """The message of an event, in the words that all platforms share."""

    chat_id: str | None = None
    channel_id: str | None = None
    guild_id: str | None = None
    message_id: str | None = None
    user_id: str | None = None
    username: str | None = None
    text: str | None = None
    chat_type: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class ListenerDispatchPayload(Record, frozen=True, kw_only=True):
    """One event of a platform, as an adapter hands it over to start a run."""

    platform: str
    event_type: str
    dedupe_key: str
    bot_identity: str
    listener_subscription_id: UUID | None = None
    message: ListenerDispatchMessage = msgspec.field(default_factory=ListenerDispatchMessage)
    reply_target: dict[str, Any] = msgspec.field(default_factory=dict)
    raw_event: dict[str, Any] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def to_input_payload(self) -> dict[str, Any]:
        """Return the input of the run that this event starts, as a JSON document.

        Raises EncodingError for a value that has no JSON form; hostile values become text.
        """
        text = encode_record(self, name="payload")
        payload: dict[str, Any] = msgspec.json.decode(text.encode())
        return {"listener": payload, **{name: payload[name] for name in _REPEATED_IN_INPUT}}


_REPEATED_IN_INPUT = (
    "platform",
    "event_type",
    "bot_identity",
    "message",
    "reply_target",
    "raw_event",
)


class ListenerHealthSnapshot(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a runtime says one of its listeners is doing; never stored."""

    subscription_id: UUID
    runtime_id: str
    status: Literal["starting", "healthy", "backoff", "stopped", "error"]
    platform: str
    last_polled_at: datetime | None = None
    last_event_at: datetime | None = None
    consecutive_failures: int = 0
    detail: str | None = None


class CompiledListener(Record, frozen=True, kw_only=True):
    """A listener as the graph of one version defines it."""

    id: UUID
    listener_key: UUID
    workflow_id: UUID
    workflow_version_id: UUID
    node_name: str
    platform: str
    bot_identity_key: str
    config: dict[str, Any]
