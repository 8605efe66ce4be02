"""Listeners: compiled from a graph, synchronised with what is stored, and what clients send.

A listener has two identities:

``id``
    of the *subscription*: a listener in one version of a workflow. UUID5 of
    ``{version id}:{platform}:{node name}:{bot identity}``, a text that clients compute as well.
    Every version brings new subscriptions; those of older versions stay behind, disabled.
``listener_key``
    of the *listener* itself: UUID5 of the JSON array of workflow id, platform, node name and bot
    identity. Versions come and go beneath it. A JSON array, because parts joined by colons can't be
    told apart when they contain some; a UUID, because node names and identities have no length
    limit and index entries do.

What has to outlive a version is stored under the listener key: the cursor, the dedupe memory and an
operator's pause, so that a new version goes on where the old one was. The rest is the
subscription's: config, status, error, lease, audit trail. Cursors name a subscription to the
outside; inside, it only leads to the listener key.

A pause stands from the status ``paused`` until the status ``active``, through new versions,
archiving, and versions that lack the node. Archiving the workflow disables its subscriptions, and
un-archiving gives the current ones the status that they had, or that a version made in the meantime
would have given them; what somebody set in the meantime stays. Errors and blocks are not carried over: a new version
may have cured them, and the runtime finds out. Nor are leases: a runtime claims the new
subscription like any other, and what it still sends for the old one is refused.

The query ``sync_listeners`` makes it so, in the transaction that stores the version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid5

import msgspec

from orcheo_sql._documents import clean_text
from orcheo_sql._errors import ValidationError
from orcheo_sql.rules._values import (
    items,
    known_fields,
    mapping,
    optional_text,
    require_int,
    require_text,
)
from orcheo_sql.structs.listeners import (
    LISTENER_DEDUPE_SECONDS,
    CompiledListener,
    ListenerCursor,
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerLease,
    ListenerSubscription,
    ListenerSubscriptionStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[object, str], Any]

LISTENER_NAMESPACE = UUID("cb2512f5-f1d4-4883-bc6f-6d5c7a560fce")
"""Where the ids of subscriptions and the keys of listeners are computed."""

LISTENER_PLATFORMS: Mapping[str, str] = MappingProxyType(
    {name: name for name in ("telegram", "discord", "qq")}
)
"""The platforms known without any plugin: each accepted name with the id it stands for."""

LISTENER_SYNCED = "listener_subscription_synced"
LISTENER_DISABLED = "listener_subscription_disabled"
LISTENER_CLAIMED = "listener_subscription_claimed"
LISTENER_RELEASED = "listener_subscription_released"

LONGEST_DEDUPE_SECONDS = 365 * 24 * 3600
LONGEST_DEDUPE_KEY = 512  # bytes; index entries are limited, and an event must not fail for it


def listener_status_action(status: ListenerSubscriptionStatus) -> str:
    """Return the audit action of a change to this status."""
    return f"listener_subscription_status_{status}"


def add_listener_platform(
    platforms: Mapping[str, str], platform: str, aliases: Iterable[str] = ()
) -> Mapping[str, str]:
    """Return the platforms with one more, known by its id and its aliases; case does not matter."""
    names = [_platform_name(platform), *map(_platform_name, items(aliases, "aliases"))]
    extended = dict(platforms)
    for name in names:
        if name in extended:
            raise ValidationError(f"Listener platform {name!r} is already registered.")
        extended[name] = names[0]
    return MappingProxyType(extended)


def listener_subscription_id(
    version_id: UUID, platform: str, node_name: str, bot_identity_key: str
) -> UUID:
    """Return the id of a listener's subscription in one version."""
    name = f"{version_id}:{platform}:{node_name}:{bot_identity_key}"
    return uuid5(LISTENER_NAMESPACE, clean_text(name))


def listener_key(workflow_id: UUID, platform: str, node_name: str, bot_identity_key: str) -> UUID:
    """Return the key of a listener, the same in every version of its workflow."""
    parts = [str(workflow_id), platform, node_name, bot_identity_key]
    return uuid5(LISTENER_NAMESPACE, json.dumps(parts, separators=(",", ":")))


