"""Run history: begin, append, end. What the specification's conformance list asks for, and each weakness about writing."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.repositories.factories import NOON, Clock, Queries, rows

from orcheo_sql import (
    Database,
    OrcheoSqlError,
    RunHistoryError,
    RunHistoryNotFoundError,
    RunHistoryRecord,
    RunHistoryTransitionError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def start(db: Any, execution_id: str = "e1", **fields: Any) -> RunHistoryRecord:
    given: dict[str, Any] = {"workflow_id": "w1", "execution_id": execution_id, **fields}
    started: RunHistoryRecord = await db.history.start_run(**given)
    return started


@dataclass
class Answer:
    text: str


class Config:
    """Dumps itself, as a pydantic model does."""

    def __init__(self, **values: Any):
        self.values = values

    def model_dump(self, *, mode: str) -> Any:
        assert mode == "json"
        return self.values


async def test_a_history_begins_with_what_it_was_given(timed: Database) -> None:
    began = NOON - dt.timedelta(minutes=1)
    started = await start(
        timed, inputs={"a": {1}}, runnable_config={"recursion_limit": 5}, tags=["t"], callbacks=["c"],
        metadata={"m": 1}, run_name="nightly", trace_id="trace-1", trace_started_at=began,
    )  # fmt: skip
    assert msgspec.to_builtins(started) == {
        "workflow_id": "w1", "execution_id": "e1", "inputs": {"a": [1]}, "runnable_config": {"recursion_limit": 5},
        "tags": ["t"], "callbacks": ["c"], "metadata": {"m": 1}, "run_name": "nightly", "status": "running",
        "started_at": "2026-01-02T12:00:00.123456Z", "completed_at": None, "error": None, "steps": [],
        "trace_id": "trace-1", "trace_started_at": "2026-01-02T11:59:00.123456Z", "trace_completed_at": None,
        "trace_last_span_at": "2026-01-02T11:59:00.123456Z",
    }  # fmt: skip
    assert await timed.history.get_history("e1") == started


async def test_the_trace_follows_the_execution(timed: Database, clock: Clock) -> None:
    started = await start(timed)
    assert started.trace_started_at == started.trace_last_span_at == started.started_at == NOON
    clock.tick()
    step = await timed.history.append_step("e1", {"a": 1})
    found = await timed.history.get_history("e1")
    assert (step.index, step.at) == (0, clock.at)
    assert (found.trace_last_span_at, found.trace_completed_at) == (step.at, None)
    clock.tick()
    done = await timed.history.mark_completed("e1")
    assert done.trace_completed_at == done.completed_at == clock.at
    assert done.trace_last_span_at == step.at


async def test_a_config_gives_what_is_not_given(db: Database) -> None:
    config = Config(
        tags=["a", 1], callbacks="hook", metadata={"tier": "gold"}, run_name="from config"
    )
    started = await start(db, runnable_config=config)
    assert (started.tags, started.callbacks) == (["a", "1"], ["hook"])
    assert (started.metadata, started.run_name) == ({"tier": "gold"}, "from config")
    # Weakness 15: what is given wins, also when it is empty; a text is one tag; null is none.
    given = await start(db, "e2", runnable_config=config, tags=[], callbacks=[], metadata={})
    assert (given.tags, given.callbacks, given.metadata) == ([], [], {})
    odd = await start(db, "e3", runnable_config={"tags": "alpha", "callbacks": None})
    assert (odd.tags, odd.callbacks) == (["alpha"], [])
    none = await start(db, "e4", runnable_config={"tags": None, "metadata": None})
    assert (none.tags, none.metadata) == ([], {})
    for number, config_like in enumerate([[], "text", Config(), object(), 7]):
        assert (await start(db, f"odd {number}", runnable_config=config_like)).runnable_config in (
            {},
            {"values": {}},
        )


async def test_an_execution_has_one_history_whatever_its_workflow(db: Database) -> None:
    await start(db)
    with pytest.raises(RunHistoryError, match="already exists for execution_id=e1"):
        await start(db, workflow_id="w2", inputs={"other": 1})
    assert (await db.history.get_history("e1")).inputs == {}


@pytest.mark.parametrize(
    "call",
    [
        lambda h: h.append_step("none", {}),
        lambda h: h.mark_completed("none"),
        lambda h: h.mark_failed("none", "boom"),
        lambda h: h.mark_cancelled("none"),
        lambda h: h.finish_run("none", status="completed", payload={}),
        lambda h: h.get_history("none"),
        lambda h: h.list_steps("none"),
    ],
)
async def test_a_missing_history_is_said_to_be_missing(
    db: Database, call: Callable[[Any], Awaitable[Any]]
) -> None:
    with pytest.raises(RunHistoryNotFoundError, match="not found for execution_id=none") as caught:
        await call(db.history)
    assert isinstance(caught.value, RunHistoryError)
    assert isinstance(caught.value, RuntimeError)


async def test_steps_are_numbered_and_normalised(db: Database) -> None:
    await start(db)
    payloads: list[Any] = [
        {"answer": Answer("hi")},
        None,
        [1, {2}],
        "text",
        {"nan": float("nan"), "nul": "\0", 1: 2**99},
    ]
    expected = [
        {"answer": {"text": "hi"}}, {}, {"value": [1, [2]]}, {"value": "text"},
        {"nan": "NaN", "nul": r"\u0000", "1": str(2**99)},
    ]  # fmt: skip
    steps = [await db.history.append_step("e1", payload) for payload in payloads]
    assert [step.index for step in steps] == [0, 1, 2, 3, 4]
    assert [step.payload for step in steps] == expected
    assert (await db.history.get_history("e1")).steps == steps


async def test_an_append_is_one_round_trip_however_many_steps_there_are(
    observed: Database, queries: Queries
) -> None:
    await start(observed)
    queries.take()
    for _ in range(30):
        await observed.history.append_step("e1", {})
    assert queries.take() == ["append_step"] * 30
    await observed.history.finish_run("e1", status="completed", payload={"status": "completed"})
    assert queries.take() == ["finish_history"]


@pytest.mark.parametrize(
    ("mark", "status", "error"),
    [
        (lambda h: h.mark_completed("e1"), "completed", None),
        (lambda h: h.mark_failed("e1", "bo\0om"), "error", r"bo\u0000om"),
        (lambda h: h.mark_failed("e1", ValueError("why")), "error", "why"),
        (lambda h: h.mark_cancelled("e1"), "cancelled", None),
        (lambda h: h.mark_cancelled("e1", reason="enough"), "cancelled", "enough"),
    ],
)
async def test_an_execution_ends_once(
    timed: Database, clock: Clock, mark: Any, status: str, error: str | None
) -> None:
    await start(timed)
    step = await timed.history.append_step("e1", {"a": 1})
    clock.tick()
    ended = await mark(timed.history)
    assert (ended.status, ended.error, ended.completed_at) == (status, error, clock.at)
    assert ended.steps == [step]
    clock.tick()
    assert await mark(timed.history) == ended, "the same again changes nothing"
    others: dict[str, Callable[[Any], Awaitable[Any]]] = {
        "completed": lambda h: h.mark_completed("e1"),
        "error": lambda h: h.mark_failed("e1", "other"),
        "cancelled": lambda h: h.mark_cancelled("e1"),
    }
    for other, again in others.items():
        if other != status:  # weakness 14
            with pytest.raises(RunHistoryTransitionError, match=f"execution_id=e1: {status}"):
                await again(timed.history)
    assert await timed.history.get_history("e1") == ended


async def test_finishing_appends_and_ends_together(timed: Database, clock: Clock) -> None:
    await start(timed)
    await timed.history.append_step("e1", {"a": 1})
    clock.tick()
    done = await timed.history.finish_run(
        "e1", status="error", payload={"status": "error"}, error="boom"
    )
    assert (done.status, done.error, done.completed_at, done.steps) == (
        "error",
        "boom",
        clock.at,
        [],
    )
    assert done.trace_last_span_at == done.trace_completed_at == clock.at
    found = await timed.history.get_history("e1")
    assert [(step.index, step.payload) for step in found.steps] == [
        (0, {"a": 1}),
        (1, {"status": "error"}),
    ]
    # Again: nothing is appended, so that no last step is lost among two.
    for status in ("error", "completed"):
        with pytest.raises(RunHistoryTransitionError):
            await timed.history.finish_run("e1", status=status, payload={"status": "late"})
    assert await timed.history.get_history("e1") == found


@pytest.mark.parametrize("status", ["running", "succeeded", "", None, 7, "x" * 10_000])
async def test_only_an_end_finishes(db: Database, status: Any) -> None:
    await start(db)
    with pytest.raises(ValidationError, match="status must be one of completed, error, cancelled"):
        await db.history.finish_run("e1", status=status, payload={})
    assert (await db.history.get_history("e1")).status == "running"


async def test_a_step_may_come_late(timed: Database, clock: Clock) -> None:
    await start(timed)
    done = await timed.history.mark_cancelled("e1", reason="enough")
    clock.tick()
    step = await timed.history.append_step("e1", {"late": True})
    found = await timed.history.get_history("e1")
    assert (found.status, found.completed_at, found.error) == (
        "cancelled",
        done.completed_at,
        "enough",
    )
    assert found.steps == [step]
    assert found.trace_last_span_at == clock.at


async def test_secrets_are_not_written(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db:
        await start(
            db,
            inputs={"api_key": "sk-1"},
            runnable_config={"configurable": {"password": "sk-2"}},
            metadata={"x": {"token": "sk-3-of-a-real-length"}},
        )
        await db.history.append_step("e1", {"headers": {"Authorization": "sk-4"}, "token_count": 4})
        for table in (
            "run_history",
            "run_history_inputs",
            "run_history_steps",
            "run_history_search",
        ):
            assert "sk-" not in str(await rows(settings_of, f"SELECT * FROM {table}"))
        found = await db.history.get_history("e1")
        assert found.inputs == {"api_key": "<redacted>"}
        assert found.steps[0].payload == {
            "headers": {"Authorization": "<redacted>"},
            "token_count": 4,
        }
    async with Database(**settings_of, history_redact=False) as db:
        assert (await start(db, "e2", inputs={"api_key": "sk-1"})).inputs == {"api_key": "sk-1"}


async def test_a_history_survives_reopening(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db:
        await start(db, inputs={"a": 1})
        await db.history.append_step("e1", {"b": 2})
        kept = await db.history.get_history("e1")
    async with Database(**settings_of) as db:
        assert await db.history.get_history("e1") == kept


async def test_first_calls_at_once_all_succeed(empty_settings: dict[str, Any]) -> None:
    async def first(number: int) -> str:
        async with Database(**empty_settings) as db:
            return (await start(db, f"e{number}")).execution_id

    assert await asyncio.gather(*map(first, range(5))) == [f"e{n}" for n in range(5)]


async def test_what_is_returned_is_a_copy(db: Database) -> None:
    given = {"a": [1]}
    started = await start(db, inputs=given)
    step = await db.history.append_step("e1", given)
    given["a"].append(2)
    started.inputs["a"].append(3)
    step.payload["a"].append(4)
    found = await db.history.get_history("e1")
    assert found.inputs == found.steps[0].payload == {"a": [1]}


async def test_a_unit_of_work_keeps_a_history_with_the_rest_or_not_at_all(db: Database) -> None:
    async def begin_twice() -> None:
        async with db.transaction() as tx:
            await start(tx)
            await tx.history.append_step("e1", {})
            await start(tx)

    with pytest.raises(RunHistoryError, match="already exists"):
        await begin_twice()
    with pytest.raises(RunHistoryNotFoundError):
        await db.history.get_history("e1")
    async with db.transaction() as tx:
        await start(tx)
        with pytest.raises(RunHistoryError):
            await start(tx)
        with pytest.raises(RunHistoryNotFoundError):
            await tx.history.append_step("e2", {})
        assert (await tx.history.append_step("e1", {})).index == 0
    assert len((await db.history.get_history("e1")).steps) == 1


async def test_ids_are_texts_or_uuids(db: Database) -> None:
    workflow, execution = uuid.uuid4(), uuid.uuid4()
    await db.history.start_run(workflow_id=workflow, execution_id=execution)
    assert (await db.history.get_history(str(execution))).workflow_id == str(workflow)
    assert len(await db.history.list_histories(workflow)) == 1
    longest = "\U0001f642" * 255
    assert (await start(db, longest, workflow_id=longest)).execution_id == longest
    await db.history.append_step(longest, {})
    assert (await db.history.page_histories(longest, limit=1)).items[0].execution_id == longest


@pytest.mark.parametrize("execution_id", ["", "x" * 256, "a\0b", "\ud83d", None, 7, b"e1", ["e1"]])
async def test_other_ids_are_refused(db: Database, execution_id: Any) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: start(db, execution_id),
        lambda: start(db, workflow_id=execution_id),
        lambda: db.history.append_step(execution_id, {}),
        lambda: db.history.mark_completed(execution_id),
        lambda: db.history.get_history(execution_id),
        lambda: db.history.list_steps(execution_id),
        lambda: db.history.list_histories(execution_id),
        lambda: db.history.delete_histories_of_workflow(execution_id),
    ]
    for call in calls:
        with pytest.raises(ValidationError, match="_id"):
            await call()


async def test_no_value_of_a_payload_is_refused(db: Database) -> None:
    await start(db)
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = "bottom"
    for _ in range(1000):
        deep = {"in": deep}

    class Refuses:
        def __getattribute__(self, name: str) -> Any:
            raise OSError(name)

    hostile = [
        cycle, deep, Refuses(), object(), float("-inf"), 10**5000, -(2**63) - 1, "\ud800\0", b"\xff", {"\0": {"\ud83d": 1}},
        {(1, 2): {3: {None: 4}}}, lambda: 1, asyncio, OrcheoSqlError("x"), iter([1]), range(3), {1, "a", None}, 1e308, -0.0,
        uuid.uuid4(), dt.timedelta(1), NOON.replace(tzinfo=None), 3 + 4j, ..., NotImplemented,
    ]  # fmt: skip
    for value in hostile:
        step = await db.history.append_step("e1", value)
        await db.history.append_step("e1", {"a": [value]})
        assert isinstance(step.payload, dict)
    found = await db.history.get_history("e1")
    assert [step.index for step in found.steps] == list(range(2 * len(hostile)))
    odd = await start(
        db,
        "e2",
        inputs=cycle,
        tags=cycle,
        callbacks=deep,
        metadata=Refuses(),
        run_name="\0",
        trace_id="\ud83d",
    )
    assert (odd.run_name, odd.trace_id) == (r"\u0000", r"\ud83d")
    assert await db.history.get_history("e2") == odd
