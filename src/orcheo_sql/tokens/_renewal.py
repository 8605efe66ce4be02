"""Hashes that are cheaper than the settings ask for are made anew, as soon as their token is presented."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import TYPE_CHECKING

from .._errors import OrcheoSqlError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from .._database import Database
    from ..structs.tokens import ServiceTokenRecord
    from ._hashing import TokenHasher

logger = logging.getLogger("orcheo_sql.tokens")


class Renewals:
    """Hashes tokens again, in tasks of its own, once for each token and process, whether it works out or not."""

    def __init__(self, database: Database, hasher: TokenHasher):
        self._database = database
        self._hasher = hasher
        self._tried: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, record: ServiceTokenRecord, token: SecretStr) -> None:
        """Renew the hash of a token that was just found to fit it, if that is due."""
        if record.identifier in self._tried or not self._hasher.is_outdated(record.secret_hash):
            return
        self._tried.add(record.identifier)
        # A context of its own: it is not part of the unit of work that the caller may be in.
        task = asyncio.get_running_loop().create_task(self._renew(record, token), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self._database.workers.add(self)

    async def finish(self) -> None:
        """Wait for those that are on their way; for the database that closes."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._database.workers.discard(self)

    async def _renew(self, record: ServiceTokenRecord, token: SecretStr) -> None:
        try:
            renewed = await self._hasher.hash(token)
            await self._database.tokens.renew_hash(
                record.identifier, secret_hash=record.secret_hash, renewed=renewed
            )
        except (OrcheoSqlError, MemoryError) as error:
            logger.warning("the hash of a service token could not be renewed: %s", error)
