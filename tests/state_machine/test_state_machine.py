"""SQLite, PostgreSQL and a model in plain Python, driven side by side through every operation of `db.workflows`.

Deterministic as it stands. `HYPOTHESIS_PROFILE=explore` runs longer and elsewhere each time; a failure prints the
shortest program that shows it.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.state_machine.machine import WorkflowMachine
from tests.state_machine.sides import Sides, equal_ids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPLORING = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
PARTS = 2
EXAMPLES = 1000 if EXPLORING else 70
STEPS = 100
MINIMUM = 10_000


@pytest.fixture
def sides(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sides]:
    from tests.fixtures.databases import empty_tables, postgres_settings

    dsn = request.getfixturevalue("_migrated_postgres")
    empty_tables(dsn)
    both = Sides(
        {"database_path": tmp_path / "orcheo.sqlite"},
        postgres_settings(dsn),
    )
    with equal_ids(), contextlib.closing(both):
        both.open()
        yield both


@pytest.mark.parametrize("part", range(PARTS))
def test_both_databases_and_the_model_agree(part: int, sides: Sides) -> None:
    machine: Any = type(WorkflowMachine.__name__, (WorkflowMachine,), {"sides": sides, "steps": 0})
    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(machine if EXPLORING else seed(part)(machine), settings=how)
    assert machine.steps >= MINIMUM / PARTS, "fewer steps than promised"
