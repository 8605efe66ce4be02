"""Run history on SQLite, PostgreSQL and in plain dictionaries, side by side."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.fixtures.databases import EMPTY, postgres_settings
from tests.state_machine.records import START, Both, drive

from orcheo_sql._search import parse_search, search_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EXECUTIONS = st.sampled_from(["a", "B", "b", "é", "日", "run 10", "run 9"])
WORKFLOWS = st.sampled_from(["w1", "w2"])
ENDS = st.sampled_from(["completed", "error", "cancelled"])
LEAVES = st.sampled_from(
    ["alpha", "beta gamma", "東京都", "ünï", "gamma beta", 7, 1.5, None, True, "nul\0"]
)
PAYLOADS = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b", "token"]), LEAVES | st.lists(LEAVES, max_size=2), max_size=2),
    LEAVES,
)  # fmt: skip
SEARCHES = st.sampled_from(
    ["alpha", "bet*", '"beta gamma"', 'gamma -"gamma beta"', "東京", "7", "uni", "value", "u0000"]
)


def stored(payload: Any) -> dict[str, Any]:
    """What is kept of a payload."""

    def text(leaf: Any) -> Any:
        if isinstance(leaf, list):
            return [text(each) for each in leaf]
        return leaf.replace("\0", "\\u0000") if isinstance(leaf, str) else leaf

    if payload is None:
        return {}
    if not isinstance(payload, dict):
        return {"value": text(payload)}
    return {
        key: "<redacted>" if key == "token" and is_hidden(leaf) else text(leaf)
        for key, leaf in payload.items()
    }


def is_hidden(leaf: Any) -> bool:
    """Say whether a leaf is a secret under `token`: no number, no list of numbers, no short piece of text."""
    if isinstance(leaf, list):
        return any(isinstance(each, str) for each in leaf)
    return isinstance(leaf, str) and len(leaf) >= 16


def moment(text: str) -> datetime:
    """Return a time that can be compared: texts leave out microseconds that are zero."""
    return datetime.fromisoformat(text)


class HistoryMachine(RuleBasedStateMachine):
    both: ClassVar[Both]

    def __init__(self) -> None:
        super().__init__()
        self.histories: dict[str, dict[str, Any]] = {}
        self.both.time = START
        self.both.same(lambda db: db.history.clear())

    def teardown(self) -> None:
        for execution in self.histories:
            self.get(execution, 0)
        self.both.same(lambda db: db.history.clear())
        assert self.both.same(lambda db: db.history.list_histories("w1")) == []
        self.both.check_file()

    # --- writing

    @rule(microseconds=st.sampled_from([0, 1, 1_000_000]))
    def time_passes(self, microseconds: int) -> None:
        self.both.advance(microseconds)

    @rule(execution=EXECUTIONS, workflow=WORKFLOWS, inputs=PAYLOADS)
    def start(self, execution: str, workflow: str, inputs: Any) -> None:
        said = self.both.same(
            lambda db: db.history.start_run(
                workflow_id=workflow, execution_id=execution, inputs=inputs, tags=["t"]
            )
        )
        if execution in self.histories:
            text = f"History already exists for execution_id={execution}"
            assert said == ("RunHistoryError", text)
            return
        now = self._now()
        self.histories[execution] = {
            "workflow_id": workflow, "execution_id": execution, "inputs": stored(inputs), "runnable_config": {},
            "tags": ["t"], "callbacks": [], "metadata": {}, "run_name": None, "status": "running", "started_at": now,
            "completed_at": None, "error": None, "steps": [], "trace_id": None, "trace_started_at": now,
            "trace_completed_at": None, "trace_last_span_at": now,
        }  # fmt: skip
        assert said == self.histories[execution]

    @rule(execution=EXECUTIONS, payload=PAYLOADS)
    def append(self, execution: str, payload: Any) -> None:
        said = self.both.same(lambda db: db.history.append_step(execution, payload))
        history = self._known(execution, said)
        if history is not None:
            assert said == self._step(history, payload)

    @rule(execution=EXECUTIONS, status=ENDS, reason=st.none() | st.just("why"))
    def mark(self, execution: str, status: str, reason: str | None) -> None:
        calls: dict[str, Callable[[Any], Any]] = {
            "completed": lambda h: h.mark_completed(execution),
            "error": lambda h: h.mark_failed(execution, str(reason)),
            "cancelled": lambda h: h.mark_cancelled(execution, reason=reason),
        }
        said = self.both.same(lambda db: calls[status](db.history))
        history = self._known(execution, said)
        if history is None:
            return
        if history["status"] == "running":
            error = {"completed": None, "error": str(reason), "cancelled": reason}[status]
            self._end(history, status, error)
        if history["status"] == status:
            assert said == history
        else:
            assert said[0] == "RunHistoryTransitionError"

    @rule(execution=EXECUTIONS, status=ENDS, payload=PAYLOADS)
    def finish(self, execution: str, status: str, payload: Any) -> None:
        said = self.both.same(
            lambda db: db.history.finish_run(execution, status=status, payload=payload, error="e")
        )
        history = self._known(execution, said)
        if history is None:
            return
        if history["status"] != "running":
            assert said[0] == "RunHistoryTransitionError"
            return
        self._step(history, payload)
        self._end(history, status, "e")
        assert said == {**history, "steps": []}

    @rule(
        statuses=st.none() | st.lists(ENDS, max_size=2),
        limit=st.integers(0, 3),
        back=st.sampled_from([0, 1, 1_000_000]),
    )
    def prune(self, statuses: list[str] | None, limit: int, back: int) -> None:
        self.both.advance(-back)
        before = self.both.time
        self.both.advance(back)
        said = self.both.same(
            lambda db: db.history.prune_histories(
                finished_before=before, statuses=statuses, limit=limit
            )
        )
        wanted = ["completed", "error", "cancelled"] if statuses is None else statuses
        ended = [
            h
            for h in self.histories.values()
            if h["status"] in wanted and moment(h["completed_at"]) < before
        ]
        ended.sort(
            key=lambda h: (
                wanted.index(h["status"]),
                moment(h["completed_at"]),
                h["execution_id"].encode(),
            )
        )
        assert said == len(ended[:limit])
        for history in ended[:limit]:
            del self.histories[history["execution_id"]]

    @rule(workflow=WORKFLOWS, limit=st.none() | st.integers(0, 2))
    def delete(self, workflow: str, limit: int | None) -> None:
        said = self.both.same(
            lambda db: db.history.delete_histories_of_workflow(workflow, limit=limit)
        )
        going = self._listed(workflow)[::-1][:limit]
        assert said == len(going)
        for history in going:
            del self.histories[history["execution_id"]]

    # --- reading

    @rule(execution=EXECUTIONS, first=st.integers(0, 4))
    def get(self, execution: str, first: int) -> None:
        said = self.both.same(lambda db: db.history.get_history(execution, steps_from=first))
        history = self._known(execution, said)
        if history is not None:
            assert said == {**history, "steps": history["steps"][first:]}

    @rule(execution=EXECUTIONS, after=st.integers(-1, 3), limit=st.none() | st.integers(0, 3))
    def steps(self, execution: str, after: int, limit: int | None) -> None:
        said = self.both.same(
            lambda db: db.history.list_steps(execution, after_index=after, limit=limit)
        )
        history = self._known(execution, said)
        if history is not None:
            assert said == history["steps"][after + 1 :][:limit]

    @rule(workflow=WORKFLOWS, limit=st.none() | st.integers(0, 3), complete=st.booleans())
    def list_some(self, workflow: str, limit: int | None, complete: bool) -> None:
        said = self.both.same(
            lambda db: db.history.list_histories(workflow, limit=limit, include_steps=complete)
        )
        assert said == self._listed(workflow, complete=complete)[:limit]

    @rule(workflow=WORKFLOWS, size=st.integers(1, 3), complete=st.booleans())
    def page(self, workflow: str, size: int, complete: bool) -> None:
        found = self._walk(
            lambda db, cursor: db.history.page_histories(
                workflow, include_steps=complete, limit=size, cursor=cursor
            )
        )
        assert found == self._listed(workflow, complete=complete)

    @rule(
        search=SEARCHES,
        workflow=st.none() | WORKFLOWS,
        execution=st.none() | EXECUTIONS,
        size=st.integers(1, 4),
    )
    def search(self, search: str, workflow: str | None, execution: str | None, size: int) -> None:
        found = self._walk(
            lambda db, cursor: db.history.search_steps(
                search, workflow_id=workflow, execution_id=execution, limit=size, cursor=cursor
            )
        )
        query = parse_search(search)
        hits = [
            {"workflow_id": history["workflow_id"], "execution_id": name, **step}
            for name, history in self.histories.items()
            for step in history["steps"]
            if workflow in (None, history["workflow_id"])
            and execution in (None, name)
            and query.matches(search_text(step["payload"]))
        ]
        hits.sort(
            key=lambda h: (moment(h["at"]), h["execution_id"].encode(), h["index"]), reverse=True
        )
        assert found == hits

    # --- the model

    def _known(self, execution: str, said: Any) -> dict[str, Any] | None:
        if execution not in self.histories:
            text = f"History not found for execution_id={execution}"
            assert said == ("RunHistoryNotFoundError", text)
            return None
        return self.histories[execution]

    def _step(self, history: dict[str, Any], payload: Any) -> dict[str, Any]:
        step = {"index": len(history["steps"]), "at": self._now(), "payload": stored(payload)}
        history["steps"].append(step)
        history["trace_last_span_at"] = step["at"]
        return step

    def _end(self, history: dict[str, Any], status: str, error: str | None) -> None:
        now = self._now()
        history |= {
            "status": status,
            "error": error,
            "completed_at": now,
            "trace_completed_at": now,
        }

    def _listed(self, workflow: str, *, complete: bool = True) -> Any:
        found = [h for h in self.histories.values() if h["workflow_id"] == workflow]
        found.sort(
            key=lambda h: (moment(h["started_at"]), h["execution_id"].encode()), reverse=True
        )
        return found if complete else [{**history, "steps": []} for history in found]

    def _walk(self, page: Any) -> Any:
        items = []
        cursor = None
        while True:
            found = self.both.same(partial(page, cursor=cursor))
            items += found["items"]
            cursor = found["next_cursor"]
            if cursor is None:
                return items

    def _now(self) -> str:
        return str(msgspec.to_builtins(self.both.time))


@pytest.fixture
def searched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Both]:
    """Both databases, keeping the words of steps."""
    import psycopg

    dsn = request.getfixturevalue("_migrated_postgres")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(EMPTY)
    on = {"history_search": True}
    both = Both(
        {"database_path": tmp_path / "orcheo.sqlite", **on}, {**postgres_settings(dsn), **on}
    )
    yield both
    both.close()


def test_both_databases_and_the_model_agree(searched: Both) -> None:
    drive(HistoryMachine, searched, examples=40, steps=50)
