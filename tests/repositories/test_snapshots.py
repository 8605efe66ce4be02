"""Snapshots of an orchestrator's runs: what is saved is what is loaded, and lists are cheap."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest
from tests.repositories.factories import NOON, Clock, Queries, follow, rows

from orcheo_sql import (
    Database,
    InvalidCursorError,
    JsonFilter,
    JsonFilterError,
    Page,
    RunSummary,
    SearchQueryError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STATE: dict[str, Any] = {
    "run_id": "thread-1",
    "objective": "Refactor the billing module",
    "tasks": {"t1": {"status": "complete"}, "t2": {"status": "active"}, "t3": {"status": "active"}},
    "tags": ["nightly", "日本"],
    "notes": ["grün", None, 1.5, {"deep": [True]}],
}


async def ids(page: Callable[..., Awaitable[Page[RunSummary]]]) -> list[str]:
    """Return the ids of a list, read to its end."""
    return [run.run_id for items in await follow(page) for run in items]


async def save(db: Database, run_id: str, **state: Any) -> RunSummary:
    return (await db.snapshots.save_run_state(run_id, state)).summary


async def test_what_is_saved_is_loaded(timed: Database, clock: Clock) -> None:
    saved = await timed.snapshots.save_run_state("r1", {**STATE, "_workspace_path": "/work/r1"})
    assert saved.dropped == []
    assert await timed.snapshots.load_run_state("r1") == {**STATE, "_workspace_path": "/work/r1"}
    summary = await timed.snapshots.load_run_summary("r1")
    assert summary == saved.summary
    assert msgspec.to_builtins(summary) == {
        "run_id": "r1",
        "thread_id": "thread-1",
        "objective": "Refactor the billing module",
        "status": "running",
        "workspace_path": "/work/r1",
        "task_counts": {"planned": 0, "ready": 0, "active": 2, "complete": 1, "failed": 0},
        "tags": ["nightly", "日本"],
        "created_at": "2026-01-02T12:00:00.123456Z",
        "updated_at": "2026-01-02T12:00:00.123456Z",
    }
    snapshot = await timed.snapshots.load_run_snapshot("r1")
    assert snapshot is not None
    assert snapshot.state == STATE


async def test_what_is_not_there(db: Database) -> None:
    assert await db.snapshots.load_run_state("none") is None
    assert await db.snapshots.load_run_snapshot("none") is None
    assert await db.snapshots.load_run_summary("none") is None
    assert await db.snapshots.update_run_status("none", "complete") is False
    assert await db.snapshots.delete_run("none") is False
    assert await db.snapshots.list_all_runs() == []


async def test_a_thread_may_be_a_uuid(db: Database) -> None:
    thread = uuid4()
    summary = (await db.snapshots.save_run_state("r1", {"run_id": thread})).summary
    assert summary.thread_id == str(thread)


async def test_an_empty_state_has_defaults(db: Database) -> None:
    summary = await save(db, "r1")
    assert (summary.thread_id, summary.objective, summary.workspace_path) == ("r1", "", "")
    assert (set(summary.task_counts.values()), summary.tags) == ({0}, [])
    assert await db.snapshots.load_run_state("r1") == {}


async def test_a_save_replaces_the_last_one_and_keeps_the_time_of_creation(
    timed: Database, clock: Clock
) -> None:
    await timed.snapshots.save_run_state("r1", {**STATE, "_workspace_path": "/old"})
    clock.tick(60)
    saved = await timed.snapshots.save_run_state(
        "r1", {"objective": "Another", "created_at": "2020-01-01T00:00:00Z"}, status="complete"
    )
    assert (saved.summary.created_at, saved.summary.updated_at) == (NOON, clock.at)
    assert (saved.summary.status, saved.summary.workspace_path) == ("complete", "")
    assert saved.summary.tags == []
    assert await timed.snapshots.load_run_state("r1") == {
        "objective": "Another",
        "created_at": "2020-01-01T00:00:00Z",
    }
    assert (await timed.snapshots.search_runs("billing")).items == []
    assert (await timed.snapshots.search_runs("another")).items == [saved.summary]


async def test_a_clock_that_goes_back_does_not_move_updates_back(
    timed: Database, clock: Clock
) -> None:
    first = await save(timed, "r1")
    clock.tick(-3600)
    assert (await save(timed, "r1")).updated_at == first.updated_at
    await timed.snapshots.update_run_status("r1", "failed")
    summary = await timed.snapshots.load_run_summary("r1")
    assert summary is not None
    assert (summary.status, summary.updated_at) == ("failed", first.updated_at)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2025-03-01T10:00:00+02:00", "2025-03-01T08:00:00+00:00"),
        ("2025-03-01T10:00:00", "2025-03-01T10:00:00+00:00"),
        (dt.datetime(2025, 3, 1, 10, tzinfo=dt.UTC), "2025-03-01T10:00:00+00:00"),
        (dt.datetime(2025, 3, 1, 10), "2025-03-01T10:00:00+00:00"),  # noqa: DTZ001 - that is the case
        ("yesterday", NOON.isoformat()),
        ("0001-01-01T00:00:00+14:00", NOON.isoformat()),
        (None, NOON.isoformat()),
        (1735689600, "2025-01-01T00:00:00+00:00"),
        (1e300, NOON.isoformat()),
        (True, NOON.isoformat()),
    ],
)
async def test_the_time_of_creation_comes_from_the_state(
    timed: Database, given: Any, kept: str
) -> None:
    assert (await save(timed, "r1", created_at=given)).created_at.isoformat() == kept


async def test_private_keys_and_the_config_are_not_stored(
    db: Database, settings_of: dict[str, Any]
) -> None:
    await save(db, "r1", _secret="hunter2", orch_config={"key": "hunter2"}, kept=1)
    assert await db.snapshots.load_run_state("r1") == {"kept": 1}
    assert "hunter2" not in str(await rows(settings_of, "SELECT * FROM run_snapshot_states"))


@dataclass
class Note:
    text: str


class Human:
    """A message as a library of chat models has them."""

    def __init__(self, text: str):
        self.text = text

    def to_json(self) -> dict[str, Any]:
        return {"type": "human", "text": self.text}


class Model:
    def model_dump(self, **_: Any) -> dict[str, Any]:
        return {"type": "model"}


class Broken:
    def dict(self) -> Any:
        raise RuntimeError("no")


async def test_messages_are_stored_in_their_serialised_form(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    memories = {
        "t1": [{"role": "user"}, Human("hi"), Model(), Note("n"), Broken(), "text"],
        7: (Human("there"),),
        "odd": "no list",
        "empty": [],
    }
    saved = await db.snapshots.save_run_state("r1", {"task_memories": memories})
    assert saved.dropped == ["task_memories.t1[4]"]
    state = await db.snapshots.load_run_state("r1")
    assert state == {
        "task_memories": {
            "t1": [
                {"role": "user"},
                {"type": "human", "text": "hi"},
                {"type": "model"},
                {"text": "n"},
                "text",
            ],
            "7": [{"type": "human", "text": "there"}],
            "odd": "no list",
            "empty": [],
        }
    }


async def test_what_has_no_json_form_is_named_and_returned(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="orcheo_sql.snapshots"):
        saved = await db.snapshots.save_run_state(
            "r1", {"a": 1, "handle": object(), "deep": {"x": [lambda: None]}, "b": 2}
        )
    assert saved.dropped == ["handle", "deep"]
    assert "run r1" in caplog.text
    assert "handle, deep" in caplog.text
    assert await db.snapshots.load_run_state("r1") == {"a": 1, "b": 2}


async def test_hostile_values_become_text(db: Database) -> None:
    state = {"nan": float("nan"), "nul": "a\0b", "half": "\ud800", "huge": 2**70, "\0key": 1}
    saved = await db.snapshots.save_run_state("r1", {**state, "objective": "x\0y"}, status="a\0b")
    assert saved.dropped == []
    assert (saved.summary.objective, saved.summary.status) == (r"x\u0000y", r"a\u0000b")
    assert await db.snapshots.load_run_state("r1") == {
        "nan": "NaN",
        "nul": r"a\u0000b",
        "half": r"\ud800",
        "huge": str(2**70),
        r"\u0000key": 1,
        "objective": r"x\u0000y",
    }


async def test_a_state_is_copied(db: Database) -> None:
    state = {"list": [1]}
    await db.snapshots.save_run_state("r1", state)
    state["list"].append(2)
    assert await db.snapshots.load_run_state("r1") == {"list": [1]}


class Status(enum.Enum):
    READY = "ready"


@dataclass
class Task:
    status: Any


@pytest.mark.parametrize(
    ("tasks", "counts"),
    [
        (
            [{"status": "planned"}, {"status": "planned"}, {"status": "odd"}, {}, None],
            {"planned": 2},
        ),
        ({"a": Task("failed"), "b": Task(Status.READY), "c": Task(5)}, {"failed": 1, "ready": 1}),
        ("planned", {}),
        (7, {}),
        (None, {}),
    ],
)
async def test_tasks_are_counted_by_status(db: Database, tasks: Any, counts: Any) -> None:
    none = dict.fromkeys(("planned", "ready", "active", "complete", "failed"), 0)
    assert (await save(db, "r1", tasks=tasks)).task_counts == none | counts


async def test_lists_come_newest_first_and_equal_times_by_id(timed: Database, clock: Clock) -> None:
    for run_id in ("b", "a", "é", "B", "日"):
        await save(timed, run_id)
    clock.tick()
    await save(timed, "newest")
    clock.tick(-10)
    await save(timed, "oldest")
    order = ["newest", "B", "a", "b", "é", "日", "oldest"]
    assert [r.run_id for r in await timed.snapshots.list_all_runs()] == order
    for size in (1, 2, 3, 7, 100):
        assert await ids(partial(timed.snapshots.page_runs, limit=size)) == order
    assert await ids(partial(timed.snapshots.page_runs, status="running", limit=2)) == order


async def test_runs_by_status_and_state(timed: Database, clock: Clock) -> None:
    for number in range(6):
        clock.tick()
        status = "complete" if number % 2 else "running"
        state = {"round": number, "model": {"name": "large" if number > 2 else "small"}}
        await timed.snapshots.save_run_state(f"r{number}", state, status)

    async def found(**conditions: Any) -> str:
        return " ".join(await ids(partial(timed.snapshots.page_runs, **conditions, limit=1)))

    assert await found(status="complete") == "r5 r3 r1"
    assert await found(status="odd") == ""
    assert await found(state_filter={"model": {"name": "large"}}) == "r5 r4 r3"
    assert await found(state_filter=JsonFilter(where=[("round", ">=", 4)])) == "r5 r4"
    assert await found(state_filter={"model": {"name": "large"}}, status="complete") == "r5 r3"
    with pytest.raises(JsonFilterError):
        await found(state_filter={"x": float("nan")})


async def test_runs_are_found_by_their_objective(timed: Database, clock: Clock) -> None:
    objectives = {"r1": "Refactor the Café module", "r2": "Fix the café's menu", "r3": "東京の天気"}
    for run_id, objective in objectives.items():
        clock.tick()
        await save(timed, run_id, objective=objective, other="menu module")

    async def found(query: str) -> str:
        return " ".join(await ids(partial(timed.snapshots.search_runs, query, limit=1)))

    assert await found("cafe") == "r2 r1"
    assert await found('"cafe module"') == "r1"
    assert await found("cafe -menu") == "r1"
    assert await found("refac*") == "r1"
    assert await found("東京") == "r3"
    with pytest.raises(SearchQueryError):
        await found("  ")
    await timed.snapshots.delete_run("r1")
    assert await found("cafe") == "r2"


async def test_deleting_leaves_nothing(db: Database, settings_of: dict[str, Any]) -> None:
    await db.snapshots.save_run_state("r1", STATE)
    await db.snapshots.save_run_state("r2", STATE)
    assert await db.snapshots.delete_run("r1") is True
    assert await db.snapshots.delete_run("r1") is False
    assert await db.snapshots.load_run_state("r1") is None
    for table in ("run_snapshots", "run_snapshot_states", "run_snapshot_search"):
        assert len(await rows(settings_of, f"SELECT run_id FROM {table}")) == 1, table


async def test_lists_do_not_read_states_and_calls_are_one_query(
    settings_of: dict[str, Any],
) -> None:
    queries = Queries()
    async with Database(**settings_of, observer=queries) as db:
        for call, name in (
            (db.snapshots.save_run_state("r1", STATE), "save_snapshot"),
            (db.snapshots.load_run_state("r1"), "get_snapshot"),
            (db.snapshots.load_run_summary("r1"), "get_summary"),
            (db.snapshots.list_all_runs(), "list_summaries"),
            (db.snapshots.page_runs(), "list_summaries"),
            (db.snapshots.page_runs(status="running"), "list_summaries_by_status"),
            (db.snapshots.search_runs("billing"), "search_summaries"),
            (db.snapshots.update_run_status("r1", "complete"), "update_status"),
            (db.snapshots.delete_run("r1"), "delete_snapshot"),
        ):
            await call
            assert queries.take() == [name]


async def test_a_large_state(db: Database) -> None:
    state = {"log": ["line of text " * 100] * 2000}
    await db.snapshots.save_run_state("r1", state)
    assert await db.snapshots.load_run_state("r1") == state


async def test_many_save_one_run(settings_of: dict[str, Any]) -> None:
    """The state, its summary and its words are always those of one save."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        for _ in range(5):
            await asyncio.gather(
                *(
                    save(each, "r1", n=n, objective=f"word{n}")
                    for n in range(8)
                    for each in (db, other)
                ),
                *(each.snapshots.delete_run("r1") for each in (db, other)),
                *(each.snapshots.update_run_status("r1", "complete") for each in (db, other)),
            )
            await save(db, "r1", n=100, objective="word100")
            await asyncio.gather(
                *(
                    save(each, "r1", n=n, objective=f"word{n}")
                    for n in range(8)
                    for each in (db, other)
                )
            )
            snapshot = await db.snapshots.load_run_snapshot("r1")
            assert snapshot is not None
            word = f"word{snapshot.state['n']}"
            assert snapshot.objective == word
            assert [r.run_id for r in (await db.snapshots.search_runs(word)).items] == ["r1"]


