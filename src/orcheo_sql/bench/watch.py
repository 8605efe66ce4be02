"""Notice that a server has gone, so that nobody waits for what will not come."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import psycopg

from .._errors import ConnectionLostError
from ..engines.postgres_connection import connect_apart
from ..engines.postgres_errors import Reasons

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from ..engines.postgres_connection import Connection
    from ..settings import Location

    Watched = tuple[Connection, Reasons]

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 5.0
"""How long a server may take for an answer that takes it no time."""


@asynccontextmanager
async def watched(
    locations: Iterable[Location], close: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Call `close` when a server goes away: then nothing in the block waits for it, or tries again.

    Raises:
        ConnectionLostError: a server has gone, whatever else that led to.
    """
    gone: list[str] = []

    async def watch(servers: Sequence[Watched]) -> None:
        gone.append(await _which_goes(servers))
        await close()

    async with AsyncExitStack() as stack:
        servers: list[Watched] = []
        for location in locations:
            if location.dsn is not None:
                dsn = location.dsn.get_secret_value()
                reasons = Reasons(dsn, str(location))
                connection = await connect_apart(dsn, reasons, ANSWER_SECONDS)
                stack.push_async_callback(connection.close)
                servers.append((connection, reasons))
        watching = asyncio.create_task(watch(servers))
        try:
            yield
        except Exception:
            if servers:
                # What fails because a server has gone may fail before that is seen.
                await asyncio.wait([watching], timeout=2 * LOOK_SECONDS)
            if not gone:
                raise
        finally:
            if not gone:
                watching.cancel()
            await asyncio.wait([watching])
    if gone:
        raise ConnectionLostError(
            f"PostgreSQL went away while it was measured ({gone[0]}). What was added may still be "
            "there: delete it with orcheo-sql bench --clean",
            dialect="postgres",
        )


async def _which_goes(servers: Sequence[Watched]) -> str:
    """Return which server has gone and why, when one does."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for connection, reasons in servers:
            timer = loop.call_later(ANSWER_SECONDS, connection.cut)
            try:
                await connection.execute("SELECT 1", prepare=False)
            except psycopg.Error as error:
                return f"{reasons.location}: {reasons.of(error)}"
            finally:
                timer.cancel()
