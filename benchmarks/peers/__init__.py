"""Peers: our operations written with other libraries, as somebody who knows them would, on databases we have migrated.

Each stores exactly what ours store, so that each finds the other's runs and steps; tests/unit/test_bench_peers.py
proves it. They need the extra `bench`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from orcheo_sql.codecs.encode import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from orcheo_sql.codecs.rows import Dialect

Place: TypeAlias = Path | str
"""Where a database is: the path of a SQLite file, or a PostgreSQL DSN."""

PACKAGES = ("sqlalchemy", "greenlet", "asyncpg")
POOL_SIZE = 10
TRIGGER = "manual"
ACTOR = "bench"
PAGE = 50


class Peer(Protocol):
    """The operations of one library on one database.

    What they return has fields of the names of `WorkflowRun` and `RunHistoryStep`, JSON parsed.
    """

    name: str
    dialect: Dialect

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    async def get_run(self, run_id: UUID) -> Any:
        """Return one run, or raise `MissingError`."""
        ...

    async def page_runs(self, workflow_id: UUID) -> list[Any]:
        """Return the newest 50 runs of a workflow, complete."""
        ...

    async def create_run(
        self, workflow_id: UUID, version_id: UUID, payload: dict[str, Any]
    ) -> UUID:
        """Create a pending run of an active workflow and its own version, or raise `MissingError`."""
        ...

    async def start_run(self, run_id: UUID) -> Any:
        """Move a pending run to running and return it, or raise `MissingError`."""
        ...

    async def succeed_run(self, run_id: UUID, output: dict[str, Any]) -> Any:
        """Move a running run to succeeded and return it, or raise `MissingError`."""
        ...

    async def append_step(self, execution_id: str, step: dict[str, Any]) -> Any:
        """Append a step under the next index and return it, or raise `MissingError`."""
        ...


class MissingError(LookupError):
    """There is no such thing, or it is not in a state that allows the change."""


def missing_packages() -> list[str]:
    """Return what has to be installed before peers can run."""
    return [name for name in PACKAGES if find_spec(name) is None]


def peers_of(dialect: Dialect) -> dict[str, Callable[[Place, int], Peer]]:
    """Return the peers of a dialect by name; each is made from a place and the size of its pool."""
    # The imports are here because the packages are an extra, and the peers import this module.
    from .sqlalchemy_core import SqlAlchemyCore
    from .sqlalchemy_orm import SqlAlchemyOrm

    peers: list[Any] = [SqlAlchemyOrm, SqlAlchemyCore]
    if dialect == "postgres":
        from .asyncpg_peer import AsyncpgPeer

        peers.append(AsyncpgPeer)
    return {peer.name: peer for peer in peers}


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)


def audit_event(actor: str, action: str, at: datetime) -> dict[str, Any]:
    """Return one record of a run's audit log."""
    return {"actor": actor, "action": action, "at": instant_text(at), "metadata": {}}