async def test_a_unit_of_work_keeps_all_or_nothing(db: Database) -> None:
    async def work() -> None:
        async with db.transaction() as tx:
            await tx.snapshots.save_run_state("r1", STATE)
            assert await tx.snapshots.load_run_state("r1") == STATE
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    assert await db.snapshots.list_all_runs() == []


@pytest.mark.parametrize("run_id", ["", "x" * 256, "a\0b", "\ud800", None, 5, b"r"])
async def test_bad_ids_are_refused(db: Database, run_id: Any) -> None:
    for call in (
        db.snapshots.save_run_state(run_id, {}),
        db.snapshots.load_run_state(run_id),
        db.snapshots.load_run_summary(run_id),
        db.snapshots.update_run_status(run_id, "x"),
        db.snapshots.delete_run(run_id),
    ):
        with pytest.raises(ValidationError, match="run_id"):
            await call
    await save(db, "\U0001f600" * 255)
    await db.snapshots.update_run_status("\U0001f600" * 255, "\U0001f600" * 128)


async def test_bad_arguments_are_refused(db: Database) -> None:
    for call, message in (
        (db.snapshots.save_run_state("r", []), "state must be a mapping"),  # type: ignore[arg-type]
        (db.snapshots.save_run_state("r", None), "state must be a mapping"),  # type: ignore[arg-type]
        (db.snapshots.save_run_state("r", {}, 5), "status"),  # type: ignore[arg-type]
        (db.snapshots.update_run_status("r", "x" * 129), "status"),
        (db.snapshots.save_run_state("r", {}, "x" * 129), "status"),
        (db.snapshots.update_run_status("r", None), "status"),  # type: ignore[arg-type]
        (db.snapshots.page_runs(limit=-1), "limit"),
        (db.snapshots.page_runs(limit=1001), "limit"),
    ):
        with pytest.raises(ValidationError, match=message):
            await call
    await save(db, "a")
    await save(db, "b")
    cursor = (await db.snapshots.page_runs(limit=1)).next_cursor
    with pytest.raises(InvalidCursorError):
        await db.snapshots.search_runs("x", cursor=cursor)
