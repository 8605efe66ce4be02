"""How operators keep run histories from growing."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from tests.cli.test_operators import prepare

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

    from orcheo_sql import Database

LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_old_histories_are_pruned(cli: Cli, configured: dict[str, Any]) -> None:
    async def work(db: Database) -> None:
        for number, status in enumerate(["completed", "error", "cancelled", "error"]):
            await db.history.start_run(workflow_id="w", execution_id=f"e{number}")
            await db.history.finish_run(f"e{number}", status=status, payload={})
        await db.history.start_run(workflow_id="w", execution_id="running")

    prepare(configured, work, clock=lambda: LONG_AGO)
    assert cli("history", "prune", "--older-than", "3600d").out == "Deleted 0 histories\n"
    assert cli("history", "prune", "--older-than", "3000d", "--json").json == {"deleted": 0}
    errors = ("--status", "error", "--status", "completed")
    assert cli("history", "prune", "--older-than", "1h", *errors, "--json").json == {"deleted": 3}
    assert cli("history", "prune", "--older-than", "1h").out == "Deleted 1 histories\n"
    assert cli("history", "prune", "--older-than", "1h", "--json").json == {"deleted": 0}


def test_prune_needs_a_span_and_an_end(cli: Cli, configured: dict[str, Any]) -> None:
    assert cli("history", "prune").status == 2
    assert cli("history", "prune", "--older-than", "1h", "--status", "running").status == 2
