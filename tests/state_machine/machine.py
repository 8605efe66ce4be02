"""The state machine: every operation of `db.workflows`, in any order, inside and outside of units of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.state_machine.machine_base import picks, refuse
from tests.state_machine.machine_runs import RunRules
from tests.state_machine.machine_workflows import WorkflowRules

from orcheo_sql import ConnectionLostError

if TYPE_CHECKING:
    from tests.state_machine.sides import Side

    from orcheo_sql import Transaction


class WorkflowMachine(WorkflowRules, RunRules):
    """All rules; here those about units of work and time."""

    @rule(levels=st.integers(1, 2))
    def begin(self, levels: int) -> None:
        type(self).steps += 1
        for _ in range(levels if len(self.sides.model.units) < 3 else 0):
            self.sides.compare("begin", lambda side: side.begin(), self.sides.model.begin)

    @precondition(lambda self: self.in_unit)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        type(self).steps += 1
        self._end(keep=keep)

    @precondition(lambda self: self.in_unit)
    @rule(pick=picks)
    def work_beside_the_unit(self, pick: int) -> None:
        """Others see what was committed; this task may not write outside of its unit."""
        type(self).steps += 1
        committed = self.sides.model.committed()
        workflow = self._workflow(pick)
        self.sides.compare(
            "read beside",
            lambda side: side.database.workflows.get_workflow(workflow),
            lambda: committed.get_workflow(workflow),
        )
        self.sides.compare(
            "list beside",
            lambda side: side.database.workflows.list_workflows(include_archived=True),
            lambda: committed.list_workflows(include_archived=True),
        )
        self.sides.compare(
            "write beside",
            lambda side: side.database.workflows.archive_workflow(workflow, actor="ada"),
            lambda: refuse(
                "TransactionError",
                "workflows.update_workflow writes beside the unit of work that is open in this task: "
                "use the unit's repositories",
            ),
        )
        self.sides.compare(
            "a second unit",
            lambda side: side.database.transaction().__aenter__(),
            lambda: refuse(
                "TransactionError",
                "a unit of work is open in this task: nest with `async with tx.transaction():`, which is a savepoint",
            ),
        )

    @precondition(lambda self: not self.in_unit and self.sides.all[0].last_unit is not None)
    @rule(pick=picks)
    def use_a_unit_that_is_over(self, pick: int) -> None:
        type(self).steps += 1
        workflow = self._workflow(pick)

        async def late(side: Side) -> Any:
            assert side.last_unit is not None
            return await side.last_unit.workflows.get_workflow(workflow)

        over = "this unit of work is over"
        self.sides.compare("too late", late, lambda: refuse("TransactionError", over))

    @precondition(lambda self: not self.in_unit)
    @rule(pick=picks, failures=st.integers(0, 2))
    def retry(self, pick: int, failures: int) -> None:
        """What fails for a passing reason leaves nothing, and is done once in the end."""
        type(self).steps += 1
        workflow = self._workflow(pick)
        left = {id(side): failures for side in self.sides.all}

        async def work(side: Side, unit: Transaction) -> Any:
            side.ids.restart(self.sides.calls)
            edited = await unit.workflows.archive_workflow(workflow, actor="retry")
            left[id(side)] -= 1
            if left[id(side)] >= 0:
                raise ConnectionLostError("passing")
            return edited

        self.sides.compare(
            "retry",
            lambda side: side.database.retry(lambda unit: work(side, unit), attempts=3),
            lambda: self.sides.model.archive_workflow(workflow, actor="retry"),
        )

    # --- time, and everything at once

    @rule(microseconds=st.sampled_from([1, 1_000_000, 3600_000_000, -1]))
    def time_passes(self, microseconds: int) -> None:
        type(self).steps += 1
        self.sides.clock.advance(microseconds)

    @rule(really=st.sampled_from([False] * 15 + [True]))
    def reset(self, really: bool) -> None:
        if really:
            self._call("reset")
        else:
            type(self).steps += 1
            self._compare_everything()
