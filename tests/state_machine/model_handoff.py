"""What all triggers share, in plain Python: the tables, and runs that go to the outbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from tests.state_machine.model import Model
from tests.state_machine.model_tables import Row, Tables, age
from tests.state_machine.model_values import Refused, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

UNFINISHED = ("pending", "running")


@dataclass
class TriggerTables(Tables):
    """All that is stored, with what starts runs. Rows are replaced, never changed."""

    schedules: dict[UUID, Row] = field(default_factory=dict)
    webhooks: dict[UUID, Row] = field(default_factory=dict)
    signatures: dict[tuple[UUID, str], datetime | None] = field(default_factory=dict)
    policies: dict[UUID, Row] = field(default_factory=dict)
    retries: dict[tuple[UUID, int], Row] = field(default_factory=dict)
    outbox: dict[UUID, Row] = field(default_factory=dict)
    # Of each run what nobody is shown: policy, schedule, occurrence, whether it was handed off.
    origins: dict[UUID, Row] = field(default_factory=dict)
    listeners: dict[UUID, Row] = field(default_factory=dict)
    subscriptions: dict[UUID, Row] = field(default_factory=dict)
    # Of each subscription: its listener's key, and the epoch of its lease.
    epochs: dict[UUID, Row] = field(default_factory=dict)
    archived_statuses: dict[UUID, str | None] = field(default_factory=dict)
    """What a subscription is again when its workflow is un-archived."""
    dedupe: dict[tuple[UUID, str], datetime] = field(default_factory=dict)


class HandOff(Model):
    """Runs, the outbox, and the sweeps."""

    kind: ClassVar[type[Tables]] = TriggerTables
    tables: TriggerTables

    # --- runs

    def create_run(self, workflow_id: UUID, *, hand_off: bool = False, **given: Any) -> Row:
        run = super().create_run(workflow_id, **given)
        self._remember(run, workflow_id, handed_off=hand_off)
        return run

    def _hand_off(
        self, version: Row, triggered_by: str, payload: Row, actor: str | None = None, **more: Any
    ) -> Row:
        """Create a run that a trigger starts, in the outbox."""
        run_id, config = more.pop("run_id", None), more.pop("config", None)
        actor = actor or triggered_by
        run = self._add_run(version, triggered_by, payload, actor, config, run_id)
        self._remember(run, version["workflow_id"], handed_off=True, **more)
        return run

    def _remember(self, run: Row, workflow_id: UUID, *, handed_off: bool, **more: Any) -> None:
        policy = self.tables.policies.get(workflow_id)
        unscheduled = {"schedule_id": None, "scheduled_for": None}
        origin = {"policy": policy, "handed_off": handed_off, **unscheduled, **more}
        self.tables.origins[run["id"]] = origin
        if handed_off:
            self._offer(run["id"])

    def _offer(self, run_id: UUID) -> None:
        now = self.now()
        nobody = {"claim_id": None, "consumer": None, "attempts": 0}
        self.tables.outbox[run_id] = {**nobody, "available_at": now, "created_at": now}

    def _latest(self, workflow_id: UUID) -> Row | None:
        versions = self._versions(workflow_id)
        return versions[-1] if versions else None

    def _is_busy(self, schedule_id: UUID) -> bool:
        """Say whether a run of a schedule has not ended."""
        return any(
            origin["schedule_id"] == schedule_id
            and self.tables.runs[run_id]["status"] in UNFINISHED
            for run_id, origin in self.tables.origins.items()
        )

    def _is_unhealthy(self, workflow_id: UUID) -> bool:
        return self.gate and workflow_id in self.unhealthy

    def _note(self, workflow_id: UUID, actor: str, action: str, **metadata: Any) -> None:
        """Record in the workflow what was done to one of its triggers."""
        event = self._event(actor, action, metadata)
        self._write(self.tables.workflows, self.tables.workflows[workflow_id], event)

    def _is_kept(self, run_id: UUID) -> bool:
        """A chain of retries that goes on counts by its runs."""
        ids = ("first_run_id", "failed_run_id", "run_id")
        retries = self.tables.retries.values()
        own = {d["first_run_id"] for d in retries if run_id in [d[key] for key in ids]}
        return any(
            d["status"] == "waiting"
            or (d["run_id"] and self.tables.runs[d["run_id"]]["status"] in ("pending", "running"))
            for d in retries
            if d["first_run_id"] in own
        )

    def prune_runs(self, *, created_before: datetime, limit: int = 1000) -> int:
        """What belongs to a run goes with it."""
        count = super().prune_runs(created_before=created_before, limit=limit)
        tables, runs = self.tables, self.tables.runs
        tables.origins = {key: row for key, row in tables.origins.items() if key in runs}
        tables.outbox = {key: row for key, row in tables.outbox.items() if key in runs}
        tables.retries = {
            key: row
            for key, row in tables.retries.items()
            if {row["first_run_id"], row["failed_run_id"], row["run_id"]} - {None} <= runs.keys()
        }
        return count

    # --- the outbox

    def _entry(self, run_id: UUID) -> Row:
        run = self.tables.runs[run_id]
        same = {key: run[key] for key in ("workflow_version_id", "triggered_by", "status")}
        own = {"run_id": run_id, "workflow_id": self._workflow_of(run)}
        return {**own, **same, **self.tables.outbox[run_id]}

    def page_outbox(self) -> list[Row]:
        """A list hands out no claims."""
        entries = [{**self._entry(run_id), "claim_id": None} for run_id in self.tables.outbox]
        return sorted(entries, key=lambda e: (e["available_at"], e["run_id"]))

    def count_outbox(self) -> Row:
        now, rows = self.now(), self.tables.outbox.values()
        return {
            "total": len(rows),
            "offered": sum(r["available_at"] <= now for r in rows),
            "claimed": sum(r["available_at"] > now and r["claim_id"] is not None for r in rows),
        }

    def claim_outbox(
        self, *, consumer: str, limit: int = 10, lease_seconds: float = 60
    ) -> list[Row]:
        claim_id, now = self.new_id(), self.now()
        until = now + timedelta(seconds=lease_seconds)
        mine = {"claim_id": claim_id, "consumer": text_of(consumer, "consumer")}
        offered = [e["run_id"] for e in self.page_outbox() if e["available_at"] <= now][:limit]
        for run_id in offered:
            row = self.tables.outbox[run_id]
            attempts = row["attempts"] + 1
            self.tables.outbox[run_id] = {
                **row, **mine, "available_at": until, "attempts": attempts
            }  # fmt: skip
        claimed = [self._entry(run_id) for run_id in offered]
        return sorted(claimed, key=lambda e: (e["created_at"], e["run_id"]))

    def _held(self, entries: Sequence[Row]) -> set[UUID]:
        """Return the runs whose claims these entries are."""
        for entry in entries:
            if entry["claim_id"] is None:
                text = f"run {entry['run_id']}: only an entry that claim_outbox returned is a claim"
                raise Refused("ValidationError", text)
        held = set()
        for entry in entries:
            row = self.tables.outbox.get(entry["run_id"])
            if row and row["claim_id"] == entry["claim_id"]:
                held.add(entry["run_id"])
        return held

    def acknowledge_outbox(self, entries: Sequence[Row]) -> int:
        held = self._held(entries)
        for run_id in held:
            del self.tables.outbox[run_id]
        return len(held)

    def release_outbox(self, entries: Sequence[Row], *, delay_seconds: float = 0) -> int:
        held = self._held(entries)
        free = {"claim_id": None, "consumer": None}
        until = self.now() + timedelta(seconds=delay_seconds)
        for run_id in held:
            row = self.tables.outbox[run_id]
            self.tables.outbox[run_id] = {**row, **free, "available_at": until}
        return len(held)

    def sweep_outbox(self, *, pending_for: timedelta | float, limit: int = 1000) -> int:
        lost = [
            run["id"]
            for run in sorted(self.tables.runs.values(), key=age)
            if run["status"] == "pending"
            and self.tables.origins[run["id"]]["handed_off"]
            and run["created_at"] < self.now() - span(pending_for)
            and run["id"] not in self.tables.outbox
        ][:limit]
        for run_id in lost:
            self._offer(run_id)
        return len(lost)

    def sweep_stale_runs(
        self,
        *,
        stale_for: timedelta | float,
        status: str = "running",
        limit: int = 100,
        actor: str,
        reason: str = "abandoned: its worker has not reported for too long",
    ) -> list[Row]:
        if status not in UNFINISHED:
            raise Refused("ValidationError", f"status must be running or pending, got {status!r}")
        event = self._event(text_of(actor, "actor"), "run_failed", {"error": reason})
        stale = [
            run
            for run in sorted(self.tables.runs.values(), key=age)
            if run["status"] == status and run["updated_at"] < self.now() - span(stale_for)
        ]
        return [self._finish(run, "failed", event, error=reason) for run in stale[:limit]]


def span(value: timedelta | float) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
