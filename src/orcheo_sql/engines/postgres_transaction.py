"""A unit of work on one PostgreSQL connection."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from psycopg.pq import TransactionStatus

from .._errors import OrcheoSqlError, TransactionError
from .waiting import finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..codecs.rows import Dialect
    from .base import CompiledQuery
    from .postgres import PostgresEngine
    from .postgres_connection import Connection

ROLLBACK_SECONDS = 5.0
_OVER = (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)


class PostgresTransaction:
    """An open transaction on one connection."""

    dialect: Dialect = "postgres"

    def __init__(self, connection: Connection, engine: PostgresEngine):
        self.connection = connection
        self._engine = engine
        self._depth = 0

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query within the transaction; never repeated, for what came before would be missing."""
        args = query.bind(params)
        prepare = False if query.plans_anew else None
        observation = self._engine.observation
        started = time.perf_counter()
        try:
            rows = await self._engine.run(self.connection, query, args, prepare)
        except BaseException as error:
            observation.record(query.name, "postgres", started, started, error)
            raise
        observation.record(query.name, "postgres", started, started)
        return query.result(rows)

    async def commit(self) -> None:
        """Keep everything.

        Raises:
            TransactionError: the server had to undo everything, because a statement had failed.
        """
        done = await self._engine.command(self.connection, "COMMIT")
        if done != "COMMIT":
            raise TransactionError(
                "PostgreSQL has rolled back this unit of work, because of an earlier error in it"
            )

    async def rollback(self) -> None:
        """Undo everything, waited for even while the caller is being cancelled; its failure never hides the cause."""
        if self.connection.pgconn.transaction_status not in _OVER:
            await self._undo("ROLLBACK")

    async def _undo(self, *statements: str) -> None:
        """Run cleaning-up statements to their end; a connection that can't be cleaned is closed."""
        connection = self.connection
        timer = asyncio.get_running_loop().call_later(ROLLBACK_SECONDS, connection.cut)
        try:
            for statement in statements:
                await finish(self._engine.command(connection, statement))
        except OrcheoSqlError:
            await connection.close()
        finally:
            timer.cancel()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Open a savepoint."""
        self._depth += 1
        name = f"orcheo_{self._depth}"
        try:
            await self._engine.command(self.connection, f"SAVEPOINT {name}")
            try:
                yield
            except BaseException:
                await finish(
                    self._undo(f"ROLLBACK TO SAVEPOINT {name}", f"RELEASE SAVEPOINT {name}")
                )
                raise
            await self._engine.command(self.connection, f"RELEASE SAVEPOINT {name}")
        finally:
            self._depth -= 1
