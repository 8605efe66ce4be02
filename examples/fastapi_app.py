"""A workflow backend on orcheo_sql, small enough to read in one go.

::

    pip install orcheo-sql fastapi uvicorn
    uvicorn --app-dir examples fastapi_app:app

The database is the one that the ``ORCHEO_`` variables name: SQLite if there are none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from pydantic import BaseModel

from orcheo_sql import (
    CredentialHealthError,
    Database,
    RunTransitionError,
    Settings,
    TransientError,
    ValidationError,
    WorkflowDraftAccess,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
    WorkflowPublishStateError,
    WorkflowRunNotFoundError,
    WorkflowRunStatus,
    WorkflowVersionNotFoundError,
)

router = APIRouter(prefix="/api")


# What comes out: the structs of the library are JSON already, in one pass and without a second model.


class Struct(Response):
    """Any struct of the library, or a list or page of them, as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode with msgspec."""
        return msgspec.json.encode(content)


# What comes in: only shapes. The rules of the domain are the library's, and its messages go to the client.


class NewWorkflow(BaseModel):
    """A workflow together with its first version."""

    name: str
    handle: str | None = None
    description: str | None = None
    tags: list[str] = []
    draft_access: WorkflowDraftAccess = WorkflowDraftAccess.PERSONAL
    graph: dict[str, Any]


class WorkflowChanges(BaseModel):
    """Fields to change; the ones that are left out stay as they are."""

    name: str | None = None
    handle: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    is_archived: bool | None = None


class NewVersion(BaseModel):
    """The next version of a workflow."""

    graph: dict[str, Any]
    notes: str | None = None


class NewRun(BaseModel):
    """A run of the latest version, or of the one with this number."""

    input: dict[str, Any] = {}
    version: int | None = None


class RunOutcome(BaseModel):
    """How a run ended."""

    output: dict[str, Any] | None = None
    error: str | None = None


# Who asks for it: the database is opened once per process, by the lifespan below.


def get_db(request: Request) -> Database:
    """Return the database of this process."""
    db: Database = request.app.state.db
    return db


def get_actor(request: Request) -> str:
    """Say who does this, for the audit trail; a real backend takes it from its authentication."""
    return request.headers.get("x-actor", "anonymous")


async def get_workflow_id(ref: str, db: Annotated[Database, Depends(get_db)]) -> UUID:
    """Find the workflow of a path: by its handle, or by its id in any spelling."""
    return await db.workflows.resolve_workflow_ref(ref)


Db = Annotated[Database, Depends(get_db)]
Actor = Annotated[str, Depends(get_actor)]
WorkflowId = Annotated[UUID, Depends(get_workflow_id)]
Limit = Annotated[int, Query(ge=1, le=200)]


# Workflows


@router.post("/workflows")
async def create_workflow(new: NewWorkflow, db: Db, actor: Actor) -> Response:
    """Create a workflow and its first version: both, or neither."""
    async with db.transaction() as tx:
        workflow = await tx.workflows.create_workflow(
            name=new.name,
            handle=new.handle,
            slug=None,
            description=new.description,
            tags=new.tags,
            draft_access=new.draft_access,
            actor=actor,
        )
        await tx.workflows.create_version(
            workflow.id, graph=new.graph, metadata={}, notes=None, created_by=actor
        )
    return Struct(workflow, status_code=201)


@router.get("/workflows")
async def list_workflows(
    db: Db, q: str | None = None, limit: Limit = 50, cursor: str | None = None
) -> Response:
    """List workflows with their latest version, oldest first; with `q`, search them, newest first."""
    if q is not None:
        return Struct(await db.workflows.search_workflows(q, limit=limit, cursor=cursor))
    return Struct(await db.workflows.page_workflow_summaries(limit=limit, cursor=cursor))


@router.get("/workflows/{ref}")
async def get_workflow(workflow_id: WorkflowId, db: Db) -> Response:
    """Return one workflow."""
    return Struct(await db.workflows.get_workflow(workflow_id))


@router.patch("/workflows/{ref}")
async def update_workflow(
    workflow_id: WorkflowId, changes: WorkflowChanges, db: Db, actor: Actor
) -> Response:
    """Change a workflow."""
    return Struct(
        await db.workflows.update_workflow(workflow_id, **changes.model_dump(), actor=actor)
    )


@router.put("/workflows/{ref}/publication")
async def publish_workflow(
    workflow_id: WorkflowId, db: Db, actor: Actor, *, require_login: bool = True
) -> Response:
    """Make a workflow public."""
    return Struct(
        await db.workflows.publish_workflow(workflow_id, require_login=require_login, actor=actor)
    )


@router.delete("/workflows/{ref}/publication")
async def revoke_publish(workflow_id: WorkflowId, db: Db, actor: Actor) -> Response:
    """End its publication."""
    return Struct(await db.workflows.revoke_publish(workflow_id, actor=actor))


@router.post("/workflows/{ref}/versions")
async def create_version(
    workflow_id: WorkflowId, new: NewVersion, db: Db, actor: Actor
) -> Response:
    """Create the next version."""
    version = await db.workflows.create_version(
        workflow_id, graph=new.graph, metadata={}, notes=new.notes, created_by=actor
    )
    return Struct(version, status_code=201)


# Runs


@router.post("/workflows/{ref}/runs")
async def create_run(workflow_id: WorkflowId, new: NewRun, db: Db, actor: Actor) -> Response:
    """Create a pending run."""
    if new.version is None:
        version = await db.workflows.get_latest_version(workflow_id)
    else:
        version = await db.workflows.get_version_by_number(workflow_id, new.version)
    run = await db.workflows.create_run(
        workflow_id,
        workflow_version_id=version.id,
        triggered_by="api",
        input_payload=new.input,
        actor=actor,
    )
    return Struct(run, status_code=201)


@router.get("/workflows/{ref}/runs")
async def list_runs(
    workflow_id: WorkflowId,
    db: Db,
    status: WorkflowRunStatus | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Response:
    """List runs, newest first."""
    return Struct(
        await db.workflows.page_runs(
            workflow_id=workflow_id, status=status, limit=limit, cursor=cursor
        )
    )


@router.get("/runs/{run_id}")
async def get_run(run_id: UUID, db: Db) -> Response:
    """Return one run."""
    return Struct(await db.workflows.get_run(run_id))


@router.post("/runs/{run_id}/start")
async def start_run(run_id: UUID, db: Db, actor: Actor) -> Response:
    """Claim a pending run: of two workers that try, one gets 409."""
    return Struct(await db.workflows.mark_run_started(run_id, actor=actor))


@router.post("/runs/{run_id}/succeed")
async def succeed_run(run_id: UUID, outcome: RunOutcome, db: Db, actor: Actor) -> Response:
    """End a running run well."""
    return Struct(await db.workflows.mark_run_succeeded(run_id, actor=actor, output=outcome.output))


@router.post("/runs/{run_id}/fail")
async def fail_run(run_id: UUID, outcome: RunOutcome, db: Db, actor: Actor) -> Response:
    """End a run badly."""
    return Struct(
        await db.workflows.mark_run_failed(run_id, actor=actor, error=outcome.error or "unknown")
    )


@router.post("/runs/{run_id}/cancel")
async def cancel_run(run_id: UUID, outcome: RunOutcome, db: Db, actor: Actor) -> Response:
    """Give a run up."""
    return Struct(await db.workflows.mark_run_cancelled(run_id, actor=actor, reason=outcome.error))


# Health. Liveness asks nothing of the database: an outage there is no reason to restart this process.


@router.get("/livez")
async def livez() -> Response:
    """Say that the event loop turns."""
    return Struct({"status": "ok"})


@router.get("/readyz")
async def readyz(db: Db) -> Response:
    """Say whether requests can be served: every database answers."""
    databases = await db.health()
    ready = all(database.reachable for database in databases)
    return Struct(databases, status_code=200 if ready else 503)


# Errors: one place decides what a client sees of them.

NOT_FOUND: dict[type[Exception], str] = {
    WorkflowNotFoundError: "Workflow not found",
    WorkflowVersionNotFoundError: "Workflow version not found",
    WorkflowRunNotFoundError: "Workflow run not found",
}


def refusal(error: Exception) -> tuple[int, Any]:
    """Return the status and the detail for an error of the library."""
    match error:
        case WorkflowHandleConflictError():
            return 409, {"message": str(error), "code": "workflow.handle.conflict"}
        case WorkflowPublishStateError():
            return 409, {"message": str(error), "code": "workflow.publish.invalid_state"}
        case RunTransitionError():
            return 409, str(error)
        case CredentialHealthError():
            return 422, {"message": str(error), "failures": error.report.failures}
        case ValidationError():
            return 422, str(error)
        case TransientError():
            return 503, "The database is not available at the moment."
    return 404, NOT_FOUND[type(error)]


async def answer(_request: Request, error: Exception) -> Response:
    """Answer a request that the library refused."""
    status, detail = refusal(error)
    retry = {"retry-after": "1"} if status == 503 else None
    return Struct({"detail": detail}, status_code=status, headers=retry)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is opened before it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Database(settings) as db:
            app.state.db = db
            yield

    app = FastAPI(title="Workflows", lifespan=lifespan)
    app.include_router(router)
    for kind in (
        *NOT_FOUND,
        WorkflowHandleConflictError,
        WorkflowPublishStateError,
        RunTransitionError,
        CredentialHealthError,
        ValidationError,
        TransientError,
    ):
        app.add_exception_handler(kind, answer)
    return app


app = create_app()
