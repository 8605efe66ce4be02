"""What the behavioural suite needs beside `db`: a clock that stands still, and the queries that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import Clock, Queries

from orcheo_sql import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(settings_of: dict[str, Any], clock: Clock) -> AsyncIterator[Database]:
    """An open database whose time is `clock`."""
    async with Database(**settings_of, clock=clock) as database:
        yield database


@pytest.fixture
def queries() -> Queries:
    return Queries()


@pytest.fixture
async def observed(settings_of: dict[str, Any], queries: Queries) -> AsyncIterator[Database]:
    """An open database that reports each query to `queries`."""
    async with Database(**settings_of, observer=queries) as database:
        yield database


@pytest.fixture
async def other(settings_of: dict[str, Any]) -> AsyncIterator[Database]:
    """The same database opened a second time, as another process would."""
    async with Database(**settings_of) as database:
        yield database
