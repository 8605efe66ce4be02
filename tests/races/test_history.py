"""Eight processes at one run history."""

from __future__ import annotations

import asyncio
from collections import Counter
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
        # Clocks of processes are read before they take turns, so times may go back from step to step.
        assert found.trace_last_span_at == max(step.at for step in found.steps)


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
