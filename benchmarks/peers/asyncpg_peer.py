"""asyncpg: our own SQL through the fastest driver, rows as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from orcheo_sql._catalog import load_catalog
from orcheo_sql._search import search_text
from orcheo_sql.engines.base import CompiledQuery
from orcheo_sql.repositories.workflow_runs import appended_text

from . import ACTOR, PAGE, POOL_SIZE, TRIGGER, MissingError, Place, audit_event, now

if TYPE_CHECKING:
    from orcheo_sql.codecs.rows import Dialect

# Without the filters that ours could have.
PAGE_RUNS = f"""
    SELECT
        r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
        i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
    FROM workflow_runs AS r
    INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
    LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
    WHERE r.workflow_id = $1
    ORDER BY r.created_at DESC, r.id DESC
    LIMIT {PAGE}
"""


class Row(asyncpg.Record):
    """A row whose columns are attributes too."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class AsyncpgPeer:
    name = "asyncpg"
    dialect: Dialect = "postgres"

    def __init__(self, place: Place, pool_size: int = POOL_SIZE):
        self._dsn = str(place)
        self._pool_size = pool_size
        self._pool: Any = None
        catalog = load_catalog("postgres")
        names = [f"workflows.{name}_run" for name in ("get", "insert", "start", "succeed")]
        queries = [CompiledQuery(catalog[name]) for name in [*names, "history.append_step"]]
        self._get, self._insert, self._start, self._succeed, self._append = queries

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=self._pool_size,
            init=_set_codecs,
            # By default a connection is reset with a round trip after each use. We leave nothing to reset, and neither
            # psycopg's pool nor SQLAlchemy's does that.
            reset=_leave,
            record_class=Row,
            server_settings={"TimeZone": "UTC"},
        )

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def get_run(self, run_id: UUID) -> Row:
        return await self._first(self._get, id=run_id)

    async def page_runs(self, workflow_id: UUID) -> list[Row]:
        found: list[Row] = await self._pool.fetch(PAGE_RUNS, workflow_id)
        return found

    async def create_run(
        self, workflow_id: UUID, version_id: UUID, payload: dict[str, Any]
    ) -> UUID:
        at = now()
        created = await self._first(
            self._insert,
            id=uuid4(),
            workflow_id=workflow_id,
            workflow_version_id=version_id,
            triggered_by=TRIGGER,
            input_payload=payload,
            runnable_config=None,
            now=at,
            event=audit_event(TRIGGER, "run_created", at),
            search_text=search_text(TRIGGER, payload),
            config_text=None,
            hand_off=False,
        )
        run_id: UUID = created.id
        return run_id

    async def start_run(self, run_id: UUID) -> Row:
        at = now()
        event = audit_event(ACTOR, "run_started", at)
        return await self._first(self._start, id=run_id, now=at, event=event)

    async def succeed_run(self, run_id: UUID, output: dict[str, Any]) -> Row:
        at = now()
        return await self._first(
            self._succeed,
            id=run_id,
            output_payload=output,
            now=at,
            event=audit_event(ACTOR, "run_succeeded", at),
            output_text=appended_text(output),
        )

    async def append_step(self, execution_id: str, step: dict[str, Any]) -> Row:
        return await self._first(
            self._append, execution_id=execution_id, payload=step, search_text=None, now=now()
        )

    async def _first(self, query: CompiledQuery, **given: Any) -> Row:
        """Run a query and return the row that it must have."""
        row: Row | None = await self._pool.fetchrow(
            query.sql, *[given[name] for name in query.order]
        )
        if row is None:
            raise MissingError
        return row


async def _set_codecs(connection: Any) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=_json_text, decoder=msgspec.json.decode
        )


async def _leave(_connection: Any) -> None:
    pass


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
