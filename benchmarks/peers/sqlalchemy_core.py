"""The Core of SQLAlchemy: statements, made once, in as few round trips as the database allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    Text,
    bindparam,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from orcheo_sql._search import search_text
from orcheo_sql.repositories.workflow_runs import appended_text

from . import ACTOR, PAGE, POOL_SIZE, TRIGGER, MissingError, Place, audit_event, now
from .tables import (
    AUDIT_LOG,
    ID,
    INSTANT,
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
    table,
    transaction_engine,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import BindParameter, Executable, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    from orcheo_sql.codecs.rows import Dialect


@dataclass(slots=True)
class Run:
    id: UUID
    created_at: datetime
    updated_at: datetime
    audit_log: list[dict[str, Any]]
    workflow_version_id: UUID
    status: str
    triggered_by: str
    started_at: datetime | None
    completed_at: datetime | None
    error: str | None
    input_payload: dict[str, Any]
    runnable_config: dict[str, Any]
    output_payload: dict[str, Any] | None = None


@dataclass(slots=True)
class Step:
    index: int
    at: datetime
    payload: dict[str, Any]


class SqlAlchemyCore:
    name = "SQLAlchemy Core"
    dialect: Dialect

    def __init__(self, place: Place, pool_size: int = POOL_SIZE):
        self.dialect = "sqlite" if isinstance(place, Path) else "postgres"
        self._place = place
        self._pool_size = pool_size
        self._single: AsyncEngine
        self._transactions: AsyncEngine | None = None

    async def open(self) -> None:
        self._single = autocommit_engine(self._place, self._pool_size)
        if self.dialect == "sqlite":
            # On PostgreSQL all there is to do is single statements.
            self._transactions = transaction_engine(self._place, self._pool_size)

    async def close(self) -> None:
        await self._single.dispose()
        if self._transactions is not None:
            await self._transactions.dispose()

    async def get_run(self, run_id: UUID) -> Run:
        return Run(*await self._first(GET_RUN, {"run": run_id}))

    async def page_runs(self, workflow_id: UUID) -> list[Run]:
        async with self._single.connect() as connection:
            found = await connection.execute(PAGE_RUNS, {"workflow": workflow_id})
        return [Run(*row) for row in found]

    async def create_run(
        self, workflow_id: UUID, version_id: UUID, payload: dict[str, Any]
    ) -> UUID:
        at, run_id = now(), uuid4()
        given = {
            "run": run_id,
            "workflow": workflow_id,
            "version": version_id,
            "trigger": TRIGGER,
            "at": at,
            "log": [audit_event(TRIGGER, "run_created", at)],
            "payload": payload,
            "words": search_text(TRIGGER, payload),
        }
        if self._transactions is None:
            await self._first(CREATE_RUN, given)
        else:
            async with self._transactions.begin() as connection:
                given["number"] = (await connection.execute(SQLITE_INSERT_RUN, given)).scalar()
                if given["number"] is None:
                    raise MissingError
                await connection.execute(SQLITE_INSERT_INPUT, given)
                await connection.execute(SQLITE_INSERT_SEARCH, given)
        return run_id

    async def start_run(self, run_id: UUID) -> Run:
        at = now()
        given = {"run": run_id, "at": at, "event": audit_event(ACTOR, "run_started", at)}
        return Run(*await self._first(START_RUN[self.dialect], given))

    async def succeed_run(self, run_id: UUID, output: dict[str, Any]) -> Run:
        at = now()
        given = {
            "run": run_id,
            "at": at,
            "event": audit_event(ACTOR, "run_succeeded", at),
            "output": output,
            "words": appended_text(output),
        }
        if self._transactions is None:
            row = await self._first(SUCCEED_RUN, given)
        else:
            async with self._transactions.begin() as connection:
                row = (await connection.execute(SQLITE_SUCCEED_RUN, given)).first()
                if row is None:
                    raise MissingError
                given["number"], *row = row
                await connection.execute(SQLITE_INSERT_OUTPUT, given)
                if given["words"]:
                    await connection.execute(SQLITE_EXTEND_SEARCH, given)
        run = Run(*row)
        run.output_payload = output
        return run

    async def append_step(self, execution_id: str, step: dict[str, Any]) -> Step:
        at = now()
        given = {"execution": execution_id, "at": at, "payload": step}
        if self._transactions is None:
            [index] = await self._first(APPEND_STEP, given)
        else:
            async with self._transactions.begin() as connection:
                index = (await connection.execute(SQLITE_COUNT_STEP, given)).scalar()
                if index is None:
                    raise MissingError
                await connection.execute(SQLITE_INSERT_STEP, {**given, "index": index})
        return Step(index, at, step)

    async def _first(self, statement: Executable, given: dict[str, Any]) -> Any:
        """Run a single statement, and return the row that it must have."""
        async with self._single.connect() as connection:
            row = (await connection.execute(statement, given)).first()
        if row is None:
            raise MissingError
        return row


def _p(name: str, kind: Any) -> BindParameter[Any]:
    return bindparam(name, type_=kind)


runs, inputs, outputs, search = map(table, (WorkflowRun, RunInput, RunOutput, RunSearch))
workflows, versions, policies = map(table, (Workflow, WorkflowVersion, RetryPolicy))
histories, steps = map(table, (RunHistory, RunHistoryStep))

_RUN_FIELDS = (
    "id", "created_at", "updated_at", "audit_log", "workflow_version_id", "status", "triggered_by", "started_at",
    "completed_at", "error",
)  # fmt: skip
_COLUMNS = [runs.c[name] for name in _RUN_FIELDS]
_PAYLOADS = [inputs.c.input_payload, inputs.c.runnable_config]
_INPUTS = [
    select(column).where(inputs.c.run_number == runs.c.run_number).correlate(runs).scalar_subquery()
    for column in _PAYLOADS
]

_WHOLE: Any = select(*_COLUMNS, *_PAYLOADS, outputs.c.output_payload).select_from(
    runs.join(inputs, inputs.c.run_number == runs.c.run_number).outerjoin(
        outputs, outputs.c.run_number == runs.c.run_number
    )
)
GET_RUN = _WHOLE.where(runs.c.id == _p("run", ID))
PAGE_RUNS = (
    _WHOLE.where(runs.c.workflow_id == _p("workflow", ID))
    .order_by(runs.c.created_at.desc(), runs.c.id.desc())
    .limit(PAGE)
)

# A run and all that belongs to it.
_FROM = {
    "workflow_id": workflows.c.id,
    "workflow_version_id": versions.c.id,
    "retry_policy": select(func.max(policies.c.number))
    .where(policies.c.workflow_id == workflows.c.id)
    .correlate(workflows)
    .scalar_subquery(),
}
_GIVEN = {
    "id": _p("run", ID),
    "status": literal("pending"),
    "triggered_by": _p("trigger", Text()),
    "created_at": _p("at", INSTANT),
    "updated_at": _p("at", INSTANT),
    "audit_log": _p("log", AUDIT_LOG),
    "is_handed_off": literal(value=False),
}


def _eligible(*columns: Any) -> Select[Any]:
    """Select from a workflow and a version that a run can be made of."""
    return (
        select(*columns)
        .join_from(workflows, versions, versions.c.workflow_id == workflows.c.id)
        .where(
            workflows.c.id == _p("workflow", ID),
            workflows.c.is_archived.is_(False),
            versions.c.id == _p("version", ID),
        )
    )


_ELIGIBLE = (
    _eligible(
        *[column.label(name) for name, column in _FROM.items()],
        versions.c.default_run_config,
        versions.c.default_run_text,
    )
    # It must not be archived until the run is committed.
    .with_for_update(read=True, key_share=True, of=workflows)
    .cte("eligible")
)
_CREATED = (
    insert(runs)
    .from_select(
        [*_FROM, *_GIVEN], select(*[_ELIGIBLE.c[name] for name in _FROM], *_GIVEN.values())
    )
    .returning(runs.c.run_number)
    .cte("created")
)
_OF_CREATED = _CREATED.join(_ELIGIBLE, true())
CREATE_RUN = select(_CREATED.c.run_number).add_cte(
    insert(inputs)
    .from_select(
        ["run_number", "input_payload", "runnable_config"],
        select(
            _CREATED.c.run_number, _p("payload", JSON()), _ELIGIBLE.c.default_run_config
        ).select_from(_OF_CREATED),
    )
    .cte("given"),
    insert(search)
    .from_select(
        ["run_number", "search_text"],
        select(
            _CREATED.c.run_number, _p("words", Text()) + _ELIGIBLE.c.default_run_text
        ).select_from(_OF_CREATED),
    )
    .cte("indexed"),
)
SQLITE_INSERT_RUN = (
    insert(runs)
    .from_select([*_FROM, *_GIVEN], _eligible(*_FROM.values(), *_GIVEN.values()))
    .returning(runs.c.run_number)
)
SQLITE_INSERT_INPUT = insert(inputs).from_select(
    ["run_number", "input_payload", "runnable_config"],
    select(_p("number", BigInteger()), _p("payload", JSON()), versions.c.default_run_config).where(
        versions.c.id == _p("version", ID)
    ),
)
SQLITE_INSERT_SEARCH = insert(search).from_select(
    ["run_number", "search_text"],
    select(_p("number", BigInteger()), _p("words", Text()) + versions.c.default_run_text).where(
        versions.c.id == _p("version", ID)
    ),
)


def _change(dialect: Dialect, status: str, **values: Any) -> Any:
    """Change the state of a run, if it is in the one before, and append to its log."""
    later = func.max if dialect == "sqlite" else func.greatest
    noted: Any
    if dialect == "sqlite":
        noted = func.json_insert(runs.c.audit_log, "$[#]", func.json(_p("event", JSON())))
    else:
        noted = runs.c.audit_log.op("||")(_p("event", AUDIT_LOG))
    before = {"running": "pending", "succeeded": "running"}[status]
    return (
        update(runs)
        .where(runs.c.id == _p("run", ID), runs.c.status == before)
        .values(
            status=status,
            updated_at=later(runs.c.updated_at, _p("at", INSTANT)),
            audit_log=noted,
            **values,
        )
    )


def _start(dialect: Dialect) -> Any:
    return _change(dialect, "running", started_at=_p("at", INSTANT)).returning(*_COLUMNS, *_INPUTS)


def _succeed(dialect: Dialect) -> Any:
    return _change(dialect, "succeeded", completed_at=_p("at", INSTANT), error=None)


START_RUN = {"sqlite": _start("sqlite"), "postgres": _start("postgres")}

_EXTENDED = search.c.search_text + _p("words", Text())
_DONE = _succeed("postgres").returning(runs.c.run_number, *_COLUMNS).cte("done")
SUCCEED_RUN = (
    select(*[_DONE.c[name] for name in _RUN_FIELDS], *_PAYLOADS)
    .join_from(_DONE, inputs, inputs.c.run_number == _DONE.c.run_number)
    .add_cte(
        insert(outputs)
        .from_select(
            ["run_number", "output_payload"], select(_DONE.c.run_number, _p("output", JSON()))
        )
        .cte("kept"),
        update(search)
        .where(search.c.run_number == _DONE.c.run_number, _p("words", Text()) != "")
        .values(search_text=_EXTENDED)
        .cte("indexed"),
    )
)
SQLITE_SUCCEED_RUN = _succeed("sqlite").returning(runs.c.run_number, *_COLUMNS, *_INPUTS)
SQLITE_INSERT_OUTPUT = insert(outputs).values(
    run_number=_p("number", BigInteger()), output_payload=_p("output", JSON())
)
SQLITE_EXTEND_SEARCH = (
    update(search)
    .where(search.c.run_number == _p("number", BigInteger()))
    .values(search_text=_EXTENDED)
)


def _count(dialect: Dialect) -> Any:
    """Count one step more; those who append to one execution take turns at this row."""
    at = _p("at", INSTANT)
    last = histories.c.trace_last_span_at
    # The greatest of NULL and something is NULL on SQLite.
    later = (
        func.max(func.coalesce(last, at), at) if dialect == "sqlite" else func.greatest(last, at)
    )
    return (
        update(histories)
        .where(histories.c.execution_id == _p("execution", Text()))
        .values(step_count=histories.c.step_count + 1, trace_last_span_at=later)
        .returning((histories.c.step_count - 1).label("index"))
    )


_COUNTED = _count("postgres").cte("counted")
_STEP_COLUMNS = ["execution_id", "step_index", "at", "payload"]
APPEND_STEP = select(_COUNTED.c.index).add_cte(
    insert(steps)
    .from_select(
        _STEP_COLUMNS,
        select(_p("execution", Text()), _COUNTED.c.index, _p("at", INSTANT), _p("payload", JSON())),
    )
    .cte("appended")
)
SQLITE_COUNT_STEP = _count("sqlite")
SQLITE_INSERT_STEP = insert(steps).values(
    execution_id=_p("execution", Text()),
    step_index=_p("index", steps.c.step_index.type),
    at=_p("at", INSTANT),
    payload=_p("payload", JSON()),
)
