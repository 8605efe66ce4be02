"""Eight processes at one run history."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.repositories.factories import rows

from orcheo_sql import Database

if TYPE_CHECKING:
    from tests.races.crew import Crew


async def test_steps_of_all_processes_are_numbered_without_gap_or_error(
    crew: Crew, settings_of: dict[str, Any]
) -> None:
    """Weakness 2: 88 of 200 appends failed so."""
    async with Database(**settings_of) as db:
        await db.history.start_run(workflow_id="w", execution_id="e")
        answers = await asyncio.to_thread(crew.run, settings_of, "history_jobs.append", "e", 25)
        appended = sorted(pair for answer in answers for pair in answer)
        assert [index for index, _ in appended] == list(range(200))
        found = await db.history.get_history("e")
        assert [(step.index, step.payload["content"]) for step in found.steps] == appended
        assert found.trace_last_span_at == found.steps[-1].at


async def test_a_history_begins_once(crew: Crew, settings_of: dict[str, Any]) -> None:
    executions = [f"e{number}" for number in range(20)]
    answers = await asyncio.to_thread(crew.run, settings_of, "history_jobs.start", executions)
    for outcomes in zip(*answers, strict=True):
        assert Counter(outcomes) == {"ok": 1, "RunHistoryError": 7}
    async with Database(**settings_of) as db:
        for number, execution in enumerate(executions):
            winner = [answer[number] for answer in answers].index("ok")
            assert (await db.history.get_history(execution)).inputs == {"by": winner}


async def test_an_execution_ends_in_one_way(crew: Crew, settings_of: dict[str, Any]) -> None:
    executions = [f"e{number}" for number in range(20)]
    async with Database(**settings_of) as db:
        for execution in executions:
            await db.history.start_run(workflow_id="w", execution_id=execution)
        answers = await asyncio.to_thread(crew.run, settings_of, "history_jobs.end", executions)
        for number, execution in enumerate(executions):
            outcomes = [answer[number] for answer in answers]
            assert [outcomes[3], outcomes[7]] == ["ok", "ok"], "steps may come at any time"
            winners = [m for m, outcome in enumerate(outcomes) if outcome == "ok" and m % 4 != 3]
            ways = {member % 4 for member in winners}
            assert len(ways) == 1
            # Who cancels what is cancelled is told so; of those that finish, one does.
            assert len(winners) == (2 if ways == {2} else 1)
            assert set(outcomes) == {"ok", "RunHistoryTransitionError"}
            found = await db.history.get_history(execution)
            assert found.status == ("completed", "error", "cancelled")[ways.pop()]
            last = [step for step in found.steps if "last" in step.payload]
            assert len(last) == (0 if found.status == "cancelled" else 1)
            assert [step.index for step in found.steps] == list(range(2 + len(last)))


async def test_many_prune_at_once(crew: Crew, settings_of: dict[str, Any]) -> None:
    """Each history is deleted, and counted, once; nobody meets a deadlock."""
    async with Database(**settings_of, history_search=True) as db:
        async with db.transaction() as tx:
            for number in range(300):
                execution = f"e{number}"
                await tx.history.start_run(workflow_id="w", execution_id=execution)
                await tx.history.append_step(execution, {"word": "needle"})
                if number % 3 == 0:
                    await tx.history.mark_completed(execution)
                elif number % 3 == 1:
                    await tx.history.mark_failed(execution, "boom")
        later = datetime.now(UTC) + timedelta(hours=1)
        gone = await asyncio.to_thread(crew.run, settings_of, "history_jobs.prune", later, 7)
        # Who comes to what another is just deleting ends early; one goes on.
        rest = await db.history.prune_histories(finished_before=later)
        assert sum(gone) + rest == 200
        assert {h.status for h in await db.history.list_histories("w")} == {"running"}
        assert await rows(settings_of, "SELECT count(*) FROM run_history_search") == [(100,)]


async def test_a_history_that_is_deleted_meanwhile_is_whole_or_not_there(
    crew: Crew, settings_of: dict[str, Any]
) -> None:
    async with Database(**settings_of) as db:
        await db.history.start_run(workflow_id="w", execution_id="e")
        await asyncio.to_thread(crew.run, settings_of, "history_jobs.append_or_delete", 40)
    assert await rows(
        settings_of,
        "SELECT count(*) FROM run_history_steps WHERE execution_id NOT IN (SELECT execution_id FROM run_history)",
    ) == [(0,)]
