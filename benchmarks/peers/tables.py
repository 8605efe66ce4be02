"""What both SQLAlchemy peers share: the tables, declared once for both dialects, and the engines."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    DateTime,
    ForeignKey,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    event,
    make_url,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from orcheo_sql.codecs.encode import instant_text
from orcheo_sql.engines.sqlite_connection import PRAGMAS

if TYPE_CHECKING:
    from sqlalchemy import Dialect as SqlAlchemyDialect

    from . import Place

BUSY_SECONDS = 60.0


class _UuidText(TypeDecorator[UUID]):
    """A UUID as our SQLite files have it, with its hyphens: SQLAlchemy's own type would leave them out."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: SqlAlchemyDialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: SqlAlchemyDialect) -> UUID | None:
        return None if value is None else UUID(value)


class _InstantText(TypeDecorator[datetime]):
    """An aware time as our SQLite files have it: fixed-width UTC text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: SqlAlchemyDialect) -> str | None:
        return None if value is None else instant_text(value)

    def process_result_value(self, value: Any, dialect: SqlAlchemyDialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


# Variants, so that PostgreSQL, which has these types, pays nothing for those of SQLite.
ID = Uuid().with_variant(_UuidText(), "sqlite")
INSTANT = DateTime(timezone=True).with_variant(_InstantText(), "sqlite")
AUDIT_LOG = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """Root of the mapped classes."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's convention
        UUID: ID,
        datetime: INSTANT,
        str: Text(),
        int: BigInteger(),
        dict[str, Any]: JSON(),
        list[dict[str, Any]]: AUDIT_LOG,
    }


class Workflow(Base):
    __tablename__ = "workflows"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    is_archived: Mapped[bool]


class WorkflowVersion(Base):
    __tablename__ = "workflow_versions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id"))
    default_run_config: Mapped[dict[str, Any]]
    default_run_text: Mapped[str]


class RetryPolicy(Base):
    __tablename__ = "retry_policies"

    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


class WorkflowRun(Base):
    __tablename__ = "workflow_runs"

    run_number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    workflow_id: Mapped[UUID]
    workflow_version_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_versions.id"))
    status: Mapped[str]
    triggered_by: Mapped[str]
    error: Mapped[str | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    audit_log: Mapped[list[dict[str, Any]]]
    retry_policy: Mapped[int | None]
    is_handed_off: Mapped[bool]

    # A run is always wanted with its payloads: one joined statement.
    input: Mapped[RunInput] = relationship(lazy="joined", innerjoin=True)
    output: Mapped[RunOutput | None] = relationship(lazy="joined")
    # Written with the run, never read.
    search: Mapped[RunSearch] = relationship(lazy="raise")

    @property
    def input_payload(self) -> dict[str, Any]:
        return self.input.input_payload

    @property
    def runnable_config(self) -> dict[str, Any]:
        return self.input.runnable_config

    @property
    def output_payload(self) -> dict[str, Any] | None:
        return None if self.output is None else self.output.output_payload


class RunInput(Base):
    __tablename__ = "workflow_run_inputs"

    run_number: Mapped[int] = mapped_column(
        ForeignKey("workflow_runs.run_number"), primary_key=True
    )
    runnable_config: Mapped[dict[str, Any]]
    input_payload: Mapped[dict[str, Any]]


class RunOutput(Base):
    __tablename__ = "workflow_run_outputs"

    run_number: Mapped[int] = mapped_column(
        ForeignKey("workflow_runs.run_number"), primary_key=True
    )
    output_payload: Mapped[dict[str, Any]]


class RunSearch(Base):
    __tablename__ = "workflow_run_search"

    run_number: Mapped[int] = mapped_column(
        ForeignKey("workflow_runs.run_number"), primary_key=True
    )
    search_text: Mapped[str]


class RunHistory(Base):
    __tablename__ = "run_history"

    execution_id: Mapped[str] = mapped_column(primary_key=True)
    trace_last_span_at: Mapped[datetime | None]
    step_count: Mapped[int]


class RunHistoryStep(Base):
    __tablename__ = "run_history_steps"

    execution_id: Mapped[str] = mapped_column(
        ForeignKey("run_history.execution_id"), primary_key=True
    )
    index: Mapped[int] = mapped_column("step_index", primary_key=True)
    at: Mapped[datetime]
    payload: Mapped[dict[str, Any]]


def table(mapped: type[Base]) -> Table:
    """Return the table of a mapped class, for Core."""
    return cast("Table", mapped.__table__)


def transaction_engine(place: Place, pool_size: int) -> AsyncEngine:
    """Return an engine for transactions.

    On SQLite it has one connection, for there is one writer: several would wait for each other in SQLite's busy handler,
    which sleeps (a fifth to a third fewer writes per second, several times the p99). And the driver begins a transaction
    with BEGIN IMMEDIATE at the first INSERT, UPDATE or DELETE, in the same hop to its thread: a plain BEGIN fails with
    "database is locked" when it has read before another process has written.
    """
    if isinstance(place, Path):
        return _engine(place, 1, {"isolation_level": "IMMEDIATE"})
    return _engine(place, pool_size, {})


def autocommit_engine(place: Place, pool_size: int) -> AsyncEngine:
    """Return an engine for single statements: neither BEGIN nor ROLLBACK around them."""
    return _engine(
        place, pool_size, {}, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
    )


def _engine(place: Place, pool_size: int, sqlite: dict[str, Any], **options: Any) -> AsyncEngine:
    # The codec that we use ourselves, an order of magnitude faster than json.
    options |= {"json_serializer": _json_text, "json_deserializer": msgspec.json.decode}
    options |= {"pool_size": pool_size, "max_overflow": 0}
    if isinstance(place, Path):
        url = URL.create("sqlite+aiosqlite", database=str(place))
        engine = create_async_engine(
            url, connect_args={"timeout": BUSY_SECONDS, **sqlite}, **options
        )
        event.listen(engine.sync_engine, "connect", _set_pragmas)
        return engine
    return create_async_engine(
        make_url(place).set(drivername="postgresql+psycopg"),
        connect_args={"options": "-c TimeZone=UTC"},
        **options,
    )


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _set_pragmas(connection: Any, _record: Any) -> None:
    """Give a connection the settings that ours have; the journal mode is in the file."""
    cursor = connection.cursor()
    for name, value in PRAGMAS:
        if name != "journal_mode":
            cursor.execute(f"PRAGMA {name} = {value}")
    cursor.close()
