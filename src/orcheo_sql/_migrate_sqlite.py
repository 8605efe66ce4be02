"""The migration lock and bookkeeping on SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ._migrate import TABLE, Applied
from .engines.sqlite_errors import translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .engines.sqlite import SqliteEngine
    from .engines.sqlite_transaction import SqliteTransaction


class SqliteSession:
    """Bookkeeping statements on the writer."""

    def __init__(self, transaction: SqliteTransaction, foreign: frozenset[tuple[str, str]]):
        self._transaction = transaction
        self._foreign = foreign

    async def _rows(self, statement: str, args: Sequence[Any] = ()) -> list[Any]:
        try:
            return await self._transaction.run_raw(
                lambda raw: raw.execute(statement, args).fetchall()
            )
        except sqlite3.Error as error:
            raise translate(error, query=None) from error

    async def run(self, statement: str, args: Sequence[Any] = ()) -> None:
        """Run one statement."""
        await self._rows(statement, args)

    async def applied(self) -> list[Applied] | None:
        """Return the bookkeeping rows, or None when there is no such table."""
        if not await self._rows(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (TABLE,)
        ):
            return None
        rows = await self._rows(
            f"SELECT version, name, checksum, applied_at FROM {TABLE} ORDER BY version"  # noqa: S608
        )
        return [Applied(v, n, c, datetime.fromisoformat(at)) for v, n, c, at in rows]

    async def foreign_tables(self) -> list[str]:
        """Return the tables of the older product that are here."""
        rows = await self._rows(
            "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'"
        )
        return sorted({table for table, column in rows if (table, column) in self._foreign})


@asynccontextmanager
async def sqlite_session(
    engine: SqliteEngine, foreign: frozenset[tuple[str, str]], *, write: bool
) -> AsyncIterator[SqliteSession]:
    """Open a transaction: with the write lock of the file, or one that only reads."""
    async with engine.transaction(immediate=write) as transaction:
        yield SqliteSession(transaction, foreign)
