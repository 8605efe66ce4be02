"""What listener runtimes do, in plain Python: leases, cursors, and events that become runs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.state_machine.model_handoff import utc
from tests.state_machine.model_listeners import FREE, Listeners
from tests.state_machine.model_tables import Row
from tests.state_machine.model_values import Refused, record, text_of

if TYPE_CHECKING:
    from uuid import UUID

EMPTY_CURSOR: Row = {
    "telegram_offset": None, "discord_session_id": None, "discord_sequence": None, "discord_resume_gateway_url": None,
    "qq_session_id": None, "qq_sequence": None, "qq_resume_gateway_url": None, "metadata": {},
}  # fmt: skip
EMPTY_MESSAGE: Row = {
    "chat_id": None, "channel_id": None, "guild_id": None, "message_id": None, "user_id": None, "username": None,
    "text": None, "chat_type": None, "metadata": {},
}  # fmt: skip


class TriggerModel(Listeners):
    """Everything that `db.workflows` does, with all triggers."""

    def claim_listener_lease(
        self, subscription_id: UUID, *, runtime_id: str, lease_seconds: float
    ) -> Row | None:
        text_of(runtime_id, "runtime_id")
        now = self.now()
        row = self.tables.subscriptions.get(subscription_id)
        if row is None or row["status"] != "active":
            return None
        is_mine = row["assigned_runtime"] == runtime_id
        is_over = row["assigned_runtime"] is None or row["lease_expires_at"] <= now
        if not (is_mine or is_over):
            return None
        if is_over:
            epoch = self.tables.epochs[subscription_id]
            self.tables.epochs[subscription_id] = {**epoch, "epoch": epoch["epoch"] + 1}
        until = now + timedelta(seconds=lease_seconds)
        leased = {**row, "assigned_runtime": runtime_id, "lease_expires_at": until}
        if is_mine:
            self.tables.subscriptions[subscription_id] = leased
        else:
            event = self._event(runtime_id, "listener_subscription_claimed")
            leased = self._write(self.tables.subscriptions, leased, event)
        return self._lease(leased)

    def claim_listener_subscription(self, subscription_id: UUID, **given: Any) -> Row | None:
        lease = self.claim_listener_lease(subscription_id, **given)
        subscription: Row | None = lease and lease["subscription"]
        return subscription

    def _lease(self, row: Row) -> Row:
        return {
            "subscription": row,
            "runtime_id": row["assigned_runtime"],
            "epoch": self.tables.epochs[row["id"]]["epoch"],
            "expires_at": row["lease_expires_at"],
        }

    def _is_held(self, lease: Row) -> bool:
        subscription_id = lease["subscription"]["id"]
        row = self.tables.subscriptions.get(subscription_id)
        return (
            row is not None
            and row["assigned_runtime"] == lease["runtime_id"]
            and self.tables.epochs[subscription_id]["epoch"] == lease["epoch"]
            and row["lease_expires_at"] > self.now()
        )

    def _require_held(self, lease: Row | None) -> None:
        if lease is None or self._is_held(lease):
            return
        raise Refused(
            "ListenerLeaseLostError",
            f"Runtime {lease['runtime_id']!r} does not hold the lease of listener subscription "
            f"{lease['subscription']['id']} any more.",
        )

    def _fence(self, lease: Row | None, subscription_id: UUID) -> None:
        if lease is not None and lease["subscription"]["id"] != subscription_id:
            raise Refused(
                "ValidationError",
                f"the lease is of listener subscription {lease['subscription']['id']}, not of {subscription_id}.",
            )

    def renew_listener_lease(self, lease: Row, *, lease_seconds: float) -> Row:
        self._require_held(lease)
        subscription_id = lease["subscription"]["id"]
        until = self.now() + timedelta(seconds=lease_seconds)
        row = {**self.tables.subscriptions[subscription_id], "lease_expires_at": until}
        self.tables.subscriptions[subscription_id] = row
        return self._lease(row)

    def release_listener_subscription(
        self, subscription_id: UUID, *, runtime_id: str
    ) -> Row | None:
        text_of(runtime_id, "runtime_id")
        row = self.tables.subscriptions.get(subscription_id)
        if row is None or row["assigned_runtime"] != runtime_id:
            return None
        event = self._event(runtime_id, "listener_subscription_released")
        return self._write(self.tables.subscriptions, {**row, **FREE}, event)

    # --- cursors

    def get_listener_cursor(self, subscription_id: UUID) -> Row | None:
        if subscription_id not in self.tables.subscriptions:
            return None
        cursor: Row | None = self._listener(subscription_id)["cursor"]
        return cursor and {**cursor, "subscription_id": subscription_id}

    def save_listener_cursor(self, cursor: Row, *, lease: Row | None = None) -> Row:
        subscription_id = cursor["subscription_id"]
        self._fence(lease, subscription_id)
        self.get_listener_subscription(subscription_id)
        self._require_held(lease)
        self._require_current(subscription_id)
        saved: Row = record({**EMPTY_CURSOR, **cursor})
        saved |= {"subscription_id": subscription_id, "updated_at": self.now()}
        self._set_listener(subscription_id, cursor=saved)
        return saved

    # --- events

    def dispatch_listener_event(
        self, subscription_id: UUID, payload: Row, *, lease: Row | None = None
    ) -> Row | None:
        self._fence(lease, subscription_id)
        row = self.get_listener_subscription(subscription_id)
        self._require_held(lease)
        if row["status"] != "active":
            return None
        run_id, now = self.new_id(), self.now()
        dedupe = (self.tables.epochs[subscription_id]["key"], record(payload["dedupe_key"]))
        if self.tables.dedupe.get(dedupe, now) > now:
            return None
        self.tables.dedupe[dedupe] = now + timedelta(seconds=_window(row["config"]))
        touched = {**row, "last_event_at": now, "last_error": None}
        self.tables.subscriptions[subscription_id] = touched
        version = self.tables.versions[row["workflow_version_id"]]
        given = _as_input(payload, subscription_id)
        return self._hand_off(version, "listener", given, run_id=run_id)

    def prune_listener_dedupe(self, *, now: datetime | None = None, limit: int = 1000) -> int:
        until, dedupe = utc(now or self.now()), self.tables.dedupe
        old = sorted((expiry, key) for key, expiry in dedupe.items() if expiry <= until)
        for _, key in old[:limit]:
            del dedupe[key]
        return len(old[:limit])


def _window(config: Row) -> int:
    value = config.get("dedupe_window_seconds", 300)
    try:
        return min(max(int(value), 0), 365 * 24 * 3600)
    except (TypeError, ValueError):
        return 300


def _as_input(payload: Row, subscription_id: UUID) -> Row:
    defaults: Row = {"reply_target": {}, "raw_event": {}, "metadata": {}}
    event = record({**defaults, **payload, "listener_subscription_id": str(subscription_id)})
    event["message"] = {**EMPTY_MESSAGE, **event.get("message", {})}
    order = (
        "platform", "event_type", "dedupe_key", "bot_identity", "listener_subscription_id", "message", "reply_target",
        "raw_event", "metadata",
    )  # fmt: skip
    event = {key: event[key] for key in order}
    repeated = ("platform", "event_type", "bot_identity", "message", "reply_target", "raw_event")
    given: Row = json.loads(
        json.dumps({"listener": event, **{key: event[key] for key in repeated}})
    )
    return given
