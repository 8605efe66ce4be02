"""Training checkpoints: numbered, at most one best, kept as long as asked for."""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
import pytest
from tests.repositories.factories import NOON, Clock, Queries, follow, rows

from orcheo_sql import (
    AgentensorCheckpoint,
    AgentensorCheckpointNotFoundError,
    AgentensorVersionConflictError,
    Database,
    InvalidCursorError,
    JsonFilter,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from orcheo_sql import Page


async def record(db: Any, workflow_id: Any = "w", **given: Any) -> AgentensorCheckpoint:
    fields: dict[str, Any] = {"runnable_config": {}, "metrics": {}, **given}
    found: AgentensorCheckpoint = await db.agentensor.record_checkpoint(
        workflow_id=workflow_id, **fields
    )
    return found


async def versions(page: Callable[..., Awaitable[Page[AgentensorCheckpoint]]]) -> list[int]:
    return [c.config_version for items in await follow(page) for c in items]


async def test_what_is_recorded_is_kept(timed: Database) -> None:
    made = await record(
        timed,
        runnable_config={"tags": ["t"], "prompt": "Sort the messages"},
        metrics={"accuracy": 0.9, "loss": [1, 0.5]},
        metadata={"epoch": 1, "summary": {"ok": True}},
        artifact_url="s3://bucket/key",
    )
    assert await timed.agentensor.get_checkpoint(made.id) == made
    assert msgspec.to_builtins(made) == {
        "id": made.id,
        "workflow_id": "w",
        "config_version": 1,
        "runnable_config": {"tags": ["t"], "prompt": "Sort the messages"},
        "metrics": {"accuracy": 0.9, "loss": [1, 0.5]},
        "metadata": {"epoch": 1, "summary": {"ok": True}},
        "artifact_url": "s3://bucket/key",
        "created_at": "2026-01-02T12:00:00.123456Z",
        "is_best": False,
    }
    assert made.created_at == NOON
    assert (await record(timed, metadata=None)).metadata == {}


async def test_versions_count_up_per_workflow(db: Database) -> None:
    assert [(await record(db)).config_version for _ in range(3)] == [1, 2, 3]
    assert (await record(db, "other")).config_version == 1
    assert (await record(db, config_version=10)).config_version == 10
    assert (await record(db, config_version=5)).config_version == 5
    assert (await record(db)).config_version == 11, "above the highest, whatever came last"
    found = await db.agentensor.list_checkpoints("w")
    assert [c.config_version for c in found] == [11, 10, 5, 3, 2, 1]
    latest = await db.agentensor.latest_checkpoint("w")
    assert latest is not None
    assert latest.config_version == 11


async def test_a_version_is_there_once(db: Database) -> None:
    await record(db, config_version=3, is_best=True)
    with pytest.raises(AgentensorVersionConflictError, match=r"'w' .* 3 already"):
        await record(db, config_version=3, is_best=True)
    best = await db.agentensor.best_checkpoint("w")
    assert best is not None
    assert (await record(db)).config_version == 4


async def test_a_conflict_leaves_the_unit_of_work_usable(db: Database) -> None:
    async with db.transaction() as tx:
        await record(tx)
        with pytest.raises(AgentensorVersionConflictError):
            await record(tx, config_version=1, is_best=True)
        await record(tx)
    assert [c.config_version for c in await db.agentensor.list_checkpoints("w")] == [2, 1]
    assert await db.agentensor.best_checkpoint("w") is None


async def test_numbers_are_not_given_out_again(db: Database) -> None:
    for _ in range(3):
        await record(db)
    assert await db.agentensor.prune_checkpoints("w", keep_last=0) == 3
    assert (await record(db)).config_version == 4


async def test_the_best_is_one(db: Database) -> None:
    assert await db.agentensor.best_checkpoint("w") is None
    first = await record(db, is_best=True)
    other = await record(db, "other", is_best=True)
    second = await record(db, is_best=True)
    assert (first.is_best, second.is_best) == (True, True)

    async def best() -> list[int]:
        found = await db.agentensor.list_checkpoints("w")
        marked = [c.config_version for c in found if c.is_best]
        single = await db.agentensor.best_checkpoint("w")
        assert marked == ([] if single is None else [single.config_version])
        return marked

    assert await best() == [2]
    assert (await db.agentensor.get_checkpoint(first.id)).is_best is False
    marked = await db.agentensor.mark_best_checkpoint(first.id)
    assert (marked.config_version, marked.is_best) == (1, True)
    assert await best() == [1]
    await record(db)
    assert await best() == [1]
    assert (await db.agentensor.get_checkpoint(other.id)).is_best is True


async def test_what_is_not_there(db: Database) -> None:
    assert await db.agentensor.list_checkpoints("none") == []
    assert await db.agentensor.latest_checkpoint("none") is None
    assert await db.agentensor.best_checkpoint("none") is None
    assert (await db.agentensor.page_checkpoints("none")).items == []
    assert await db.agentensor.prune_checkpoints("none", keep_last=0) == 0
    for call in (db.agentensor.get_checkpoint("x'y"), db.agentensor.mark_best_checkpoint("x'y")):
        with pytest.raises(AgentensorCheckpointNotFoundError) as caught:
            await call
        assert str(caught.value) == 'Checkpoint "x\'y" not found.'
    assert issubclass(AgentensorCheckpointNotFoundError, RuntimeError)


async def test_lists_have_limits_and_pages(db: Database) -> None:
    for _ in range(5):
        await record(db)
    found = await db.agentensor.list_checkpoints("w", limit=2)
    assert [c.config_version for c in found] == [5, 4]
    assert await db.agentensor.list_checkpoints("w", limit=0) == []
    for size in (1, 2, 5, 100):
        page = partial(db.agentensor.page_checkpoints, "w", limit=size)
        assert await versions(page) == [5, 4, 3, 2, 1]
    cursor = (await db.agentensor.page_checkpoints("w", limit=1)).next_cursor
    with pytest.raises(InvalidCursorError):
        await db.agentensor.page_checkpoints("other", cursor=cursor)


async def test_checkpoints_by_metrics_and_metadata(db: Database) -> None:
    for accuracy, kind in ((0.5, "a"), (0.9, "a"), (0.95, "b"), (float("nan"), "b"), (1, "b")):
        await record(
            db,
            metrics={"accuracy": accuracy, "by": {"label": {"f1": accuracy}}},
            metadata={"summary": {"kind": kind}},
        )

    async def found(**conditions: Any) -> list[int]:
        return await versions(partial(db.agentensor.page_checkpoints, "w", limit=1, **conditions))

    good = JsonFilter(where=[("accuracy", ">=", 0.9)])
    assert await found(metrics_filter=good) == [5, 3, 2]
    assert await found(metrics_filter=JsonFilter(where=[("by.label.f1", "<", 0.9)])) == [1]
    assert await found(metrics_filter={"accuracy": 0.95}) == [3]
    assert await found(metrics_filter={"accuracy": "NaN"}) == [4]
    assert await found(metadata_filter={"summary": {"kind": "b"}}) == [5, 4, 3]
    both = {"metrics_filter": good, "metadata_filter": {"summary": {"kind": "b"}}}
    assert await found(**both) == [5, 3]


async def test_keeping_the_last_never_removes_the_best(
    db: Database, settings_of: dict[str, Any]
) -> None:
    made = [await record(db) for _ in range(8)]
    await record(db, "other")
    await db.agentensor.mark_best_checkpoint(made[2].id)

    async def left() -> list[int]:
        return [c.config_version for c in await db.agentensor.list_checkpoints("w")]

    assert await db.agentensor.prune_checkpoints("w", keep_last=4, limit=2) == 2
    assert await left() == [8, 7, 6, 5, 4, 3]
    assert await db.agentensor.prune_checkpoints("w", keep_last=4) == 1
    assert await left() == [8, 7, 6, 5, 3]
    assert await db.agentensor.prune_checkpoints("w", keep_last=4) == 0
    assert await db.agentensor.prune_checkpoints("w", keep_last=0) == 4
    assert await left() == [3]
    assert len(await rows(settings_of, "SELECT id FROM agentensor_checkpoints")) == 2


async def test_all_of_a_workflow_can_be_deleted(db: Database, settings_of: dict[str, Any]) -> None:
    for _ in range(3):
        await record(db, is_best=True)
    kept = await record(db, "other")
    assert await db.agentensor.delete_checkpoints_of_workflow("w") is True
    assert await db.agentensor.delete_checkpoints_of_workflow("w") is False
    assert await db.agentensor.list_checkpoints("w") == []
    assert await db.agentensor.get_checkpoint(kept.id) == kept
    assert len(await rows(settings_of, "SELECT workflow_id FROM agentensor_workflows")) == 1
    assert (await record(db)).config_version == 1


async def test_hostile_metrics_become_text(db: Database) -> None:
    made = await record(
        db,
        metrics={"loss": float("inf"), "at": dt.datetime(2025, 1, 1, tzinfo=dt.UTC), "n": 2**70},
        metadata={"note": "a\0b"},
        artifact_url="file:\0",
    )
    assert made.metrics == {"loss": "Infinity", "at": "2025-01-01T00:00:00Z", "n": str(2**70)}
    assert (made.metadata, made.artifact_url) == ({"note": r"a\u0000b"}, r"file:\u0000")
    assert await db.agentensor.get_checkpoint(made.id) == made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workflow_id": ""}, "workflow_id"),
        ({"workflow_id": "x" * 129}, "workflow_id"),
        ({"workflow_id": "a\0"}, "workflow_id"),
        ({"workflow_id": None}, "workflow_id"),
        ({"config_version": 0}, "config_version"),
        ({"config_version": -1}, "config_version"),
        ({"config_version": True}, "config_version"),
        ({"config_version": 2**63}, "config_version"),
        ({"config_version": "1"}, "config_version"),
        ({"runnable_config": {"x": float("nan")}}, "runnable_config.x"),
        ({"runnable_config": []}, "runnable_config"),
        ({"metrics": None}, "metrics"),
        ({"metrics": {"f": object()}}, "metrics.f"),
        ({"metadata": "text"}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"is_best": 1}, "is_best"),
        ({"artifact_url": 5}, "artifact_url"),
    ],
)
async def test_bad_values_are_refused(db: Database, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        await record(db, **given)
    assert await db.agentensor.list_checkpoints("w") == []


async def test_bad_arguments_are_refused(db: Database) -> None:
    for call in (
        db.agentensor.list_checkpoints("w", limit=-1),
        db.agentensor.page_checkpoints("w", limit=1001),
        db.agentensor.prune_checkpoints("w", keep_last=-1),
        db.agentensor.get_checkpoint(None),  # type: ignore[arg-type]
        db.agentensor.get_checkpoint("\0"),
        db.agentensor.list_checkpoints("\ud800"),
    ):
        with pytest.raises(ValidationError):
            await call


async def test_a_copy_is_kept(db: Database) -> None:
    metrics = {"loss": [1]}
    made = await record(db, metrics=metrics)
    metrics["loss"].append(2)
    made.metrics["loss"].append(3)
    assert (await db.agentensor.get_checkpoint(made.id)).metrics == {"loss": [1]}


async def test_each_call_is_one_query(settings_of: dict[str, Any], clock: Clock) -> None:
    queries = Queries()
    async with Database(**settings_of, observer=queries) as db:
        made = await record(db, is_best=True)
        assert queries.take() == ["insert_checkpoint"]
        for call in (
            db.agentensor.get_checkpoint(made.id),
            db.agentensor.list_checkpoints("w"),
            db.agentensor.latest_checkpoint("w"),
            db.agentensor.best_checkpoint("w"),
            db.agentensor.mark_best_checkpoint(made.id),
            db.agentensor.page_checkpoints("w", metrics_filter={"a": 1}),
            db.agentensor.prune_checkpoints("w", keep_last=1),
        ):
            await call
            assert len(queries.take()) == 1


async def test_two_at_once_get_two_numbers(db: Database) -> None:
    made = await asyncio.gather(*(record(db, is_best=True) for _ in range(20)))
    assert sorted(c.config_version for c in made) == list(range(1, 21))
    assert sum(c.is_best for c in await db.agentensor.list_checkpoints("w")) == 1


async def test_marking_waits_for_pruning(settings_of: dict[str, Any]) -> None:
    """What is deleted meanwhile can't be the best, also within a unit of work."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        old, *_ = [await record(db) for _ in range(3)]

        async def mark() -> None:
            async with other.transaction() as tx:
                await tx.agentensor.mark_best_checkpoint(old.id)

        async with db.transaction() as tx:
            assert await tx.agentensor.prune_checkpoints("w", keep_last=1) == 2
            marking = asyncio.create_task(mark())
            await asyncio.sleep(0.2)
            assert not marking.done()
        with pytest.raises(AgentensorCheckpointNotFoundError):
            await marking
        assert await db.agentensor.best_checkpoint("w") is None


async def test_the_highest_versions_are_listed(db: Database) -> None:
    await record(db, config_version=2**62)
    made = await record(db)
    assert made.config_version == 2**62 + 1
    assert await db.agentensor.latest_checkpoint("w") == made


async def test_ids_may_be_uuids(db: Database) -> None:
    workflow = uuid4()
    made = await record(db, workflow)
    assert made.workflow_id == str(workflow)
    assert await db.agentensor.get_checkpoint(UUID(made.id)) == made
    assert await db.agentensor.list_checkpoints(workflow) == [made]
