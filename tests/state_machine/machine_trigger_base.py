"""What all rules about triggers stand on: workflows with triggers to begin with, and ways to pick from what there is."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.state_machine import inputs_triggers as inputs
from tests.state_machine.machine_base import MachineBase, _pick
from tests.state_machine.model_handoff import UNFINISHED, TriggerTables
from tests.state_machine.model_runtimes import TriggerModel
from tests.state_machine.model_tables import Row, age
from tests.state_machine.sides import for_library

if TYPE_CHECKING:
    from datetime import datetime, timedelta

workflows = st.integers(0, 9)
MOST_WORKFLOWS = 4


class TriggerBase(MachineBase):
    """Drives the three sides; what it was handed out, it keeps: leases and claims grow stale in its hands."""

    outcomes: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.leases: list[Row] = []
        self.claims: list[Row] = []

    @initialize(begin=st.sampled_from(inputs.BEGINNINGS), shape=st.integers(0, 2**16))
    def populate(self, begin: datetime, shape: int) -> None:
        """Begin with workflows that have some of each trigger."""
        chance = random.Random(shape)
        self.sides.clock.time = begin
        for number in range(chance.choice([2, 3, 2, 1])):
            self._add_workflow(f"flow {number}")
            workflow = list(self.tables.workflows)[-1]
            listeners = chance.sample(inputs.ENTRIES[:3], 2)
            if chance.random() < 0.9:
                self._add_version(workflow, {"index": {"listeners": listeners}})
            if chance.random() < 0.8:
                self._do("configure_cron_trigger", workflow, chance.choice(inputs.CRONS))
            if chance.random() < 0.8:
                self._do("configure_webhook_trigger", workflow, chance.choice(inputs.WEBHOOKS[:10]))
            if chance.random() < 0.5:
                policy = {"max_attempts": 5, "initial_delay_seconds": 0.0}
                self._do("configure_retry_policy", workflow, policy)

    def _add_workflow(self, name: str) -> None:
        self._do(
            "create_workflow", name=name, slug=None, description=None, tags=None, draft_access="personal", actor="ada"
        )  # fmt: skip

    def _add_version(self, workflow: UUID, graph: Row) -> None:
        config = {"tags": ["v"]} if len(self.tables.versions) % 2 else None
        self._do(
            "create_version", workflow, graph=graph, metadata={}, notes=None, runnable_config=config, created_by="ada"
        )  # fmt: skip

    # --- asking all three

    @property
    def model(self) -> TriggerModel:
        return cast("TriggerModel", self.sides.model)

    @property
    def tables(self) -> TriggerTables:
        return self.model.tables

    def _do(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call one method on all three, and return what the model returns; None when it refuses."""
        kept: list[Any] = [None]
        given = [for_library(value) for value in args]
        named = {name: for_library(value) for name, value in kwargs.items()}

        def expected() -> Any:
            kept[0] = getattr(self.model, method)(*args, **kwargs)
            return kept[0]

        outcome = self.sides.compare(
            method,
            lambda side: getattr(side.unit.workflows, method)(*given, **named),
            expected,
        )
        what = outcome[1] if outcome[0] == "error" else _kind(outcome[1])
        self.outcomes[f"{method}: {what}"] = self.outcomes.get(f"{method}: {what}", 0) + 1
        return kept[0]

    def _step(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        type(self).steps += 1
        return self._do(method, *args, **kwargs)

    # --- picking what is there

    def _workflow(self, pick: int) -> UUID:
        """Return a workflow; seldom one that is missing."""
        return _pick(list(self.tables.workflows), 30 if pick == 9 else pick)

    def _versioned(self, pick: int) -> UUID:
        """Return a workflow that may start runs, if there is one."""
        able = [w for w in self.tables.workflows if self.model._latest(w)]
        able = [w for w in able if not self.tables.workflows[w]["is_archived"]] or able
        return _pick(able, pick) if pick < 8 else self._workflow(pick)

    def _run(self, pick: int, *statuses: str) -> UUID:
        """Return a run, of these states if there is one; the newest first."""
        runs = sorted(self.tables.runs.values(), key=age, reverse=True)
        wanted = [run["id"] for run in runs if run["status"] in statuses]
        return _pick(wanted or [run["id"] for run in runs], pick)

    def _subscription(self, pick: int) -> UUID:
        """Return a subscription; those that are active first."""
        rows = sorted(self.tables.subscriptions.values(), key=age)
        rows.sort(key=lambda row: str(row["status"]))
        return _pick([row["id"] for row in rows], pick)

    def _finish_runs(self, count: int, how: str) -> None:
        """End the oldest runs that have not ended."""
        unfinished = [r for r in self.tables.runs.values() if r["status"] in UNFINISHED]
        for run in sorted(unfinished, key=age)[:count]:
            if how != "failed" and run["status"] == "pending":
                self._do("mark_run_started", run["id"], actor="worker")
            if how == "failed":
                self._do("mark_run_failed", run["id"], actor="worker", error="it broke")
            elif how == "succeeded":
                self._do("mark_run_succeeded", run["id"], actor="worker", output=None)
            else:
                self._do("mark_run_cancelled", run["id"], actor="worker", reason=None)

    def _advance(self, step: timedelta) -> None:
        self.sides.clock.time += step

    # --- the final check

    def _compare_everything(self) -> None:
        self._check_rules()
        super()._compare_everything()
        walk = self.sides.walk
        for method in ("page_cron_schedules", "page_outbox", "page_listener_subscriptions"):
            walk(method, limit=1000)
        self.sides.call("count_outbox")
        for workflow in list(self.tables.workflows):
            self.sides.call("get_webhook_trigger_config", workflow)
            self.sides.call("get_retry_policy_config", workflow)
        for first in {first for first, _ in self.tables.retries}:
            self.sides.call("list_run_retries", first)
        for subscription in list(self.tables.subscriptions):
            self.sides.call("get_listener_cursor", subscription)

    def _check_rules(self) -> None:
        """What must be true of the model at any time, and so of both databases."""
        occurrences = [
            (origin["schedule_id"], origin["scheduled_for"])
            for origin in self.tables.origins.values()
            if origin["scheduled_for"]
        ]
        assert len(occurrences) == len(set(occurrences)), "an occurrence had two runs"
        for row in self.tables.subscriptions.values():
            archived = self.tables.workflows[row["workflow_id"]]["is_archived"]
            current = self.model._listener(row["id"])["subscription_id"] == row["id"]
            assert current or row["status"] == "disabled"
            assert not (archived and row["status"] == "active")


def _kind(value: Any) -> str:
    if isinstance(value, dict) and ("state" in value or "status" in value):
        return str(value.get("state", value.get("status")))
    if isinstance(value, list):
        return "some" if value else "none"
    return str(value) if isinstance(value, int | None) else "a value"
