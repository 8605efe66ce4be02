"""What operations are measured on: an open database, and the entities in it that reads look at."""

from __future__ import annotations

from contextlib import suppress
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from .._errors import OrcheoSqlError, WorkflowNotFoundError
from ..engines.waiting import finish
from ..rules.tokens import sha256_of
from ..structs import ServiceTokenRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from .._database import Database
    from ..structs import AgentensorCheckpoint, Workflow, WorkflowRun, WorkflowVersion

FEW = 20
"""Entities that reads go around among."""
MORE_THAN_A_PAGE = 60
TAG = "orcheo-bench"
"""What workflows are tagged with, and ids begin with."""
DESCRIPTION = "Made by a benchmark"

PAYLOAD: Mapping[str, Any] = {
    "question": "Please check what happened to order 4711.",
    "customer": {"id": 4711, "tier": "gold", "country": "DE"},
    "priority": 3,
}
STEP = {"node": "answer", "text": "The order was sent on Monday and will arrive tomorrow.", "n": 1}
GRAPH = {"nodes": [{"id": "ask"}, {"id": "answer"}], "edges": [["ask", "answer"]]}
STATE = {
    "objective": "Refactor the billing module",
    "tasks": {f"t{n}": {"status": "planned", "title": f"Task {n}"} for n in range(10)},
    "notes": ["A line of what was found out so far."] * 20,
}
CONFIG = {"tags": ["bench"], "prompts": {"answer": "Answer in one sentence."}}