def compile_listeners(
    graph: object,
    *,
    workflow_id: UUID,
    version_id: UUID,
    platforms: Mapping[str, str] = LISTENER_PLATFORMS,
) -> list[CompiledListener]:
    """Return the listeners that a graph defines at ``index.listeners``, in the order found there.

    Never fails: what defines no listener is passed over. Of several entries with the same id the
    last one counts, at the place of the first. Texts that a database can't hold are not looked for
    here; the encoder of definitions refuses the graph that has some.
    """
    compiled: dict[UUID, CompiledListener] = {}
    for entry in _entries(graph):
        identity = _identify(entry, platforms)
        if identity is not None:
            key = listener_subscription_id(version_id, *identity)
            compiled[key] = CompiledListener(
                id=key,
                listener_key=listener_key(workflow_id, *identity),
                workflow_id=workflow_id,
                workflow_version_id=version_id,
                node_name=identity.node_name,
                platform=identity.platform,
                bot_identity_key=identity.bot_identity_key,
                config={name: value for name, value in entry.items() if name not in _NOT_CONFIG},
            )
    return list(compiled.values())


def require_listener_status(value: object) -> ListenerSubscriptionStatus:
    """Return the status; its bare text is refused, as clients expect."""
    if not isinstance(value, ListenerSubscriptionStatus):
        raise ValidationError(
            f"status must be a ListenerSubscriptionStatus, not {type(value).__name__}."
        )
    return value


def require_runtime(value: object, field: str = "runtime_id") -> str:
    """Return the name of a runtime."""
    name = require_text(value, field)
    if not name:
        raise ValidationError(f"{field} must not be empty.")
    return name


def require_lease(value: object) -> ListenerLease:
    """Return a lease whose values are what a lease has: whoever holds one may have made it by hand."""
    if not isinstance(value, ListenerLease):
        raise ValidationError(f"lease must be a ListenerLease, not {type(value).__name__}.")
    subscription: object = value.subscription
    if not isinstance(subscription, ListenerSubscription):
        kind = type(subscription).__name__
        raise ValidationError(f"lease.subscription must be a ListenerSubscription, not {kind}.")
    # What is used of it: which one it is, and how long its events are remembered.
    subscription = msgspec.structs.replace(
        subscription,
        id=_uuid(subscription.id, "lease.subscription.id"),
        config=mapping(subscription.config, "lease.subscription.config"),
    )
    return msgspec.structs.replace(
        value,
        subscription=subscription,
        runtime_id=require_runtime(value.runtime_id, "lease.runtime_id"),
        epoch=require_int(value.epoch, "lease.epoch", 0, 2**63 - 1),
    )


def parse_listener_cursor(value: object) -> ListenerCursor:
    """Check a cursor: a struct, a mapping, or a model that offers ``model_dump``."""
    document = _document(value, "cursor", ListenerCursor)
    document.pop("updated_at", None)  # saving sets it
    return ListenerCursor(**_checked(document, "cursor", _CURSOR_FIELDS, {"subscription_id"}))


def parse_listener_payload(value: object) -> ListenerDispatchPayload:
    """Check an event: a struct, a mapping, or a model that offers ``model_dump``.

    Events are records: hostile texts are normalised, not refused.
    """
    document = _document(value, "payload", ListenerDispatchPayload)
    return ListenerDispatchPayload(
        **_checked(document, "payload", _PAYLOAD_FIELDS, _PAYLOAD_REQUIRED)
    )


def dedupe_seconds(config: Mapping[str, Any]) -> int:
    """Return how long a listener with this config remembers the keys of its events.

    The config belongs to the graph's author: what is not a number there means the default.
    """
    value = config.get("dedupe_window_seconds")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return LISTENER_DEDUPE_SECONDS
    try:
        seconds = int(value)
    except (ValueError, OverflowError):
        return LISTENER_DEDUPE_SECONDS
    return min(max(seconds, 0), LONGEST_DEDUPE_SECONDS)


def stored_dedupe_key(key: str) -> str:
    """Return the form in which a dedupe key is stored and compared: a digest if it is very long."""
    text = clean_text(key)
    encoded = text.encode()
    if len(encoded) <= LONGEST_DEDUPE_KEY:
        return text
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


