from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.races.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Yield eight processes that all tests of a session share."""
    crew = Crew(8)
    yield crew
    crew.close()
