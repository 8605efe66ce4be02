"""Run history, many at a time: lists, steps from an index on, search, retention."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import NOON, Clock, Queries, follow, rows
from tests.repositories.test_history import start

from orcheo_sql import (
    ConfigError,
    Database,
    InvalidCursorError,
    RunHistoryError,
    RunHistoryNotFoundError,
    SearchQueryError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def searched(settings_of: dict[str, Any], clock: Clock) -> AsyncIterator[Database]:
    """An open database that keeps the words of steps."""
    async with Database(**settings_of, clock=clock, history_search=True) as database:
        yield database


def ids(records: list[Any]) -> str:
    return " ".join(record.execution_id for record in records)


async def three_histories(db: Database, clock: Clock) -> None:
    """Begin e1, e2 and e3 one after the other, e3 together with E3; each has as many steps as its number."""
    for number in (1, 2, 3):
        clock.tick()
        await start(db, f"e{number}")
        for step in range(number):
            await db.history.append_step(f"e{number}", {"n": step})
    await start(db, "E3")
    await start(db, "x1", workflow_id="w2")


async def test_a_list_has_the_histories_of_one_workflow_newest_first(
    timed: Database, clock: Clock
) -> None:
    await three_histories(timed, clock)
    assert ids(await timed.history.list_histories("w1")) == "e3 E3 e2 e1"
    assert ids(await timed.history.list_histories("w1", limit=2)) == "e3 E3"
    assert await timed.history.list_histories("w1", limit=0) == []
    assert await timed.history.list_histories("unknown") == []
    with pytest.raises(ValidationError, match="negative"):  # weakness 18
        await timed.history.list_histories("w1", limit=-1)


async def test_a_list_is_one_statement_and_its_steps_one_more(
    settings_of: dict[str, Any], clock: Clock
) -> None:
    queries = Queries()
    async with Database(**settings_of, observer=queries, clock=clock) as db:
        await three_histories(db, clock)
        queries.take()
        headers = await db.history.list_histories("w1")
        assert queries.take() == ["list_histories"]
        assert [header.steps for header in headers] == [[]] * 4
        complete = await db.history.list_histories("w1", include_steps=True)
        assert queries.take() == ["list_counted_histories", "list_steps_of_histories"]
        assert [len(record.steps) for record in complete] == [3, 0, 2, 1]
        assert complete == [
            await db.history.get_history(record.execution_id) for record in complete
        ]
        queries.take()
        assert await db.history.list_histories("w3", include_steps=True) == []
        assert queries.take() == ["list_counted_histories"]


async def test_pages_lead_through_the_list(timed: Database, clock: Clock) -> None:
    await three_histories(timed, clock)
    pages = await follow(partial(timed.history.page_histories, "w1", limit=3))
    assert [ids(page) for page in pages] == ["e3 E3 e2", "e1"]
    whole = await timed.history.page_histories("w1", include_steps=True)
    assert whole.items == await timed.history.list_histories("w1", include_steps=True)
    assert whole.next_cursor is None
    for limit in (-1, 1001, True, "1"):
        with pytest.raises(ValidationError, match="limit"):
            await timed.history.page_histories("w1", limit=limit)  # type: ignore[arg-type]


async def test_a_cursor_belongs_to_its_list(searched: Database, clock: Clock) -> None:
    await three_histories(searched, clock)
    histories = (await searched.history.page_histories("w1", limit=1)).next_cursor
    found = (await searched.history.search_steps("0", limit=1)).next_cursor
    runs = "AAAAAAAA"
    for cursor in (found, runs, "", "\0", "é", 7):
        with pytest.raises(InvalidCursorError):
            await searched.history.page_histories("w1", cursor=cursor)  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError):
        await searched.history.search_steps("0", cursor=histories)


async def test_steps_are_read_from_an_index_on(observed: Database, queries: Queries) -> None:
    await start(observed)
    steps = [await observed.history.append_step("e1", {"n": n}) for n in range(5)]
    queries.take()
    assert (await observed.history.get_history("e1", steps_from=3)).steps == steps[3:]
    assert queries.take() == ["get_history", "list_steps"]
    assert (await observed.history.get_history("e1", steps_from=5)).steps == []
    assert (await observed.history.get_history("e1", steps_from=2**40)).steps == []
    assert await observed.history.list_steps("e1") == steps
    queries.take()
    assert await observed.history.list_steps("e1", after_index=1, limit=2) == steps[2:4]
    assert queries.take() == ["list_steps"]
    assert await observed.history.list_steps("e1", after_index=4) == []
    bad: list[Any] = [-2, True, "1", None, 2**70, float("nan")]
    for index in bad:
        with pytest.raises(ValidationError, match="after_index"):
            await observed.history.list_steps("e1", after_index=index)
        with pytest.raises(ValidationError, match="steps_from"):
            await observed.history.get_history("e1", steps_from=index)
    with pytest.raises(ValidationError, match="steps_from"):
        await observed.history.get_history("e1", steps_from=-1)


async def test_search_finds_steps_newest_first(searched: Database, clock: Clock) -> None:
    await start(searched)
    await start(searched, "e2", workflow_id="w2")
    texts = ["retry policy", "policy retry", "Straße und Café", "東京都 report", "numbers 42"]
    for number, text in enumerate(texts):
        clock.tick()
        await searched.history.append_step(
            "e1" if number % 2 else "e2", {"key": [text], "n": number}
        )

    async def found(query: str, **only: Any) -> list[tuple[str, int]]:
        page = await searched.history.search_steps(query, **only)
        return [(hit.execution_id, hit.payload["n"]) for hit in page.items]

    assert await found("retry policy") == [("e1", 1), ("e2", 0)]
    assert await found('"retry policy"') == [("e2", 0)]
    assert await found('retr* -"policy retry"') == [("e2", 0)]
    assert await found("strasse cafe") == [("e2", 2)]
    assert await found("京都") == [("e1", 3)]
    assert await found("key") == []
    assert await found("retry", workflow_id="w1") == [("e1", 1)]
    assert await found("retry", execution_id="e2") == [("e2", 0)]
    hit = (await searched.history.search_steps("42")).items[0]
    assert (hit.workflow_id, hit.execution_id, hit.index, hit.at) == ("w2", "e2", 2, clock.at)
    with pytest.raises(SearchQueryError):
        await searched.history.search_steps("-")


async def test_steps_of_one_time_are_found_in_one_order(searched: Database) -> None:
    for execution in ("a", "B", "b"):
        await start(searched, execution)
        for _ in range(3):
            await searched.history.append_step(execution, {"word": "same"})
    pages = await follow(partial(searched.history.search_steps, "same", limit=2))
    assert [(hit.execution_id, hit.index) for page in pages for hit in page] == [
        (execution, index) for execution in ("b", "a", "B") for index in (2, 1, 0)
    ]


async def test_a_step_with_more_words_than_an_index_holds_is_found(searched: Database) -> None:
    await start(searched)
    words = " ".join(f"{n:032x}" for n in range(40_000))
    await searched.history.append_step("e1", {"a": words, "b": "needle in it"})
    for query, hits in (
        ("needle", 1),
        ('"needle in"', 1),
        ('"in needle"', 0),
        (f"{7:032x} -hay", 1),
    ):
        assert len((await searched.history.search_steps(query)).items) == hits


async def test_search_is_off_unless_it_is_switched_on(
    db: Database, settings_of: dict[str, Any]
) -> None:
    await start(db)
    await db.history.append_step("e1", {"word": "needle"})
    assert await rows(settings_of, "SELECT count(*) FROM run_history_search") == [(0,)]
    with pytest.raises(ConfigError, match="ORCHEO_HISTORY_SEARCH is off"):
        await db.history.search_steps("needle")


async def test_what_is_finished_is_searched_too(searched: Database) -> None:
    await start(searched)
    await searched.history.finish_run("e1", status="completed", payload={"answer": "forty two"})
    assert len((await searched.history.search_steps("forty")).items) == 1


async def histories_that_ended(db: Database, clock: Clock) -> None:
    """Begin r1, and end c1 c2 c3, f1 f2, x1, a second apart."""
    await start(db, "r1")
    for execution in ("c1", "f1", "c2", "x1", "f2", "c3"):
        await start(db, execution)
        await db.history.append_step(execution, {"word": "needle"})
        clock.tick()
        if execution[0] == "c":
            await db.history.mark_completed(execution)
        elif execution[0] == "f":
            await db.history.mark_failed(execution, "boom")
        else:
            await db.history.mark_cancelled(execution)


async def test_retention_deletes_what_has_ended_oldest_first(
    searched: Database, clock: Clock, settings_of: dict[str, Any]
) -> None:
    await histories_that_ended(searched, clock)
    prune = searched.history.prune_histories
    assert await prune(finished_before=NOON) == 0
    assert await prune(finished_before=clock.at, limit=0) == 0
    assert await prune(finished_before=clock.at, statuses=[]) == 0
    assert await prune(finished_before=clock.at, statuses=["completed"], limit=1) == 1
    with pytest.raises(RunHistoryNotFoundError):
        await searched.history.get_history("c1")
    # c3 ended at clock.at, not before it.
    assert (
        await prune(finished_before=clock.at, statuses=["error", "completed", "error"], limit=2)
        == 2
    )
    assert await prune(finished_before=clock.at) == 2
    assert await prune(finished_before=clock.at) == 0
    left = sorted(h.execution_id for h in await searched.history.list_histories("w1"))
    assert left == ["c3", "r1"]
    assert await prune(finished_before=clock.at + dt.timedelta(microseconds=1)) == 1
    for table in ("run_history_steps", "run_history_search"):
        assert await rows(settings_of, f"SELECT count(*) FROM {table}") == [(0,)]
    assert await rows(settings_of, "SELECT execution_id FROM run_history_inputs") == [("r1",)]


async def test_retention_checks_what_it_is_told(db: Database) -> None:
    refused: list[dict[str, Any]] = [
        {"statuses": ["running"]}, {"statuses": ["done"]}, {"statuses": "completed"}, {"limit": -1}, {"limit": 1.5},
        {"finished_before": "yesterday"}, {"statuses": 7}, {"statuses": [None]},
    ]  # fmt: skip
    for wrong in refused:
        with pytest.raises(ValidationError):
            await db.history.prune_histories(**{"finished_before": NOON, **wrong})


async def test_the_histories_of_a_workflow_are_deleted_with_it(
    timed: Database, clock: Clock
) -> None:
    await three_histories(timed, clock)
    assert await timed.history.delete_histories_of_workflow("w1", limit=1) == 1
    assert ids(await timed.history.list_histories("w1")) == "e3 E3 e2"
    assert await timed.history.delete_histories_of_workflow("w1") == 3
    assert await timed.history.delete_histories_of_workflow("w1") == 0
    assert ids(await timed.history.list_histories("w2")) == "x1"


async def test_clear_deletes_everything(timed: Database, clock: Clock, settings_of: Any) -> None:
    await three_histories(timed, clock)
    await timed.history.clear()
    for table in ("run_history", "run_history_inputs", "run_history_steps"):
        assert await rows(settings_of, f"SELECT count(*) FROM {table}") == [(0,)]
    assert (await start(timed, "e1")).steps == []


async def test_a_history_that_is_deleted_while_it_is_read_is_not_found(
    settings_of: dict[str, Any], other: Database
) -> None:
    """The header was read, then somebody cleared: half a history is none."""
    async with Database(**settings_of) as db:
        await start(db)
        await db.history.append_step("e1", {})
        header = db.history._header

        async def slow(execution: str) -> Any:
            found = await header(execution)
            await other.history.clear()
            return found

        db.history._header = slow  # type: ignore[method-assign]
        with pytest.raises(RunHistoryNotFoundError):
            await db.history.get_history("e1")


async def test_a_history_read_while_it_grows_is_one_moment_of_it(
    settings_of: dict[str, Any], other: Database
) -> None:
    async with Database(**settings_of) as db:
        await start(db)
        await db.history.append_step("e1", {})
        header = db.history._header

        async def slow(execution: str) -> Any:
            found = await header(execution)
            await other.history.append_step("e1", {})
            return found

        db.history._header = slow  # type: ignore[method-assign]
        found = await db.history.get_history("e1")
        assert len(found.steps) == 1
        assert found.trace_last_span_at == found.steps[-1].at


async def test_errors_of_a_history_have_one_root() -> None:
    assert issubclass(RunHistoryNotFoundError, RunHistoryError)
    assert issubclass(RunHistoryError, RuntimeError)
