"""Cron schedules in plain Python; of the library, only when an expression is due next."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.state_machine.model_handoff import utc
from tests.state_machine.model_retries import Retries
from tests.state_machine.model_tables import Row
from tests.state_machine.model_values import Refused, text_of

from orcheo_sql.rules import next_occurrence
from orcheo_sql.structs import CronTriggerConfig

if TYPE_CHECKING:
    from uuid import UUID

UNSEEN = datetime(1, 1, 1, tzinfo=UTC)
POISON = "nonsense"
SKEW = timedelta(minutes=1)
DEFAULT_CRON: Row = {
    "expression": "0 * * * *", "timezone": "UTC", "allow_overlapping": False, "start_at": None, "end_at": None,
    "misfire_policy": "fire_once", "misfire_grace_seconds": 300, "max_catch_up": 10,
}  # fmt: skip


class Schedules(Retries):
    """When workflows run by the clock."""

    def configure_cron_trigger(
        self, workflow_id: UUID, config: Row, *, actor: str = "system"
    ) -> Row:
        text_of(actor, "actor")
        schedule_id, now = self.new_id(), self.now()
        given = {key: _boundary(item) for key, item in config.items()}
        wanted = {**DEFAULT_CRON, **given}
        workflow = self.get_workflow(workflow_id)
        old = self.tables.schedules.get(workflow_id)
        if old is None or old["config"] != wanted or old["reason"]:
            born = {
                "schedule_id": schedule_id,
                "is_paused": False,
                "is_suspended": workflow["is_archived"],
                "last_dispatched_at": None,
                "created_at": now,
            }
            fresh = {"config": wanted, "next_fire_at": UNSEEN, "counted_from": now, "reason": None}
            updated_at = max(old["updated_at"], now) if old else now
            self.tables.schedules[workflow_id] = {
                **(old or born), **fresh, "is_suspended": workflow["is_archived"], "updated_at": updated_at
            }  # fmt: skip
            self._note(
                workflow_id, actor, "cron_trigger_configured", expression=wanted["expression"]
            )
        return _as_given(wanted)

    def get_cron_trigger_config(self, workflow_id: UUID) -> Row:
        return _as_given(self.get_cron_schedule(workflow_id)["config"])

    def get_cron_schedule(self, workflow_id: UUID) -> Row:
        workflow = self.get_workflow(workflow_id)
        row = self.tables.schedules.get(workflow_id)
        if row is None:
            raise Refused(
                "CronTriggerNotFoundError",
                f"No cron trigger configured for workflow {workflow_id}",
            )
        reasons = {
            "suspended": row["is_suspended"],
            "paused": row["is_paused"],
            "set_aside": row["reason"],
            "ended": row["next_fire_at"] is None,
            "active": True,
        }
        shown = ("config", "reason", "next_fire_at", "last_dispatched_at", "created_at")
        return {
            "workflow_id": workflow_id,
            "workflow_name": workflow["name"],
            "state": next(state for state, holds in reasons.items() if holds),
            **{key: row[key] for key in (*shown, "updated_at")},
        }

    def page_cron_schedules(self) -> list[Row]:
        schedules = [self.get_cron_schedule(workflow_id) for workflow_id in self.tables.schedules]
        return sorted(schedules, key=lambda s: (s["created_at"], s["workflow_id"]))

    def delete_cron_trigger(self, workflow_id: UUID, *, actor: str = "system") -> None:
        text_of(actor, "actor")
        self.get_workflow(workflow_id)
        if self.tables.schedules.pop(workflow_id, None):
            self._note(workflow_id, actor, "cron_trigger_deleted")

    def pause_cron_trigger(self, workflow_id: UUID, *, actor: str) -> Row:
        text_of(actor, "actor")
        self.get_cron_schedule(workflow_id)
        if not self.tables.schedules[workflow_id]["is_paused"]:
            self._change(workflow_id, is_paused=True, touched=True)
            self._note(workflow_id, actor, "cron_trigger_paused")
        return self.get_cron_schedule(workflow_id)

    def resume_cron_trigger(self, workflow_id: UUID, *, actor: str) -> Row:
        text_of(actor, "actor")
        self.get_cron_schedule(workflow_id)
        row = self.tables.schedules[workflow_id]
        if row["is_paused"] or row["reason"]:
            fresh = {"next_fire_at": UNSEEN, "counted_from": self.now()}
            self._change(workflow_id, is_paused=False, reason=None, **fresh, touched=True)
            self._note(workflow_id, actor, "cron_trigger_resumed")
        return self.get_cron_schedule(workflow_id)

    def _change(self, workflow_id: UUID, *, touched: bool = False, **changes: Any) -> None:
        row = {**self.tables.schedules[workflow_id], **changes}
        if touched:
            row["updated_at"] = max(row["updated_at"], self.now())
        self.tables.schedules[workflow_id] = row

    def update_workflow(self, workflow_id: UUID, **given: Any) -> Row:
        """Archiving suspends a schedule; from un-archiving on it counts anew."""
        old = self.tables.workflows.get(workflow_id)
        new = super().update_workflow(workflow_id, **given)
        moved = old is not None and old["is_archived"] != new["is_archived"]
        if moved and workflow_id in self.tables.schedules:
            fresh = {"next_fire_at": UNSEEN, "counted_from": new["updated_at"]}
            self._change(workflow_id, is_suspended=new["is_archived"], **fresh)
        return new

    def poison_schedule(self, workflow_id: UUID) -> str | None:
        """Give a schedule an expression that no rule would let in; return the config as text."""
        if workflow_id not in self.tables.schedules:
            return None
        config = {**self.tables.schedules[workflow_id]["config"], "expression": POISON}
        self._change(workflow_id, config=config)
        return json.dumps(config)

    # --- dispatch

    def dispatch_due_cron_runs(self, *, now: datetime | None = None) -> list[Row]:
        if self.units:
            raise Refused("TransactionError", "schedules are dispatched outside of units of work")
        until = utc(now or self.now())
        due = sorted(
            (row["next_fire_at"], row["created_at"], workflow_id)
            for workflow_id, row in self.tables.schedules.items()
            if row["next_fire_at"] is not None
            and row["next_fire_at"] <= until
            and not (row["is_paused"] or row["is_suspended"] or row["reason"])
            and (row["config"]["allow_overlapping"] or not self._is_busy(row["schedule_id"]))
        )
        return [run for _, _, workflow_id in due for run in self._dispatch(workflow_id, until)]

    def _dispatch(self, workflow_id: UUID, until: datetime) -> list[Row]:
        row = self.tables.schedules[workflow_id]
        config, due_since = row["config"], row["next_fire_at"]
        if config["expression"] == POISON:
            reason = f"CronValidationError: Invalid cron expression: {POISON}"
            self._change(workflow_id, reason=reason, touched=True)
            return []
        if due_since is not None and due_since < row["counted_from"]:
            # What comes before it is no concern of the schedule, unless somebody asks with a time before it.
            if until >= row["counted_from"]:
                due_since = first_from(config, row["counted_from"])
            elif due_since == UNSEEN:
                first = first_from(config, until)
                due_since = first if first is not None and first <= until else UNSEEN
            self._change(workflow_id, next_fire_at=due_since)
        version = self._latest(workflow_id)
        if due_since in (None, UNSEEN) or due_since > until or version is None:
            return []
        fire, then = plan(config, due_since, until)
        if until > self.now() + SKEW:
            by_the_clock = after(config, self.now())
            then = min((each for each in (then, by_the_clock) if each), default=None)
        if not fire:
            self._change(workflow_id, next_fire_at=then)
            return []
        if self._is_unhealthy(workflow_id):
            return []
        runs = (
            self._fire(workflow_id, version, occurrence, following)
            for occurrence, following in pairwise([*fire, then])
            if occurrence is not None
        )
        return [run for run in runs if run]

    def _fire(
        self, workflow_id: UUID, version: Row, occurrence: datetime, following: datetime | None
    ) -> Row | None:
        run_id = self.new_id()
        schedule = self.tables.schedules[workflow_id]
        self._change(workflow_id, next_fire_at=following)
        this = {"schedule_id": schedule["schedule_id"], "scheduled_for": occurrence}
        if any(
            this == {key: origin[key] for key in this} for origin in self.tables.origins.values()
        ):
            return None  # it was fired before its time
        self._change(workflow_id, last_dispatched_at=occurrence)
        payload = {
            "scheduled_for": occurrence.isoformat(), "timezone": schedule["config"]["timezone"]
        }  # fmt: skip
        return self._hand_off(version, "cron", payload, run_id=run_id, **this)


def plan(
    config: Row, due_since: datetime, until: datetime
) -> tuple[list[datetime], datetime | None]:
    """Return which of the occurrences that are due fire, and when the schedule is due next."""
    due, next_at = [due_since], after(config, due_since)
    while next_at is not None and next_at <= until:
        due.append(next_at)
        next_at = after(config, next_at)
    if config["misfire_policy"] == "catch_up":
        due = due[-config["max_catch_up"] :]
        if len(due) > 1 and not config["allow_overlapping"]:
            return due[:1], due[1]
        return due, next_at
    is_late = until - due[-1] > timedelta(seconds=config["misfire_grace_seconds"])
    if config["misfire_policy"] == "skip" and is_late:
        return [], next_at
    return due[-1:], next_at


def first_from(config: Row, now: datetime) -> datetime | None:
    """Return the first occurrence from now on; the minute (or second) that has begun counts."""
    has_seconds = len(config["expression"].split()) > 5
    begun = now.replace(microsecond=0) if has_seconds else now.replace(second=0, microsecond=0)
    return after(config, begun - timedelta(microseconds=1))


def after(config: Row, instant: datetime) -> datetime | None:
    window = (config["start_at"], config["end_at"])
    instant = instant.replace(microsecond=0)
    return _after(config["expression"], config["timezone"], *window, instant)


@lru_cache(maxsize=100_000)
def _after(
    expression: str, timezone: str, start_at: str | None, end_at: str | None, instant: datetime
) -> datetime | None:
    document = {"expression": expression, "timezone": timezone}
    window = {"start_at": start_at, "end_at": end_at}
    return next_occurrence(CronTriggerConfig.from_document(document | window), instant)


def _boundary(value: Any) -> Any:
    return (
        utc(value).astimezone(UTC).isoformat()[:19] + "Z" if isinstance(value, datetime) else value
    )


def _as_given(config: Row) -> Row:
    """Return a stored config as it is handed out: with times, not their text."""
    times = {
        key: config[key] and datetime.fromisoformat(config[key]) for key in ("start_at", "end_at")
    }
    return {**config, **times}
