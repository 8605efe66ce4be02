"""Filters and searches that an index answers: they find what comparing every document finds, newest first."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import NOON, Clock, follow, new_run, workflow_with_version

from orcheo_sql._filters import json_contains

if TYPE_CHECKING:
    from uuid import UUID

    from orcheo_sql import Database, WorkflowRun

TEXTS = (
    "gold", "Gold", "gold silver", "silver gold", "T-13", "t 13", "a_b", "a b", "--", "", " ", "ÀÉ", "ae", "é",
    "e\u0301", "東京都", "東京", "京", "İstanbul", "straße", "STRASSE", "ﬃ", "क्षि", "\u0301x", "x" * 70, "x" * 71, '"',
    'a"b', "NEAR", "NOT", "w", "17", "1.0", "null", "*", "col : x", "\ue000", "a\ue000b", "😀", "😀 gold",
)  # fmt: skip
TRIGGERS = ("manual", "t 13", 'odd "one"', "--", "東京")
NUMBERS = (0, 1, 17, -17, 1.0, 17.0, 0.5, -0.0, 1e3, 1000, 1e15, 10**15, 2**53 + 1, 1e300, 1e-7)


def value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth < 3 and kind < 0.2:
        return {key: value(chance, depth + 1) for key in chance.sample("abc", chance.randint(0, 3))}
    if depth < 3 and kind < 0.35:
        return [value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    if kind < 0.75:
        return chance.choice(TEXTS)
    return chance.choice((*NUMBERS, True, False, None))


def part(chance: random.Random, document: Any, depth: int = 0) -> Any:
    """Return something that a document contains, or a little else."""
    if depth and chance.random() < 0.05:
        return value(chance)
    if isinstance(document, dict):
        return {k: part(chance, v, 1) for k, v in document.items() if chance.random() < 0.6}
    if isinstance(document, list):
        return [part(chance, item, 1) for item in document if chance.random() < 0.6]
    return document


@pytest.mark.parametrize("seed", range(3))
async def test_filters_find_the_same_by_index_as_by_comparing(db: Database, seed: int) -> None:
    chance = random.Random(seed)
    versions = [await workflow_with_version(db, f"Flow {n}") for n in range(2)]
    runs: dict[UUID, tuple[WorkflowRun, UUID, dict[str, Any], dict[str, Any], dict[str, Any]]] = {}
    for _ in range(60):
        version = chance.choice(versions)
        given, labels, output = ({k: value(chance) for k in "abc"} for _ in range(3))
        run = await new_run(
            db,
            version,
            given,
            runnable_config={"metadata": labels},
            triggered_by=chance.choice(TRIGGERS),
        )
        run = await db.workflows.mark_run_started(run.id, actor="w")
        if chance.random() < 0.8:
            run = await db.workflows.mark_run_succeeded(run.id, actor="w", output=output)
        runs[run.id] = run, version.workflow_id, given, output, labels
    for _ in range(150):
        _, owner, *documents = runs[chance.choice(list(runs))]
        status = chance.choice((None, None, "running", "succeeded"))
        trigger = chance.choice((None, None, *TRIGGERS))
        wanted = [part(chance, d) if chance.random() < 0.6 else None for d in documents]
        of = owner if chance.random() < 0.3 else None
        page = await db.workflows.page_runs(
            workflow_id=of,
            status=status,
            triggered_by=trigger,
            input_filter=wanted[0],
            output_filter=wanted[1],
            metadata_filter=wanted[2],
            limit=1000,
        )
        expected = {
            run
            for run, (state, workflow, *stored) in runs.items()
            if of in (None, workflow)
            and status in (None, state.status)
            and trigger in (None, state.triggered_by)
            and (wanted[1] is None or state.output_payload is not None)
            and all(
                want is None or json_contains(json.dumps(document), json.dumps(want))
                for want, document in zip(wanted, stored, strict=True)
            )
        }
        assert {run.id for run in page.items} == expected, (wanted, of, status, trigger)


async def test_what_is_stored_as_another_text_is_found_as_that(db: Database) -> None:
    version = await workflow_with_version(db)
    run = await new_run(db, version, {"text": "a\0b", "number": float("nan")})
    stored = (await db.workflows.get_run(run.id)).input_payload
    for key in stored:
        page = await db.workflows.page_runs(input_filter={key: stored[key]})
        assert [found.id for found in page.items] == [run.id]


async def spread_runs(db: Database, clock: Clock) -> list[WorkflowRun]:
    """Create runs in an order that is not that of their times: many in one second, and before 1970."""
    chance = random.Random(7)
    version = await workflow_with_version(db)
    times = [NOON + timedelta(microseconds=n // 3) for n in range(12)]
    times += [NOON + timedelta(seconds=n / 4) for n in range(12)]
    times += [datetime(1969, 12, 31, 23, 59, 58, n, tzinfo=UTC) for n in range(8)]
    times += [datetime(1, 1, 1, 0, 0, n, tzinfo=UTC) for n in range(3)]
    times += [datetime(9999, 12, 31, 23, 59, 59, 999_990 + n, tzinfo=UTC) for n in range(3)]
    chance.shuffle(times)
    made = []
    for number, time in enumerate(times):
        clock.at = time
        payload = {"word": "findable", "odd": "yes" if number % 2 else "no"}
        made.append(await new_run(db, version, payload))
    return sorted(made, key=lambda run: (run.created_at, run.id), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 1000])
async def test_what_is_found_comes_newest_first_whatever_order_it_was_made_in(
    timed: Database, clock: Clock, limit: int
) -> None:
    runs = await spread_runs(timed, clock)
    odd = [run for run in runs if run.input_payload["odd"] == "yes"]
    workflows = timed.workflows
    [owner] = (await workflows.page_workflows()).items
    start, end = NOON, NOON + timedelta(seconds=2)
    searches = {
        "search": (partial(workflows.search_runs, "findable"), runs),
        "search in one": (partial(workflows.search_runs, "yes", workflow_id=owner.id), odd),
        "filter": (partial(workflows.page_runs, input_filter={"odd": "yes"}), odd),
        "filter in one": (
            partial(workflows.page_runs, workflow_id=owner.id, input_filter={"odd": "yes"}),
            odd,
        ),
        "filter in a window": (
            partial(
                workflows.page_runs,
                input_filter={"odd": "yes"},
                created_from=start,
                created_before=end,
            ),
            [run for run in odd if start <= run.created_at < end],
        ),
    }
    for name, (page, expected) in searches.items():
        found = [item for items in await follow(partial(page, limit=limit)) for item in items]
        assert [run.id for run in found] == [run.id for run in expected], name


async def test_other_searches_come_newest_first_too(timed: Database, clock: Clock) -> None:
    chance = random.Random(3)
    times = [NOON + timedelta(seconds=n / 3) for n in range(12)]
    chance.shuffle(times)
    for number, time in enumerate(times):
        clock.at = time
        await workflow_with_version(timed, f"Findable {number}")
        await timed.snapshots.save_run_state(f"run-{number}", {"objective": "Findable"})
    newest = sorted(range(12), key=lambda number: times[number], reverse=True)
    for limit in (1, 5, 100):
        pages = await follow(partial(timed.workflows.search_workflows, "findable", limit=limit))
        names = [item.name for items in pages for item in items]
        assert names == [f"Findable {number}" for number in newest]
        found = await follow(partial(timed.snapshots.search_runs, "findable", limit=limit))
        ids = [item.run_id for items in found for item in items]
        assert ids == [f"run-{number}" for number in newest]
