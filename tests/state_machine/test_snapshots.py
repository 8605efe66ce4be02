"""Run snapshots on SQLite, PostgreSQL and a plain dictionary, side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.state_machine.records import START, drive

from orcheo_sql.codecs.encode import instant_text

if TYPE_CHECKING:
    from datetime import datetime

    from tests.state_machine.records import Both

    from orcheo_sql import Database

RUNS = st.sampled_from(["a", "B", "b", "é", "日", "run 10", "run 9"])
STATUSES = st.sampled_from(["running", "complete", "failed", ""])
WORDS = ["refactor", "billing", "module", "東京"]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["x", "y", 'é"\\'])
)
STATES = st.fixed_dictionaries(
    {},
    optional={
        "objective": st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
        "run_id": st.sampled_from(["thread 1", "thread 2"]),
        "tags": st.lists(st.sampled_from(["p", "q"]), max_size=2),
        "tasks": st.lists(
            st.fixed_dictionaries({"status": st.sampled_from(["planned", "active", "odd"])}),
            max_size=3,
        ),
        "n": LEAVES,
        "nested": st.dictionaries(st.sampled_from(["k", "l"]), LEAVES, max_size=2),
        "_workspace_path": st.sampled_from(["", "/work"]),
        "_private": LEAVES,
        "orch_config": LEAVES,
    },
)
FILTERS = st.sampled_from(
    [{}, {"n": 1}, {"n": None}, {"nested": {}}, {"nested": {"k": 2}}, {"tags": ["p"]}]
)


class SnapshotMachine(RuleBasedStateMachine):
    both: ClassVar[Both]

    def __init__(self) -> None:
        super().__init__()
        self.summaries: dict[str, dict[str, Any]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.both.time = START

    def teardown(self) -> None:
        for run in self.summaries:
            assert self.both.same(partial(_delete, run)) is True
        assert self.both.same(lambda db: db.snapshots.list_all_runs()) == []
        self.both.check_file()

    @rule(microseconds=st.sampled_from([0, 1, 1_000_000, -1]))
    def time_passes(self, microseconds: int) -> None:
        self.both.advance(microseconds)

    @rule(run=RUNS, state=STATES, status=STATUSES)
    def save(self, run: str, state: dict[str, Any], status: str) -> None:
        saved = self.both.same(lambda db: db.snapshots.save_run_state(run, state, status))
        last = self.summaries.get(run)
        counts = dict.fromkeys(("planned", "ready", "active", "complete", "failed"), 0)
        for task in state.get("tasks", ()):
            if task["status"] in counts:
                counts[task["status"]] += 1
        self.summaries[run] = {
            "run_id": run,
            "thread_id": state.get("run_id", run),
            "objective": state.get("objective", ""),
            "status": status,
            "workspace_path": state.get("_workspace_path", ""),
            "task_counts": counts,
            "tags": state.get("tags", []),
            "created_at": last["created_at"] if last else self._now(),
            "updated_at": max(last["updated_at"], self._now()) if last else self._now(),
        }
        self.states[run] = {
            k: v for k, v in state.items() if not k.startswith("_") and k != "orch_config"
        }
        assert saved == {"summary": self.summaries[run], "dropped": []}

    @rule(run=RUNS, status=STATUSES)
    def set_status(self, run: str, status: str) -> None:
        found = self.both.same(lambda db: db.snapshots.update_run_status(run, status))
        assert found is (run in self.summaries)
        if found:
            summary = self.summaries[run]
            summary["status"] = status
            summary["updated_at"] = max(summary["updated_at"], self._now())

    @rule(run=RUNS)
    def delete(self, run: str) -> None:
        found = self.both.same(lambda db: db.snapshots.delete_run(run))
        assert found is (self.summaries.pop(run, None) is not None)
        self.states.pop(run, None)

    @rule(run=RUNS)
    def load(self, run: str) -> None:
        state = self.both.same(lambda db: db.snapshots.load_run_state(run))
        expected = self.states.get(run)
        if expected is not None and self.summaries[run]["workspace_path"]:
            expected = {**expected, "_workspace_path": self.summaries[run]["workspace_path"]}
        assert state == expected
        summary = self.both.same(lambda db: db.snapshots.load_run_summary(run))
        assert summary == self.summaries.get(run)

    @rule()
    def list_all(self) -> None:
        assert self.both.same(lambda db: db.snapshots.list_all_runs()) == self._listed()

    @rule(size=st.integers(1, 4), status=st.none() | STATUSES, wanted=st.none() | FILTERS)
    def page(self, size: int, status: str | None, wanted: dict[str, Any] | None) -> None:
        def fits(run: dict[str, Any]) -> bool:
            return (status is None or run["status"] == status) and (
                wanted is None or _contains(self.states[run["run_id"]], wanted)
            )

        found = self._walk(
            lambda db, cursor: db.snapshots.page_runs(
                status=status, state_filter=wanted, limit=size, cursor=cursor
            )
        )
        assert found == [run for run in self._listed() if fits(run)]

    @rule(word=st.sampled_from(WORDS), size=st.integers(1, 4))
    def search(self, word: str, size: int) -> None:
        found = self._walk(
            lambda db, cursor: db.snapshots.search_runs(word, limit=size, cursor=cursor)
        )
        assert found == [run for run in self._listed() if word in run["objective"].split()]

    def _walk(self, page: Any) -> list[Any]:
        items: list[Any] = []
        cursor = None
        while True:
            found = self.both.same(partial(page, cursor=cursor))
            items += found["items"]
            cursor = found["next_cursor"]
            if cursor is None:
                return items

    def _listed(self) -> list[dict[str, Any]]:
        by_id = sorted(self.summaries.values(), key=lambda run: run["run_id"].encode())
        return sorted(by_id, key=lambda run: run["created_at"], reverse=True)

    def _now(self) -> str:
        time: datetime = self.both.time
        return instant_text(time)


async def _delete(run: str, db: Database) -> bool:
    return await db.snapshots.delete_run(run)


def _contains(document: Any, wanted: Any) -> bool:
    """What `@>` of PostgreSQL says."""
    if isinstance(wanted, dict):
        return isinstance(document, dict) and all(
            key in document and _contains(document[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(document, list) and all(
            any(_contains(item, each) for item in document) for each in wanted
        )
    return type(document) is type(wanted) and bool(document == wanted)


def test_both_databases_and_the_model_agree(both: Both) -> None:
    drive(SnapshotMachine, both, examples=25, steps=40)
