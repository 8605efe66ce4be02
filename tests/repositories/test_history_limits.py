"""Run history: what is large, what is long, what is written in several ways, and clocks that go back."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from tests.repositories.factories import Clock, new_workflow, rows
from tests.repositories.test_history import start
from tests.unit.test_history_secrets import Guarded

from orcheo_sql import Database, InvalidCursorError, RunHistoryError, RunHistoryPayloadTooLargeError


class Tool:
    def __init__(self) -> None:
        self.auth = Guarded("leak-attribute")


async def test_guarded_secrets_are_not_written(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of, history_search=True) as db:
        started = await start(
            db,
            runnable_config={"configurable": {"openai": Guarded("leak-config")}},
            callbacks=[Tool()],
            metadata=Guarded("leak-metadata"),
            tags=[Guarded("leak-tag")],
        )
        await db.history.append_step("e1", {"v": Guarded("leak-step"), "dbpassword": "leak-key"})
        await db.history.append_step("e1", {"headers": [("Authorization", "leak-header")]})
        for table in (
            "run_history",
            "run_history_inputs",
            "run_history_steps",
            "run_history_search",
        ):
            assert "leak" not in str(await rows(settings_of, f"SELECT * FROM {table}"))
    assert (started.tags, started.callbacks) == (["<redacted>"], [{"auth": "<redacted>"}])
    async with Database(**settings_of, history_redact=False) as db:
        started = await start(db, "e2", tags=[Guarded("leak")], callbacks=[Tool()])
        assert (started.tags, started.callbacks) == (["*" * 10], [{"auth": "*" * 10}])


async def test_others_go_on_while_a_large_value_is_looked_at(db: Database) -> None:
    """A list of 2**40 items that takes forty lists kept everybody waiting for 23 seconds."""
    await start(db)
    bomb: Any = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]

    class Endless(dict[str, int]):
        def items(self) -> Any:
            number = 0
            while True:
                number += 1
                yield str(number), number

    for value in (bomb, Endless()):
        with pytest.raises(RunHistoryPayloadTooLargeError):
            await db.history.append_step("e1", {"a": value})
    looked_at_by: set[int] = set()

    class Watched(dict[str, str]):
        def items(self) -> Any:
            looked_at_by.add(threading.get_ident())
            return super().items()

    items: list[Any] = [{"id": number, "name": "n"} for number in range(100_000)]
    await db.history.append_step("e1", {"a": [*items, Watched(b="c")]})
    assert looked_at_by
    assert threading.get_ident() not in looked_at_by
    assert (await db.history.list_steps("e1"))[0].payload == {"a": [*items, {"b": "c"}]}


async def test_words_of_a_large_step_are_found_too(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of, history_search=True) as db:
        await start(db)
        await db.history.append_step("e1", {"a": "hay " * 20_000 + "needle"})
        assert len((await db.history.search_steps("needle")).items) == 1


async def test_what_is_too_large_is_refused_as_an_error_of_the_history(
    settings_of: dict[str, Any],
) -> None:
    async with Database(**settings_of, history_max_payload_bytes=100) as db:
        with pytest.raises(
            RunHistoryPayloadTooLargeError,
            match="inputs of execution_id=e1 is larger than 100 bytes",
        ):
            await start(db, inputs={"a": "x" * 100})
        await start(db, inputs={"a": "x" * 80})
        await db.history.append_step("e1", {"a": "x" * 92})
        with pytest.raises(
            RunHistoryError, match=r"payload of execution_id=e1 .* ORCHEO_HISTORY_MAX_PAYLOAD_BYTES"
        ):
            await db.history.append_step("e1", {"a": "x" * 93})
        with pytest.raises(RunHistoryPayloadTooLargeError):
            await db.history.finish_run("e1", status="completed", payload=["x" * 100])
        found = await db.history.get_history("e1")
        assert (found.status, len(found.steps)) == ("running", 1)


async def test_long_texts_are_cut(db: Database) -> None:
    """They come with every record of a list."""
    long = "x" * 1_000_000
    started = await start(db, run_name=long, trace_id=long)
    assert started.run_name == started.trace_id == "x" * 1023 + "…"
    assert (await start(db, "e2", runnable_config={"run_name": long})).run_name == "x" * 1023 + "…"
    await start(db, "e3", run_name="n" * 1024, trace_id="t" * 1024)
    ended = [
        await db.history.mark_failed("e1", long),
        await db.history.mark_cancelled("e2", reason=long),
        await db.history.finish_run("e3", status="error", payload={}, error=long),
    ]
    for record in ended:
        assert record.error == "x" * 65_535 + "…"
        assert (await db.history.get_history(record.execution_id)).error == record.error
    assert (ended[2].run_name, ended[2].trace_id) == ("n" * 1024, "t" * 1024)


async def test_a_cursor_belongs_to_its_workflow(db: Database) -> None:
    for number in range(3):
        await start(db, f"e{number}")
        await start(db, f"x{number}", workflow_id="w2")
    cursor = (await db.history.page_histories("w1", limit=1)).next_cursor
    assert cursor is not None
    assert len((await db.history.page_histories("w1", cursor=cursor)).items) == 2
    with pytest.raises(InvalidCursorError):
        await db.history.page_histories("w2", cursor=cursor)


async def test_the_uuid_of_a_workflow_is_one_however_it_is_written(db: Database) -> None:
    workflow = await new_workflow(db)
    written: list[Any] = [workflow.id, str(workflow.id), str(workflow.id).upper(), workflow.id.hex]
    for number, workflow_id in enumerate(written):
        started = await start(db, f"e{number}", workflow_id=workflow_id)
        assert started.workflow_id == str(workflow.id)
    for workflow_id in written:
        assert len(await db.history.list_histories(workflow_id)) == 4
        page = await db.history.page_histories(workflow_id, limit=1)
        assert (await db.history.page_histories(workflow.id, cursor=page.next_cursor)).items
    # Those of executions are kept as they are: nothing deletes them by another id.
    execution = str(uuid.uuid4()).upper()
    assert (await start(db, execution, workflow_id="W-1")).execution_id == execution
    await db.workflows.archive_workflow(workflow.id, actor="ada")
    await db.workflows.delete_workflow(workflow.id)
    assert await db.history.list_histories(workflow.id) == []
    assert len(await db.history.list_histories("W-1")) == 1
    assert await db.history.delete_histories_of_workflow("w-1") == 0


async def test_the_last_span_never_goes_back(timed: Database, clock: Clock) -> None:
    """Each process reads its own clock, and takes its turn at the row later."""
    await start(timed)
    latest = clock.tick(10)
    await timed.history.append_step("e1", {})
    earlier = clock.tick(-5)
    assert (await timed.history.append_step("e1", {})).at == earlier
    assert (await timed.history.get_history("e1")).trace_last_span_at == latest
    done = await timed.history.finish_run("e1", status="completed", payload={})
    assert (done.completed_at, done.trace_last_span_at) == (earlier, latest)
    assert await timed.history.get_history("e1", steps_from=3) == done
