"""A history in memory: its methods return copies, by the same rules as the stored one."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from orcheo_sql import RunHistoryRecord, RunHistoryStatus

NOON = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)


def record(**fields: object) -> RunHistoryRecord:
    return msgspec.convert(
        {"workflow_id": "w", "execution_id": "e", "started_at": NOON, **fields}, RunHistoryRecord
    )


def test_steps_are_numbered_by_their_place() -> None:
    payload = {"a": 1}
    empty = record()
    two = empty.append_step(payload, at=NOON).append_step({"b": 2}, at=NOON.replace(tzinfo=None))
    payload["a"] = 9
    assert empty.steps == []
    assert [(step.index, step.at, step.payload) for step in two.steps] == [
        (0, NOON, {"a": 1}),
        (1, NOON, {"b": 2}),
    ]
    assert two.trace_started_at == two.trace_last_span_at == NOON


def test_the_last_span_never_goes_back() -> None:
    one = record().append_step({}, at=NOON)
    two = one.append_step({}, at=NOON - dt.timedelta(seconds=1))
    assert (two.steps[-1].at, two.trace_last_span_at) == (NOON - dt.timedelta(seconds=1), NOON)


def test_the_start_of_the_trace_stays() -> None:
    started = record(trace_started_at=NOON - dt.timedelta(hours=1))
    assert started.append_step({}, at=NOON).trace_started_at == started.trace_started_at


def test_an_execution_ends_in_one_of_three_ways() -> None:
    running = record()
    assert running.status == "running"
    assert not running.status.is_terminal
    done = running.mark_failed("boom", at=NOON).mark_completed(at=NOON)
    assert (done.status, done.error, done.completed_at) == ("completed", None, NOON)
    failed = running.mark_failed("boom")
    assert (failed.status, failed.error) == (RunHistoryStatus.ERROR, "boom")
    assert failed.completed_at == failed.trace_completed_at is not None
    cancelled = running.mark_cancelled()
    assert (cancelled.status, cancelled.error) == ("cancelled", None)
    assert running.mark_cancelled(reason="enough").error == "enough"


def test_its_document_has_the_fields_that_clients_load() -> None:
    document = msgspec.to_builtins(record().append_step({"a": 1}, at=NOON))
    assert document == {
        "workflow_id": "w", "execution_id": "e", "inputs": {}, "runnable_config": {}, "tags": [], "callbacks": [],
        "metadata": {}, "run_name": None, "status": "running", "started_at": "2026-01-02T12:00:00Z",
        "completed_at": None, "error": None,
        "steps": [{"index": 0, "at": "2026-01-02T12:00:00Z", "payload": {"a": 1}}],
        "trace_id": None, "trace_started_at": "2026-01-02T12:00:00Z", "trace_completed_at": None,
        "trace_last_span_at": "2026-01-02T12:00:00Z",
    }  # fmt: skip
    assert msgspec.convert(document, RunHistoryRecord) == record().append_step({"a": 1}, at=NOON)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unexpected"):
        msgspec.convert(
            {"workflow_id": "w", "execution_id": "e", "unexpected": 1}, RunHistoryRecord
        )