class _Identity(NamedTuple):
    platform: str
    node_name: str
    bot_identity_key: str


_NOT_CONFIG = frozenset({"name", "node_name", "type", "platform"})
_IDENTIFYING = ("token", "app_id", "credential_ref")


def _entries(graph: object) -> list[Mapping[str, Any]]:
    index = graph.get("index") if isinstance(graph, Mapping) else None
    entries = index.get("listeners") if isinstance(index, Mapping) else None
    if not isinstance(entries, list | tuple):
        return []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _identify(entry: Mapping[str, Any], platforms: Mapping[str, str]) -> _Identity | None:
    platform = platforms.get(_text(entry.get("platform")).strip().lower())
    name = _text(entry.get("node_name")) or _text(entry.get("name"))
    if platform is None or not name.strip():
        return None
    explicit = _text(entry.get("bot_identity_key")).strip()
    texts = (_text(entry.get(field)).strip() for field in _IDENTIFYING)
    # The name is not trimmed here: clients compute the same identity from it as it is.
    identity = explicit or f"{platform}:{next(filter(None, texts), name)}"
    return _Identity(platform, name.strip(), identity)


def _text(value: object) -> str:
    return str.__str__(value) if isinstance(value, str) else ""


def _platform_name(value: object) -> str:
    name = require_text(value, "Listener platform").strip().lower()
    if not name:
        raise ValidationError("Listener platform must not be empty.")
    return name


def _document(value: object, field: str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    if isinstance(value, struct):
        return msgspec.structs.asdict(value)
    return known_fields(mapping(value, field), field, struct.__struct_fields__)


def _checked(
    document: dict[str, Any], field: str, checks: Mapping[str, Check], required: Collection[str]
) -> dict[str, Any]:
    for name in checks:
        if name in required and name not in document:
            raise ValidationError(f"{field}.{name} is required.")
    return {name: checks[name](item, f"{field}.{name}") for name, item in document.items()}


def _uuid(value: object, field: str) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(require_text(value, field))
    except ValueError:
        raise ValidationError(f"{field} must be a UUID.") from None


def _optional_uuid(value: object, field: str) -> UUID | None:
    return None if value is None else _uuid(value, field)


def _number(value: object, field: str) -> int | None:
    return None if value is None else require_int(value, field, -(2**63), 2**63 - 1)


def _event_text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{field} must be text, not {type(value).__name__}.")
    return clean_text(value)


def _optional_event_text(value: object, field: str) -> str | None:
    return None if value is None else _event_text(value, field)


def _message(value: object, field: str) -> ListenerDispatchMessage:
    document = _document(value, field, ListenerDispatchMessage)
    return ListenerDispatchMessage(**_checked(document, field, _MESSAGE_FIELDS, ()))


_CURSOR_FIELDS: dict[str, Check] = {
    "subscription_id": _uuid,
    "telegram_offset": _number,
    "discord_session_id": optional_text,
    "discord_sequence": _number,
    "discord_resume_gateway_url": optional_text,
    "qq_session_id": optional_text,
    "qq_sequence": _number,
    "qq_resume_gateway_url": optional_text,
    "metadata": mapping,
}

_MESSAGE_FIELDS: dict[str, Check] = {
    "chat_id": _optional_event_text,
    "channel_id": _optional_event_text,
    "guild_id": _optional_event_text,
    "message_id": _optional_event_text,
    "user_id": _optional_event_text,
    "username": _optional_event_text,
    "text": _optional_event_text,
    "chat_type": _optional_event_text,
    "metadata": mapping,
}

_PAYLOAD_FIELDS: dict[str, Check] = {
    "platform": _event_text,
    "event_type": _event_text,
    "dedupe_key": _event_text,
    "bot_identity": _event_text,
    "listener_subscription_id": _optional_uuid,
    "message": _message,
    "reply_target": mapping,
    "raw_event": mapping,
    "metadata": mapping,
}
_PAYLOAD_REQUIRED = frozenset({"platform", "event_type", "dedupe_key", "bot_identity"})
