"""Manual dispatch and retries in plain Python."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from tests.state_machine.model_handoff import UNFINISHED, HandOff, utc
from tests.state_machine.model_tables import Row
from tests.state_machine.model_values import Refused, record, text_of

if TYPE_CHECKING:
    from uuid import UUID

DEFAULT_POLICY: Row = {
    "max_attempts": 3, "initial_delay_seconds": 30.0, "backoff_factor": 2.0, "max_delay_seconds": 300.0,
    "jitter_factor": 0.1,
}  # fmt: skip
JITTER_SEED = 7


class Retries(HandOff):
    """Runs that somebody asks for, and runs that try failed ones again."""

    def dispatch_manual_runs(self, request: Row, *, credentials_checked: bool = False) -> list[Row]:
        wanted, workflow_id = request["runs"], request["workflow_id"]
        ids = sorted(self.new_id() for _ in wanted)
        payloads = [record(item.get("input_payload", {})) for item in wanted]
        self._active(workflow_id)
        latest = self._latest(workflow_id)
        if latest is None:
            raise Refused("WorkflowVersionNotFoundError", str(workflow_id))
        if self.gate and not credentials_checked:
            self._check_credentials(workflow_id)
        asked = [item.get("workflow_version_id") or latest["id"] for item in wanted]
        own = {version["id"]: version for version in self._versions(workflow_id)}
        for alien in sorted(set(asked) - own.keys()):
            raise Refused("WorkflowVersionNotFoundError", str(alien))
        label = (request.get("label") or "").strip()
        label = label or ("manual" if len(wanted) == 1 else "manual_batch")
        actor = request.get("actor", "manual").strip()
        return [
            self._hand_off(own[version_id], label, payload, actor, run_id=run_id)
            for version_id, payload, run_id in zip(asked, payloads, ids, strict=True)
        ]

    # --- policies

    def configure_retry_policy(
        self, workflow_id: UUID, config: Row, *, actor: str = "system"
    ) -> Row:
        text_of(actor, "actor")
        policy = {**DEFAULT_POLICY, **config}
        self.get_workflow(workflow_id)
        if self.tables.policies.get(workflow_id) != policy:
            self.tables.policies[workflow_id] = policy
            self._note(workflow_id, actor, "retry_policy_configured")
        return policy

    def get_retry_policy_config(self, workflow_id: UUID) -> Row:
        self.get_workflow(workflow_id)
        return self.tables.policies.get(workflow_id, DEFAULT_POLICY)

    # --- decisions

    def _chain(self, run_id: UUID) -> UUID:
        """Return the first run of the chain that a run belongs to."""
        own = (d for d in self.tables.retries.values() if d["run_id"] == run_id)
        first: UUID = next((decision["first_run_id"] for decision in own), run_id)
        return first

    def list_run_retries(self, run_id: UUID) -> list[Row]:
        first = self._chain(run_id)
        decisions = [d for d in self.tables.retries.values() if d["first_run_id"] == first]
        return sorted(decisions, key=lambda d: int(d["retry_number"]))

    def schedule_retry_for_run(
        self, run_id: UUID, *, failed_at: datetime | None = None
    ) -> Row | None:
        run = self.get_run(run_id)
        about = [d for d in self.tables.retries.values() if d["failed_run_id"] == run_id]
        if run["status"] in ("succeeded", "cancelled") or any(d["status"] == "done" for d in about):
            return None
        policy = self.tables.origins[run_id]["policy"] or DEFAULT_POLICY
        number = max((d["retry_number"] for d in self.list_run_retries(run_id)), default=0) + 1
        if number >= policy["max_attempts"]:
            return None
        delay = _delay(policy, number)
        decision = {
            "retry_number": number,
            "scheduled_for": utc(failed_at or self.now()) + timedelta(seconds=delay),
            "delay_seconds": delay,
        }
        first = self._chain(run_id)
        for other in about:
            if other["status"] == "waiting":
                self._decide(other, status="superseded")
        of = {"first_run_id": first, "failed_run_id": run_id, "run_id": None, "status": "waiting"}
        self._decide({**of, **decision, "created_at": self.now()})
        return decision

    def _decide(self, decision: Row, **changes: Any) -> None:
        key = (decision["first_run_id"], decision["retry_number"])
        self.tables.retries[key] = {**decision, **changes}

    # --- dispatch

    def dispatch_due_retries(self, *, now: datetime | None = None, limit: int = 100) -> list[Row]:
        if self.units:
            raise Refused("TransactionError", "retries are dispatched outside of units of work")
        until = utc(now or self.now())
        created: list[Row] = []
        seen: set[tuple[UUID, int]] = set()
        while len(created) < limit:
            wanted = limit - len(created)
            # Listed in batches: what begins while one is worked off is noticed only then.
            due = [
                d for d in self._due(until) if (d["first_run_id"], d["retry_number"]) not in seen
            ]
            batch = due[:wanted]
            seen |= {(d["first_run_id"], d["retry_number"]) for d in batch}
            created += self._try_all_again(batch)
            if len(due) < wanted:
                break
        return created

    def _try_all_again(self, batch: list[Row]) -> list[Row]:
        """Credentials are asked once for a workflow, so its retries come one after the other."""
        failed = [d for d in batch if self.tables.runs[d["failed_run_id"]]["status"] == "failed"]
        for decision in batch:
            if decision not in failed:
                self._decide(decision, status="dropped")
        made: dict[UUID, Row] = {}
        for workflow_id in dict.fromkeys(self._of(d) for d in failed):
            if self._is_unhealthy(workflow_id):
                continue
            for decision in [d for d in failed if self._of(d) == workflow_id]:
                if run := self._try_again(decision):
                    made[decision["failed_run_id"]] = run
        return [made[d["failed_run_id"]] for d in batch if d["failed_run_id"] in made]

    def _due(self, until: datetime) -> list[Row]:
        due = [
            d
            for d in self.tables.retries.values()
            if d["status"] == "waiting"
            and d["scheduled_for"] <= until
            and self.tables.runs[d["failed_run_id"]]["status"] not in UNFINISHED
            and not self.get_workflow(self._of(d))["is_archived"]
            and not self._would_overlap(d)
        ]
        return sorted(due, key=lambda d: (d["scheduled_for"], d["first_run_id"], d["retry_number"]))

    def _of(self, decision: Row) -> UUID:
        return self._workflow_of(self.tables.runs[decision["failed_run_id"]])

    def _would_overlap(self, decision: Row) -> bool:
        """A retry of a scheduled run takes part in the schedule's overlap rule."""
        schedule_id = self.tables.origins[decision["failed_run_id"]]["schedule_id"]
        schedule = self.tables.schedules.get(self._of(decision))
        if not schedule or schedule["schedule_id"] != schedule_id:
            return False
        return not schedule["config"]["allow_overlapping"] and self._is_busy(schedule_id)

    def _try_again(self, decision: Row) -> Row | None:
        failed = self.tables.runs[decision["failed_run_id"]]
        run_id = self.new_id()
        if self._would_overlap(decision):
            return None
        origin = self.tables.origins[failed["id"]]
        run = self._hand_off(
            self.tables.versions[failed["workflow_version_id"]], "retry", failed["input_payload"], run_id=run_id,
            config=failed["runnable_config"], policy=origin["policy"], schedule_id=origin["schedule_id"],
        )  # fmt: skip
        self._decide(decision, status="done", run_id=run_id)
        return run


def _delay(policy: Row, number: int) -> float:
    cap = policy["max_delay_seconds"]
    delay = policy["initial_delay_seconds"] * policy["backoff_factor"] ** (number - 1)
    delay = float(delay if cap is None else min(delay, cap))
    spread = delay * policy["jitter_factor"]
    if spread:
        delay += Random(JITTER_SEED).uniform(-spread, spread)
    return max(delay if cap is None else min(delay, cap), 0.0)
