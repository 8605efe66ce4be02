"""Training checkpoints on SQLite, PostgreSQL and a plain dictionary, side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.state_machine.records import START, drive

from orcheo_sql import JsonFilter

if TYPE_CHECKING:
    from tests.state_machine.records import Both

    from orcheo_sql import Database

WORKFLOWS = st.sampled_from(["a", "b"])
ACCURACIES = st.sampled_from([0, 0.5, 1, "0.5", None, float("nan")])


class CheckpointMachine(RuleBasedStateMachine):
    """`checkpoints` is the model: per workflow, what was recorded by number."""

    both: ClassVar[Both]

    def __init__(self) -> None:
        super().__init__()
        self.checkpoints: dict[str, dict[int, dict[str, Any]]] = {}
        self.highest: dict[str, int] = {}
        self.best: dict[str, int | None] = {}
        # Ids are drawn by each database for itself.
        self.ids: dict[tuple[str, int], list[str]] = {}
        self.both.time = START

    def teardown(self) -> None:
        for workflow in ("a", "b"):
            self.listed(workflow, 5)
            self.both.same(partial(_delete, workflow))
        self.both.check_file()

    @rule(
        workflow=WORKFLOWS,
        version=st.none() | st.integers(1, 8),
        accuracy=ACCURACIES,
        is_best=st.booleans(),
    )
    def record(self, workflow: str, version: int | None, accuracy: Any, is_best: bool) -> None:
        def work(db: Database) -> Any:
            return db.agentensor.record_checkpoint(
                workflow_id=workflow,
                runnable_config={"tags": [workflow]},
                metrics={"accuracy": accuracy},
                config_version=version,
                is_best=is_best,
            )

        sqlite, postgres = self.both.each(work)
        number = version or self.highest.get(workflow, 0) + 1
        known = self.checkpoints.setdefault(workflow, {})
        if number in known:
            assert sqlite == postgres
            assert sqlite[0] == "AgentensorVersionConflictError"
            return
        self.ids[workflow, number] = [sqlite.pop("id"), postgres.pop("id")]
        assert sqlite == postgres
        assert (sqlite["config_version"], sqlite["is_best"]) == (number, is_best)
        known[number] = {"accuracy": "NaN" if accuracy != accuracy else accuracy}
        assert sqlite["metrics"] == known[number]
        self.highest[workflow] = max(self.highest.get(workflow, 0), number)
        if is_best:
            self.best[workflow] = number

    @rule(workflow=WORKFLOWS, pick=st.integers(0, 20))
    def mark_best(self, workflow: str, pick: int) -> None:
        numbers = sorted(self.checkpoints.get(workflow, {}))
        if not numbers:
            return
        number = numbers[pick % len(numbers)]
        for database, checkpoint in zip(self.both.all, self.ids[workflow, number], strict=True):
            marked = self.both.ask(database, partial(_mark, checkpoint))
            assert (marked["config_version"], marked["is_best"]) == (number, True)
            assert self.both.ask(database, partial(_get, checkpoint)) == marked
        self.best[workflow] = number

    @rule(workflow=WORKFLOWS, keep=st.integers(0, 4), limit=st.integers(0, 3))
    def prune(self, workflow: str, keep: int, limit: int) -> None:
        known = self.checkpoints.get(workflow, {})
        kept = sorted(known, reverse=True)[:keep]
        old = [n for n in sorted(known) if n not in kept and n != self.best.get(workflow)]
        for number in old[:limit]:
            del known[number]
        gone = self.both.same(
            lambda db: db.agentensor.prune_checkpoints(workflow, keep_last=keep, limit=limit)
        )
        assert gone == len(old[:limit])

    @rule(workflow=WORKFLOWS)
    def delete(self, workflow: str) -> None:
        known = workflow in self.highest
        assert self.both.same(partial(_delete, workflow)) is known
        for table in (self.checkpoints, self.highest, self.best):
            table.pop(workflow, None)

    @rule(workflow=WORKFLOWS, size=st.integers(1, 5))
    def listed(self, workflow: str, size: int) -> None:
        numbers = sorted(self.checkpoints.get(workflow, {}), reverse=True)
        best = self.best.get(workflow)
        for database in self.both.all:
            found = self.both.ask(database, lambda db: db.agentensor.list_checkpoints(workflow))
            assert [c["config_version"] for c in found] == numbers
            assert [c["config_version"] for c in found if c["is_best"]] == ([best] if best else [])
            single = self.both.ask(database, lambda db: db.agentensor.best_checkpoint(workflow))
            assert (single and single["config_version"]) == best
            assert self._walk(database, workflow, size) == numbers

    @rule(workflow=WORKFLOWS, size=st.integers(1, 5), bound=st.sampled_from([0, 0.5, 1]))
    def filtered(self, workflow: str, size: int, bound: float) -> None:
        known = self.checkpoints.get(workflow, {})
        fitting = [
            n
            for n in sorted(known, reverse=True)
            if isinstance(known[n]["accuracy"], int | float) and known[n]["accuracy"] >= bound
        ]
        wanted = JsonFilter(where=[("accuracy", ">=", bound)])
        for database in self.both.all:
            assert self._walk(database, workflow, size, metrics_filter=wanted) == fitting

    def _walk(self, database: Database, workflow: str, size: int, **conditions: Any) -> list[int]:
        numbers: list[int] = []
        cursor = None
        while True:
            page = partial(_page, workflow, limit=size, cursor=cursor, **conditions)
            found = self.both.ask(database, page)
            numbers += [c["config_version"] for c in found["items"]]
            cursor = found["next_cursor"]
            if cursor is None:
                return numbers


async def _get(checkpoint: str, db: Database) -> Any:
    return await db.agentensor.get_checkpoint(checkpoint)


async def _mark(checkpoint: str, db: Database) -> Any:
    return await db.agentensor.mark_best_checkpoint(checkpoint)


async def _page(workflow: str, db: Database, **conditions: Any) -> Any:
    return await db.agentensor.page_checkpoints(workflow, **conditions)


async def _delete(workflow: str, db: Database) -> bool:
    return await db.agentensor.delete_checkpoints_of_workflow(workflow)


def test_both_databases_and_the_model_agree(both: Both) -> None:
    drive(CheckpointMachine, both, examples=25, steps=40)
