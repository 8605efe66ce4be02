"""The demo's workflows and their versions: stored once, and anew when their graph has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import (
    RepositoryError,
    ValidationError,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
    WorkflowVersionNotFoundError,
)
from orcheo_sql.structs import WorkflowVersion

if TYPE_CHECKING:
    from uuid import UUID

    from orcheo_sql import Database, Transaction, Workflow, WorkflowRun

    from ._graphs import GraphFile

ACTOR = "orcheo-sql demo"
TAG = "orcheo-sql-demo"


@dataclass(eq=False)
class Stored:
    """A workflow as the demo left it."""

    source: GraphFile
    workflow: Workflow
    latest: WorkflowVersion
    is_new: bool
    new_versions: int
    new_runs: int = 0
    fullest_run: WorkflowRun | None = None
    """The run with the longest audit trail."""


class NotOursError(RepositoryError):
    """The handle belongs to a workflow that the demo did not create, and must not touch."""


async def store_workflow(db: Database, source: GraphFile, *, with_draft: bool) -> Stored:
    """Create the workflow of a graph, or add a version to the one of an earlier demo if the graph has changed.

    Raises:
        ValidationError: the graph holds what can't be stored.
        NotOursError: the handle is taken.
    """
    try:
        known = await db.workflows.resolve_workflow_ref(source.handle)
    except WorkflowNotFoundError:
        try:
            async with db.transaction() as tx:
                return await _create(tx, source, with_draft=with_draft)
        except WorkflowHandleConflictError:
            # Another demo was quicker.
            known = await db.workflows.resolve_workflow_ref(source.handle)
    return await _refresh(db, source, known)


async def _create(tx: Transaction, source: GraphFile, *, with_draft: bool) -> Stored:
    """Create workflow and versions in one unit of work: another demo sees all of it, or nothing."""
    workflow = await tx.workflows.create_workflow(
        name=source.name,
        handle=source.handle,
        slug=None,
        description=source.description,
        tags=[TAG, *source.tags],
        draft_access="workspace",
        actor=ACTOR,
    )
    draft = draft_of(source.graph) if with_draft else None
    if draft is not None:
        await _add_version(tx, workflow, source, draft, "First draft, without the last node")
    latest = await _add_version(tx, workflow, source, source.graph, f"As in {source.file}")
    return Stored(source, workflow, latest, is_new=True, new_versions=latest.version)


async def _refresh(db: Database, source: GraphFile, known: UUID) -> Stored:
    workflow = await db.workflows.get_workflow(known)
    if TAG not in workflow.tags:
        raise NotOursError(
            f"the handle {source.handle} belongs to a workflow that is not the demo's; rename the file"
        )
    latest = await _latest(db, workflow)
    if latest is not None and is_same(latest, source) and not workflow.is_archived:
        return Stored(source, workflow, latest, is_new=False, new_versions=0)
    async with db.transaction() as tx:
        # Changing the workflow first makes a second demo wait here, and then see our version.
        workflow = await tx.workflows.update_workflow(
            workflow.id,
            name=source.name,
            description=source.description or "",
            tags=[TAG, *source.tags],
            is_archived=False,
            actor=ACTOR,
        )
        latest = await _latest(tx, workflow)
        if latest is not None and is_same(latest, source):
            return Stored(source, workflow, latest, is_new=False, new_versions=0)
        note = f"As in {source.file}, which has changed"
        latest = await _add_version(tx, workflow, source, source.graph, note)
    return Stored(source, workflow, latest, is_new=False, new_versions=1)


async def _latest(db: Database | Transaction, workflow: Workflow) -> WorkflowVersion | None:
    try:
        return await db.workflows.get_latest_version(workflow.id)
    except WorkflowVersionNotFoundError:
        return None


async def _add_version(
    tx: Transaction, workflow: Workflow, source: GraphFile, graph: dict[str, Any], notes: str
) -> WorkflowVersion:
    return await tx.workflows.create_version(
        workflow.id,
        graph=graph,
        metadata={"source": source.file, "nodes": len(source.labels)},
        runnable_config={"tags": ["demo"], "metadata": {"team": "demo"}},
        notes=notes,
        created_by=ACTOR,
    )


def is_same(version: WorkflowVersion, source: GraphFile) -> bool:
    """Whether a version has the graph of a file, by checksum."""
    given = WorkflowVersion(
        workflow_id=version.workflow_id, version=1, graph=source.graph, created_by=ACTOR
    )
    return version.compute_checksum() == given.compute_checksum()


def draft_of(graph: dict[str, Any]) -> dict[str, Any] | None:
    """Return the graph without its last node, or None when it has too few to tell them apart."""
    nodes, edges = graph.get("nodes"), graph.get("edges")
    if not isinstance(nodes, list) or len(nodes) < 2 or not isinstance(nodes[-1], dict):
        return None
    gone = nodes[-1].get("id")
    kept = [
        edge
        for edge in (edges if isinstance(edges, list) else [])
        if not (isinstance(edge, dict) and gone in (edge.get("source"), edge.get("target")))
    ]
    return {**graph, "nodes": nodes[:-1], "edges": kept}


SKIPPABLE = (ValidationError, NotOursError, WorkflowNotFoundError)
"""What one graph may suffer without ending the demo."""
