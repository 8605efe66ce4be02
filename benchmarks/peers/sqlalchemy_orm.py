"""The ORM of SQLAlchemy: objects are loaded, changed and flushed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import event, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from orcheo_sql._search import search_text
from orcheo_sql.repositories.workflow_runs import appended_text

from . import ACTOR, PAGE, POOL_SIZE, TRIGGER, MissingError, Place, audit_event, now
from .tables import (
    RetryPolicy,
    RunHistory,
    RunHistoryStep,
    RunInput,
    RunOutput,
    RunSearch,
    Workflow,
    WorkflowRun,
    WorkflowVersion,
    autocommit_engine,
    transaction_engine,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from orcheo_sql.codecs.rows import Dialect

T = TypeVar("T")


class SqlAlchemyOrm:
    name = "SQLAlchemy ORM"
    dialect: Dialect

    def __init__(self, place: Place, pool_size: int = POOL_SIZE):
        self.dialect = "sqlite" if isinstance(place, Path) else "postgres"
        self._place = place
        self._pool_size = pool_size
        self._engines: list[AsyncEngine] = []
        self._reading: async_sessionmaker[AsyncSession]
        self._writing: async_sessionmaker[AsyncSession]

    async def open(self) -> None:
        reading = autocommit_engine(self._place, self._pool_size)
        writing = transaction_engine(self._place, self._pool_size)
        if self.dialect == "sqlite":
            # A session reads before it writes, so it has to have the write lock from the beginning.
            event.listen(writing.sync_engine, "begin", _begin_immediate)
        self._engines = [reading, writing]
        self._reading = async_sessionmaker(reading, expire_on_commit=False)
        self._writing = async_sessionmaker(writing, expire_on_commit=False)

    async def close(self) -> None:
        for engine in self._engines:
            await engine.dispose()

    async def get_run(self, run_id: UUID) -> WorkflowRun:
        async with self._reading() as session:
            return _found(await session.scalar(_run(run_id)))

    async def page_runs(self, workflow_id: UUID) -> list[WorkflowRun]:
        newest = (
            select(WorkflowRun)
            .where(WorkflowRun.workflow_id == workflow_id)
            .order_by(WorkflowRun.created_at.desc(), WorkflowRun.id.desc())
            .limit(PAGE)
        )
        async with self._reading() as session:
            return list((await session.scalars(newest)).all())

    async def create_run(
        self, workflow_id: UUID, version_id: UUID, payload: dict[str, Any]
    ) -> UUID:
        policy = select(func.max(RetryPolicy.number)).where(RetryPolicy.workflow_id == workflow_id)
        eligible = (
            select(
                WorkflowVersion.default_run_config,
                WorkflowVersion.default_run_text,
                policy.scalar_subquery(),
            )
            .join(Workflow, Workflow.id == WorkflowVersion.workflow_id)
            .where(
                WorkflowVersion.id == version_id,
                Workflow.id == workflow_id,
                Workflow.is_archived.is_(False),
            )
            # It must not be archived until the run is committed.
            .with_for_update(read=True, key_share=True, of=Workflow)
        )
        async with self._writing.begin() as session:
            config, config_text, policy_number = _found((await session.execute(eligible)).first())
            at = now()
            run = WorkflowRun(
                id=uuid4(),
                workflow_id=workflow_id,
                workflow_version_id=version_id,
                status="pending",
                triggered_by=TRIGGER,
                created_at=at,
                updated_at=at,
                audit_log=[audit_event(TRIGGER, "run_created", at)],
                retry_policy=policy_number,
                is_handed_off=False,
                input=RunInput(runnable_config=config, input_payload=payload),
                search=RunSearch(search_text=search_text(TRIGGER, payload) + config_text),
            )
            session.add(run)
        return run.id

    async def start_run(self, run_id: UUID) -> WorkflowRun:
        async with self._writing.begin() as session:
            run = await _run_for_update(session, run_id, "pending")
            at = now()
            run.status = "running"
            run.started_at = at
            _note(run, "run_started", at)
        return run

    async def succeed_run(self, run_id: UUID, output: dict[str, Any]) -> WorkflowRun:
        async with self._writing.begin() as session:
            run = await _run_for_update(session, run_id, "running")
            at = now()
            run.status = "succeeded"
            run.completed_at = at
            run.error = None
            run.output = RunOutput(output_payload=output)
            _note(run, "run_succeeded", at)
            if words := appended_text(output):
                # Appended by the database: the text may be large.
                await session.execute(
                    update(RunSearch)
                    .where(RunSearch.run_number == run.run_number)
                    .values(search_text=RunSearch.search_text + words)
                    .execution_options(synchronize_session=False)
                )
        return run

    async def append_step(self, execution_id: str, step: dict[str, Any]) -> RunHistoryStep:
        async with self._writing.begin() as session:
            # The lock lets those who append to one execution take turns.
            history = _found(
                await session.get(RunHistory, execution_id, with_for_update={"key_share": True})
            )
            at = now()
            appended = RunHistoryStep(
                execution_id=execution_id, index=history.step_count, at=at, payload=step
            )
            session.add(appended)
            history.step_count += 1
            history.trace_last_span_at = max(history.trace_last_span_at or at, at)
        return appended


def _run(run_id: UUID) -> Select[WorkflowRun]:
    return select(WorkflowRun).where(WorkflowRun.id == run_id)


async def _run_for_update(session: AsyncSession, run_id: UUID, status: str) -> WorkflowRun:
    """Load and lock a run in a state."""
    # Of the run alone: the output, on the outer side of a join, can't be locked.
    locked = _run(run_id).with_for_update(key_share=True, of=WorkflowRun)
    run = _found(await session.scalar(locked))
    if run.status != status:
        raise MissingError
    return run


def _note(run: WorkflowRun, action: str, at: datetime) -> None:
    run.updated_at = max(run.updated_at, at)
    run.audit_log = [*run.audit_log, audit_event(ACTOR, action, at)]


def _found(value: T | None) -> T:
    if value is None:
        raise MissingError
    return value


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