class Data:
    """A database where a few entities of each kind are made for reads to look at.

    All that is made can be taken away again: it belongs to workflows that are remembered, or is remembered itself.
    """

    def __init__(self, database: Database):
        self.db = database
        self._workflows: list[UUID] = []
        self._snapshots: list[str] = []
        self._tokens: list[str] = []

    async def new_workflow(self) -> Workflow:
        async def make() -> Workflow:
            workflow = await self.db.workflows.create_workflow(
                name=f"Bench {uuid4().hex[:12]}",
                slug=None,
                description=DESCRIPTION,
                tags=[TAG],
                draft_access="personal",
                actor="bench",
            )
            self._workflows.append(workflow.id)
            return workflow

        # A cancellation in the middle must not make us forget what there is to delete.
        return await finish(make())

    async def new_version(
        self, workflow: Workflow | None = None, graph: Mapping[str, Any] = GRAPH
    ) -> WorkflowVersion:
        owner = workflow or await self.new_workflow()
        return await self.db.workflows.create_version(
            owner.id, graph=graph, metadata={}, notes=None, created_by="bench"
        )

    async def new_run(
        self, version: WorkflowVersion, payload: Mapping[str, Any] = PAYLOAD, **more: Any
    ) -> WorkflowRun:
        return await self.db.workflows.create_run(
            version.workflow_id,
            workflow_version_id=version.id,
            triggered_by="manual",
            input_payload=payload,
            **more,
        )

    def new_token_ids(self, count: int) -> list[str]:
        ids = [f"{TAG}.{uuid4().hex}" for _ in range(count)]
        self._tokens += ids
        return ids

    async def new_token(self) -> str:
        [identifier] = self.new_token_ids(1)
        token, _ = await self.db.token_manager.mint(identifier=identifier, scopes=["bench"])
        return token

    async def new_brought_along(self) -> str:
        """Add a token as the older product has them: by its SHA-256, which takes no time to make."""
        [identifier] = self.new_token_ids(1)
        token = token_urlsafe(32)
        await self.db.tokens.create(
            ServiceTokenRecord(
                identifier=identifier, secret_hash=sha256_of(token), scopes=frozenset({"bench"})
            )
        )
        return token

    async def new_executions(self, count: int) -> list[str]:
        """Start histories of one workflow."""
        workflow = await self.new_workflow()
        executions = [uuid4().hex for _ in range(count)]
        for execution in executions:
            await self.db.history.start_run(
                workflow_id=str(workflow.id), execution_id=execution, inputs={"order": 4711}
            )
        return executions

    def new_snapshot_ids(self, count: int) -> list[str]:
        ids = [f"{TAG}.{uuid4().hex}" for _ in range(count)]
        self._snapshots += ids
        return ids

    async def workflows(self, count: int) -> Sequence[UUID]:
        """Return workflows to look at."""
        workflows = [(await self.new_workflow()).id for _ in range(FEW)]
        return around(workflows, count)

    async def workflows_with_versions(self, count: int) -> Sequence[UUID]:
        """Return workflows that have versions."""
        workflows = [(await self.new_version()).workflow_id for _ in range(FEW)]
        return around(workflows, count)

    async def versions(self, count: int) -> Sequence[UUID]:
        """Return versions to look at."""
        workflow = await self.new_workflow()
        versions = [(await self.new_version(workflow)).id for _ in range(FEW)]
        return around(versions, count)

    async def runs(self, count: int) -> Sequence[UUID]:
        """Return runs to look at, half of them succeeded."""
        version = await self.new_version()
        runs = [(await self.new_run(version)).id for _ in range(FEW)]
        for run in runs[::2]:
            await self.db.workflows.mark_run_started(run, actor="bench")
            await self.db.workflows.mark_run_succeeded(run, actor="bench", output={"answer": 42})
        return around(runs, count)

    async def workflows_with_runs(self, count: int) -> Sequence[UUID]:
        """Return workflows with more than fifty runs."""
        version = await self.new_version()
        for _ in range(MORE_THAN_A_PAGE):
            await self.new_run(version)
        return [version.workflow_id] * count

    async def executions(self, count: int) -> Sequence[str]:
        """Return histories with steps."""
        executions = await self.new_executions(FEW)
        for execution in executions:
            for _ in range(10):
                await self.db.history.append_step(execution, STEP)
        return around(executions, count)

    async def workflows_with_histories(self, count: int) -> Sequence[str]:
        """Return workflows with more than fifty histories."""
        await self.new_executions(MORE_THAN_A_PAGE)
        return [str(self._workflows[-1])] * count

    async def new_checkpoints(self, count: int) -> list[AgentensorCheckpoint]:
        """Train one workflow."""
        workflow = await self.new_workflow()
        return [
            await self.db.agentensor.record_checkpoint(
                workflow_id=str(workflow.id),
                runnable_config=CONFIG,
                metrics={"accuracy": number / count},
                is_best=number == count // 2,
            )
            for number in range(count)
        ]

    async def checkpoints(self, count: int) -> Sequence[str]:
        """Return checkpoints to look at."""
        return around([each.id for each in await self.new_checkpoints(FEW)], count)

    async def trained_workflows(self, count: int) -> Sequence[str]:
        """Return workflows with about fifty checkpoints."""
        return [(await self.new_checkpoints(50))[0].workflow_id] * count

    async def brought_along_tokens(self, count: int) -> Sequence[str]:
        """Return tokens of the older product."""
        return [await self.new_brought_along()] * count

    async def snapshots(self, count: int) -> Sequence[str]:
        """Return snapshots to look at."""
        runs = self.new_snapshot_ids(MORE_THAN_A_PAGE)
        for run in runs:
            await self.db.snapshots.save_run_state(run, STATE)
        return around(runs, count)

    async def find_left_over(self) -> int:
        """Look for what benchmarks have made and not deleted, to be deleted too; return how much it is."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.db.workflows.page_workflows(
                include_archived=True, limit=1000, cursor=cursor or None
            )
            self._workflows += [
                w.id for w in page.items if TAG in w.tags and w.description == DESCRIPTION
            ]
            cursor = page.next_cursor
        cursor = ""
        while cursor is not None:
            runs = await self.db.snapshots.page_runs(limit=1000, cursor=cursor or None)
            self._snapshots += [r.run_id for r in runs.items if r.run_id.startswith(f"{TAG}.")]
            cursor = runs.next_cursor
        tokens = await self.db.tokens.list_all()
        self._tokens += [t.identifier for t in tokens if t.identifier.startswith(f"{TAG}.")]
        return len(self._workflows) + len(self._snapshots) + len(self._tokens)

    async def clean_up(self) -> None:
        """Delete what was made, all that can be; raises the last error that there was."""
        failure: OrcheoSqlError | None = None
        kinds: tuple[tuple[list[Any], Callable[[Any], Awaitable[object]]], ...] = (
            (self._workflows, self._delete_workflow),
            (self._snapshots, self.db.snapshots.delete_run),
            (self._tokens, self.db.tokens.delete),
        )
        for made, delete in kinds:
            for one in made:
                try:
                    await delete(one)
                except OrcheoSqlError as error:
                    failure = error
        if failure is not None:
            raise failure

    async def _delete_workflow(self, workflow: UUID) -> None:
        with suppress(WorkflowNotFoundError):  # somebody else was quicker
            await self.db.workflows.archive_workflow(workflow, actor="bench")
            await self.db.workflows.delete_workflow(workflow)


def around(some: Sequence[Any], count: int) -> list[Any]:
    """Return as many as are wanted, the same ones again and again."""
    return [some[n % len(some)] for n in range(count)]
