"""What all rules of the state machine stand on: a world to begin with, ways to pick from it, and the final check."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize
from tests.state_machine import inputs
from tests.state_machine.model_values import Refused

if TYPE_CHECKING:
    from tests.state_machine.sides import Sides

NOWHERE = UUID("00000000-0000-4000-8000-00000000dead")

picks = st.integers(0, 30)
instants = st.tuples(picks, st.sampled_from([0, 0, 1, -1]))
limits = st.sampled_from([2, 1, 3, 50, 1000, 0])
actors = inputs.mostly(inputs.ACTORS, inputs.BAD_ACTORS)


class MachineBase(RuleBasedStateMachine):
    """Drives the three sides; `steps` counts the rules that were executed."""

    sides: ClassVar[Sides]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.sides.start_over()

    def teardown(self) -> None:
        while self.in_unit:
            self._end(keep=False)
        self._compare_everything()
        self.sides.check_files()
        self.sides.start_over()
        self.sides.check_emptiness()

    @initialize(size=st.sampled_from([3, 4, 5, 4, 3, 2, 0]), shape=st.integers(0, 2**16))
    def populate(self, size: int, shape: int) -> None:
        """Begin with something to work on: a few workflows, with versions, and runs in every state."""
        chance = random.Random(shape)
        for number in range(size):
            self.sides.call(
                "create_workflow", name=chance.choice(inputs.NAMES), slug=None, draft_access="personal", actor="ada",
                handle=chance.choice([None, f"h{number}", *inputs.HANDLES]),
                description=chance.choice([None, *inputs.DESCRIPTIONS]), tags=chance.choice(inputs.TAGS),
            )  # fmt: skip
            self.sides.clock.advance(chance.choice([0, 1]))
        for workflow in [*self.sides.model.tables.workflows] * 2:
            if chance.random() < 0.8:
                self.sides.call(
                    "create_version", workflow, graph={"a": chance.choice(inputs.LEAVES)}, metadata={}, notes=None,
                    runnable_config=inputs.some_config(chance), created_by="ada",
                )  # fmt: skip
        for version in list(self.sides.model.tables.versions.values()) * 3:
            self._populate_run(version, chance)
        for number, workflow in enumerate(self.sides.model.tables.workflows):
            # Two or more share a handle, as only archived ones may.
            if number in (1, 2) or chance.random() < 0.3:
                self.sides.call(
                    "update_workflow", workflow, name=None, description=None, tags=None,
                    handle=chance.choice([None, "shared", "shared"]), is_archived=True, actor="ada",
                )  # fmt: skip
                self.sides.clock.advance(chance.choice([0, 1]))

    def _populate_run(self, version: dict[str, Any], chance: random.Random) -> None:
        self._set_gate(on=False)
        created = self.sides.call(
            "create_run", version["workflow_id"], workflow_version_id=version["id"],
            triggered_by=chance.choice(inputs.TRIGGERS),
            input_payload={"a": chance.choice(inputs.LEAVES), "b": chance.choice(inputs.LEAVES)},
            runnable_config=chance.choice([None, inputs.some_config(chance)]),
        )  # fmt: skip
        if created[0] == "error":
            return
        run = UUID(created[1]["id"])
        self.sides.clock.advance(chance.choice([0, 0, 1]))
        if chance.random() < 0.7:
            self.sides.call("mark_run_started", run, actor="worker")
            if chance.random() < 0.5:
                output = {"b": chance.choice(inputs.LEAVES)}
                self.sides.call("mark_run_succeeded", run, actor="worker", output=output)

    # --- picking what is there

    @property
    def in_unit(self) -> bool:
        return bool(self.sides.model.units)

    def _workflow(self, pick: int) -> UUID:
        """Return a workflow; seldom one that is missing."""
        return _pick(list(self.sides.model.tables.workflows), pick)

    def _version(self, pick: int) -> UUID:
        return _pick(list(self.sides.model.tables.versions), pick)

    def _run(self, pick: int) -> UUID:
        return _pick(list(self.sides.model.tables.runs), pick)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> None:
        type(self).steps += 1
        self.sides.call(method, *args, **kwargs)

    def _walk(self, method: str, *args: Any, **kwargs: Any) -> None:
        type(self).steps += 1
        self.sides.walk(method, *args, **kwargs)

    # --- what rules share

    def _set_gate(self, *, on: bool) -> None:
        self.sides.model.gate = on
        for side in self.sides.all:
            side.unit.workflows.credentials = self.sides.credentials if on else None

    def _instant(self, near: tuple[int, int] | None) -> datetime | None:
        """Return the time of a run, or near it; odd ones without their zone."""
        if near is None:
            return None
        pick, offset = near
        times = sorted({r["created_at"] for r in self.sides.model.tables.runs.values()})
        base = times[pick % len(times)] if times else self.sides.clock()
        instant: datetime = base + timedelta(microseconds=offset)
        return instant.replace(tzinfo=None) if pick % 2 else instant.astimezone(UTC)

    def _end(self, *, keep: bool) -> None:
        model = self.sides.model
        self.sides.compare(
            "end", lambda side: side.end(keep=keep), model.keep if keep else model.undo
        )

    def _compare_everything(self) -> None:
        call, walk, tables = self.sides.call, self.sides.walk, self.sides.model.tables
        call("list_workflows", include_archived=True)
        walk("page_runs", limit=1000)
        call("count_runs_by_status")
        for workflow in list(tables.workflows):
            walk("page_audit_records", workflow, limit=1000)
            call("list_versions", workflow)


def _pick(known: list[UUID], pick: int) -> UUID:
    return known[pick % len(known)] if known and pick < 30 else NOWHERE


def refuse(kind: str, text: str) -> None:
    raise Refused(kind, text)
