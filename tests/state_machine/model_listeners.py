"""Listeners in plain Python: compiled from graphs, synchronised, paused, pruned."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from tests.state_machine.model_handoff import utc
from tests.state_machine.model_tables import Row, age
from tests.state_machine.model_values import Refused, record_text, text_of
from tests.state_machine.model_webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMESPACE = UUID("cb2512f5-f1d4-4883-bc6f-6d5c7a560fce")
FREE: Row = {"assigned_runtime": None, "lease_expires_at": None}


class Listeners(Webhooks):
    """Subscriptions as versions and operators make them."""

    def create_version(self, workflow_id: UUID, *, graph: Row, **given: Any) -> Row:
        version = super().create_version(workflow_id, graph=graph, **given)
        self._sync(workflow_id, version["id"], graph, version["created_by"])
        return version

    def sync_listener_subscriptions_for_version(
        self, workflow_id: UUID, workflow_version_id: UUID, graph: Row, *, actor: str
    ) -> None:
        text_of(actor, "actor")
        self.get_workflow(workflow_id)
        if workflow_version_id not in {v["id"] for v in self._versions(workflow_id)}:
            raise Refused("WorkflowVersionNotFoundError", str(workflow_version_id))
        self._sync(workflow_id, workflow_version_id, graph, actor)

    def _sync(self, workflow_id: UUID, version_id: UUID, graph: Row, actor: str) -> None:
        """Serve the listeners of a graph and no others of its workflow."""
        compiled = {
            uuid5(NAMESPACE, ":".join((str(version_id), *identity))): (identity, config)
            for identity, config in _compiled(graph)
        }
        keys = {_listener_key(workflow_id, identity) for identity, _ in compiled.values()}
        for key, listener in self.tables.listeners.items():
            if listener["workflow_id"] == workflow_id and key not in keys:
                self.tables.listeners[key] = {**listener, "subscription_id": None}
        served = self.list_listener_subscriptions(workflow_id=workflow_id, only_served=True)
        self._disable((s for s in served if s["id"] not in compiled), actor)
        for subscription_id, (identity, config) in compiled.items():
            self._serve(workflow_id, version_id, subscription_id, identity, config, actor)

    def _serve(
        self,
        workflow_id: UUID,
        version_id: UUID,
        subscription_id: UUID,
        identity: tuple[str, str, str],
        config: Row,
        actor: str,
    ) -> None:
        key = _listener_key(workflow_id, identity)
        new = {"workflow_id": workflow_id, "is_paused": False, "cursor": None}
        listener = self.tables.listeners.get(key, new)
        self.tables.listeners[key] = {**listener, "subscription_id": subscription_id}
        status = "paused" if listener["is_paused"] else "active"
        rests_as = None
        if self.tables.workflows[workflow_id]["is_archived"]:
            status, rests_as = "disabled", status
        self.tables.archived_statuses[subscription_id] = rests_as
        platform, node_name, bot = identity
        names = {"platform": platform, "node_name": node_name, "bot_identity_key": bot}
        fresh = {**names, "config": config, "status": status, "last_error": None, **FREE}
        old = self.tables.subscriptions.get(subscription_id)
        synced = "listener_subscription_synced"
        if old is None:
            of = {"workflow_id": workflow_id, "workflow_version_id": version_id}
            born = self._born(subscription_id, actor, synced)
            self.tables.subscriptions[subscription_id] = {
                **of, **fresh, "last_event_at": None, **born
            }  # fmt: skip
            self.tables.epochs[subscription_id] = {"epoch": 0, "key": key}
        else:
            self._write(self.tables.subscriptions, {**old, **fresh}, self._event(actor, synced))
            self.tables.epochs[subscription_id] = {
                **self.tables.epochs[subscription_id],
                "key": key,
            }

    def _disable(
        self, subscriptions: Iterable[Row], actor: str, at: datetime | None = None
    ) -> None:
        for row in subscriptions:
            changed_at = max(row["updated_at"], at or self.now())
            disabled = {**row, "status": "disabled", **FREE, "updated_at": changed_at}
            event = self._event(actor, "listener_subscription_disabled")
            self._write(self.tables.subscriptions, disabled, event)

    def update_workflow(self, workflow_id: UUID, **given: Any) -> Row:
        """Archiving disables what is served, and un-archiving brings it back."""
        old = self.tables.workflows.get(workflow_id)
        new = super().update_workflow(workflow_id, **given)
        if old is not None and new["is_archived"] and not old["is_archived"]:
            served = self.list_listener_subscriptions(workflow_id=workflow_id, only_served=True)
            for row in served:
                self.tables.archived_statuses[row["id"]] = row["status"]
            self._disable(served, given["actor"], new["updated_at"])
        if old is not None and old["is_archived"] and not new["is_archived"]:
            self._restore(workflow_id, given["actor"], new["updated_at"])
        return new

    def _restore(self, workflow_id: UUID, actor: str, at: datetime) -> None:
        for row in self.list_listener_subscriptions(workflow_id=workflow_id):
            status = self.tables.archived_statuses.get(row["id"])
            if status is None or self._listener(row["id"])["subscription_id"] != row["id"]:
                continue
            self.tables.archived_statuses[row["id"]] = None
            restored = {**row, "status": status, "updated_at": max(row["updated_at"], at)}
            event = self._event(actor, "listener_subscription_restored")
            self._write(self.tables.subscriptions, restored, event)

    # --- reading

    def list_listener_subscriptions(
        self, *, workflow_id: UUID | None = None, only_served: bool = False
    ) -> list[Row]:
        return [
            s
            for s in sorted(self.tables.subscriptions.values(), key=age)
            if workflow_id in (None, s["workflow_id"])
            and not (only_served and s["status"] == "disabled")
        ]

    page_listener_subscriptions = list_listener_subscriptions

    def get_listener_subscription(self, subscription_id: UUID) -> Row:
        if subscription_id not in self.tables.subscriptions:
            raise Refused("WorkflowNotFoundError", str(subscription_id))
        return self.tables.subscriptions[subscription_id]

    def page_audit_records(self, entity_id: UUID) -> list[Row]:
        if entity_id not in self.tables.subscriptions:
            return super().page_audit_records(entity_id)
        kept = self.tables.subscriptions[entity_id]["audit_log"]
        trail = self.tables.spilled.get(entity_id, []) + kept
        return [{"seq": seq, "record": record} for seq, record in enumerate(trail, 1)]

    # --- operators

    def _listener(self, subscription_id: UUID) -> Row:
        key = self.tables.epochs[subscription_id]["key"]
        return self.tables.listeners[key]

    def _set_listener(self, subscription_id: UUID, **changes: Any) -> None:
        key = self.tables.epochs[subscription_id]["key"]
        self.tables.listeners[key] = {**self.tables.listeners[key], **changes}

    def _require_current(self, subscription_id: UUID) -> Row:
        row = self.get_listener_subscription(subscription_id)
        if self._listener(subscription_id)["subscription_id"] != subscription_id:
            text = f"{subscription_id}: it is not the current subscription of its listener."
            raise Refused("ListenerNotCurrentError", text)
        return row

    def update_listener_subscription_status(
        self, subscription_id: UUID, *, status: str, actor: str, last_error: str | None = None
    ) -> Row:
        event = self._event(text_of(actor, "actor"), f"listener_subscription_status_{status}")
        row = self._require_current(subscription_id)
        if status == "active" and self.tables.workflows[row["workflow_id"]]["is_archived"]:
            text = f"{subscription_id}: its workflow is archived."
            raise Refused("ListenerNotCurrentError", text)
        if status in ("active", "paused"):
            self._set_listener(subscription_id, is_paused=status == "paused")
        self.tables.archived_statuses[subscription_id] = None
        error = row["last_error"] if last_error is None else record_text(last_error)
        changed = {"status": status, "last_error": None if status == "active" else error, **FREE}
        return self._write(self.tables.subscriptions, {**row, **changed}, event)

    def prune_listener_subscriptions(self, *, disabled_before: datetime, limit: int = 1000) -> int:
        """Those of archived workflows stay: they are the current ones of their listeners."""
        old = [
            s
            for s in self.tables.subscriptions.values()
            if s["status"] == "disabled"
            and s["updated_at"] < utc(disabled_before)
            and self._listener(s["id"])["subscription_id"] != s["id"]
        ]
        gone = sorted(old, key=lambda s: (s["updated_at"], s["id"]))[:limit]
        for row in gone:
            tables = self.tables
            for table in (
                tables.subscriptions,
                tables.epochs,
                tables.spilled,
                tables.archived_statuses,
            ):
                table.pop(row["id"], None)
        return len(gone)


def _compiled(graph: Row) -> Iterable[tuple[tuple[str, str, str], Row]]:
    index = graph.get("index")
    entries = index.get("listeners") if isinstance(index, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        platform = str(entry.get("platform")).strip().lower()
        name = entry.get("node_name") or entry.get("name") or ""
        if platform not in ("telegram", "discord", "qq") or not name.strip():
            continue
        given = [
            str(entry.get(field) or "").strip() for field in ("token", "app_id", "credential_ref")
        ]
        bot = (entry.get("bot_identity_key") or "").strip()
        bot = bot or f"{platform}:{next(filter(None, given), name)}"
        naming = ("name", "node_name", "type", "platform")
        config = {key: value for key, value in entry.items() if key not in naming}
        yield (platform, name.strip(), bot), config


def _listener_key(workflow_id: UUID, identity: tuple[str, str, str]) -> UUID:
    return uuid5(NAMESPACE, json.dumps([str(workflow_id), *identity], separators=(",", ":")))
