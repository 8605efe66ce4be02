from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fixtures.databases import empty_tables, postgres_settings
from tests.state_machine.records import Both

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def both(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Both]:
    dsn = request.getfixturevalue("_migrated_postgres")
    empty_tables(dsn)
    both = Both({"database_path": tmp_path / "orcheo.sqlite"}, postgres_settings(dsn))
    yield both
    both.close()
