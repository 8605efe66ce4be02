"""The databases that the settings name, and looking at them without changing them."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from orcheo_sql._database import Engine
    from orcheo_sql._migrate import Migrator
    from orcheo_sql.settings import Location, Settings


@dataclass(frozen=True)
class Place:
    """One database and the parts of the library that live in it."""

    location: Location
    parts: list[str]

    @property
    def is_absent(self) -> bool:
        """Whether nothing is there yet: a file that does not exist, or memory, which begins empty."""
        if self.location.dialect != "sqlite":
            return False
        # Not Path.exists: what may not be looked at is not absent, and opening it says why.
        return self.location.path is None or not os.path.lexists(self.location.path)


def places(settings: Settings) -> list[Place]:
    """Return the distinct databases of all parts that exist."""
    from orcheo_sql._database import SUBSYSTEMS

    found: dict[Location, Place] = {}
    for part in SUBSYSTEMS:
        location = settings.location(part)
        found.setdefault(location, Place(location, [])).parts.append(part.value)
    return list(found.values())


@asynccontextmanager
async def opened(
    settings: Settings, place: Place, *, look_only: bool = True
) -> AsyncIterator[Engine]:
    """Open the engine of a place without touching its schema; with `look_only` no file is changed either."""
    from orcheo_sql._database import make_engine
    from orcheo_sql.engines.base import Observation

    engine = make_engine(settings, place.location, Observation(float("inf")), look_only=look_only)
    try:
        await engine.open()
        yield engine
    finally:
        await engine.close()


def migrator_of(settings: Settings, engine: Engine) -> Migrator:
    """Return the migrator of an open engine, on the direct connection if one is configured."""
    from orcheo_sql._migrate import Migrator

    dsn = settings.postgres_migration_dsn if engine.dialect == "postgres" else None
    return Migrator(engine, dsn=dsn.get_secret_value() if dsn else None)
