"""Sixteen processes open an empty database at once. Behind PgBouncer: see `tests/races/test_pooler.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.fixtures.databases import postgres_settings
from tests.migrations.support import contents, number_of_migrations
from tests.races.crew import Crew

from orcheo_sql import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROUNDS = 5


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew(16)
    yield crew
    crew.close()


@pytest.fixture
def new_database(
    request: pytest.FixtureRequest, dialect: str, tmp_path: Path
) -> Iterator[Callable[[int], dict[str, Any]]]:
    """Yield what makes the settings of one empty database after the other."""
    made: list[str] = []

    def new(number: int) -> dict[str, Any]:
        if dialect == "sqlite":
            # The folder is new too.
            return {"database_path": tmp_path / f"{number}" / "orcheo.sqlite"}
        made.append(server().create_database())
        return postgres_settings(made[-1])

    def server() -> Any:
        return request.getfixturevalue("postgres_server")

    yield new
    for dsn in made:
        server().drop_database(dsn)


async def test_all_open_and_each_migration_is_applied_once(
    new_database: Callable[[int], dict[str, Any]], crew: Crew
) -> None:
    for number in range(ROUNDS):
        settings = new_database(number)
        # One connection each: sixteen processes are welcome on a server as it comes.
        limited = {**settings, "postgres_pool_max_size": 2}
        assert set(crew.run(limited, "open_database")) == {"ok"}
        applied = contents(settings)["orcheo_migrations"]
        assert [row[0] for row in applied] == list(range(1, number_of_migrations() + 1))
        async with Database(**settings) as db:
            [health] = await db.health()
            assert health.schema_version == number_of_migrations()


async def test_all_open_again_when_there_is_nothing_to_do(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    before = contents(settings_of)
    limited = {**settings_of, "postgres_pool_max_size": 2}
    assert set(crew.run(limited, "open_database")) == {"ok"}
    assert contents(settings_of) == before
