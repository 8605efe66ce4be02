"""Workflows and their versions: changes, lists, search."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from orcheo_sql._pages import encode_cursor

from ..data import FEW, GRAPH, MORE_THAN_A_PAGE, around
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from ..data import Data

GRAPH_LIMIT = {"postgres": 1.25, "sqlite": 2.0}
"""Before it is sent, a graph is encoded, and listeners and words are looked for in it."""


async def own_workflows(data: Data, count: int) -> Sequence[UUID]:
    """Return workflows that may be changed, which seeded ones may not."""
    return around([(await data.new_workflow()).id for _ in range(FEW)], count)


async def a_page_of_new_ones(data: Data, count: int, kind: str) -> Sequence[str]:
    """Return the cursor of a page of workflows that nobody has changed: lists begin with the oldest."""
    before = await data.new_workflow()
    for _ in range(MORE_THAN_A_PAGE):
        await data.new_version()
    return [encode_cursor(kind, before.created_at, before.id)] * count


async def many_versions(data: Data, count: int) -> Sequence[UUID]:
    workflow = await data.new_workflow()
    for _ in range(MORE_THAN_A_PAGE):
        await data.new_version(workflow)
    return [workflow.id] * count


async def references(data: Data, count: int) -> Sequence[str]:
    return [str(workflow) for workflow in await data.workflows(count)]


async def rare_word(data: Data, count: int) -> Sequence[str]:
    """Return a word that one workflow is found by: the end of its name."""
    return [(await data.new_workflow()).name.split()[-1]] * count


OPERATIONS = (
    Operation(
        "workflows.update_workflow",
        own_workflows,
        lambda db, w: db.workflows.update_workflow(
            w,
            name=f"Bench {uuid4().hex[:12]}",
            description=None,
            tags=None,
            is_archived=None,
            actor="bench",
        ),
        writes=True,
    ),
    Operation(
        "workflows.create_version",
        own_workflows,
        lambda db, w: db.workflows.create_version(
            w, graph=GRAPH, metadata={}, notes=None, created_by="bench"
        ),
        GRAPH_LIMIT,
        writes=True,
    ),
    Operation(
        "workflows.resolve_workflow_ref",
        references,
        lambda db, reference: db.workflows.resolve_workflow_ref(reference),
    ),
    Operation(
        "workflows.get_latest_version",
        lambda data, count: data.workflows_with_versions(count),
        lambda db, w: db.workflows.get_latest_version(w),
    ),
    Operation(
        "workflows.page_workflows, 50",
        lambda data, count: a_page_of_new_ones(data, count, "workflows"),
        lambda db, c: db.workflows.page_workflows(limit=50, cursor=c),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.page_workflow_summaries, 50",
        lambda data, count: a_page_of_new_ones(data, count, "summaries"),
        lambda db, c: db.workflows.page_workflow_summaries(limit=50, cursor=c),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.page_versions, 50",
        many_versions,
        lambda db, w: db.workflows.page_versions(w, limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "workflows.search_workflows",
        rare_word,
        lambda db, word: db.workflows.search_workflows(word, limit=50),
    ),
)
