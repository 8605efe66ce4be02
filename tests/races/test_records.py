"""Training checkpoints and run snapshots, from eight processes at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from orcheo_sql import Database

if TYPE_CHECKING:
    from tests.races.crew import Crew

COUNT = 12
ROUNDS = 30


async def test_versions_never_collide_and_one_is_the_best(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        for number in range(3):
            workflow = f"trained {number}"
            made = await asyncio.to_thread(
                crew.run, settings_of, "record_jobs.record_checkpoints", workflow, COUNT
            )
            assert sorted(n for each in made for n in each) == list(range(1, 8 * COUNT + 1))
            found = await db.agentensor.list_checkpoints(workflow)
            assert [c.config_version for c in found] == list(range(8 * COUNT, 0, -1))
            assert sum(c.is_best for c in found) == 1


async def test_the_best_is_never_pruned(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        made = [
            await db.agentensor.record_checkpoint(workflow_id="w", runnable_config={}, metrics={})
            for _ in range(30)
        ]
        outcomes = await asyncio.to_thread(
            crew.run, settings_of, "record_jobs.mark_and_prune", "w", [c.id for c in made]
        )
        counts = Counter(outcome for each in outcomes for outcome in each)
        assert counts.keys() == {"ok", "AgentensorCheckpointNotFoundError"}
        found = await db.agentensor.list_checkpoints("w")
        best = await db.agentensor.best_checkpoint("w")
        assert best is not None, "some mark came last, and what it marked stays"
        assert [c for c in found if c.is_best] == [best]
        assert [c.config_version for c in found][:3] == [30, 29, 28]


async def test_a_snapshot_is_always_that_of_one_save(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        await asyncio.to_thread(crew.begin, settings_of, "record_jobs.save_snapshots", "r", ROUNDS)
        working = asyncio.ensure_future(asyncio.to_thread(crew.results))
        seen = set()
        while not working.done():
            snapshot = await db.snapshots.load_run_snapshot("r")
            if snapshot is not None:
                assert snapshot.state["word"] == snapshot.objective
                assert snapshot.status in (snapshot.objective, "complete")
                seen.add(snapshot.objective)
        await working
        assert len(seen) > 1, "nothing was seen while they were at it"
        [last] = await db.snapshots.list_all_runs()
        assert (await db.snapshots.search_runs(last.objective)).items == [last]
