"""The demo's worker: takes runs from the outbox, and each of them to its fate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orcheo_sql._errors import RunTransitionError, WorkflowRunNotFoundError
from orcheo_sql.structs import WorkflowRunStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from orcheo_sql import Database, OutboxEntry, WorkflowRun

    from ._demo_neighbours import Neighbours
    from ._demo_store import Stored

WORKER = "demo worker"
BATCH = 100
LEASE_SECONDS = 60
LATER_SECONDS = 3600
"""When a run that the worker gives back is offered again: not to the same demo."""

# What becomes of the runs of a workflow, in turn.
FATES = (
    WorkflowRunStatus.SUCCEEDED,
    WorkflowRunStatus.FAILED,
    WorkflowRunStatus.SUCCEEDED,
    WorkflowRunStatus.CANCELLED,
    WorkflowRunStatus.SUCCEEDED,
    WorkflowRunStatus.SUCCEEDED,
    WorkflowRunStatus.RUNNING,
    WorkflowRunStatus.PENDING,
)


class OutboxWork(msgspec.Struct):
    """What the worker did at the outbox."""

    claimed: int = 0
    acknowledged: int = 0
    given_back: int = 0
    left_to_others: int = 0
    """Runs that are offered to the workers of others: the demo took them to their fates without claiming them."""


class Worker:
    """Works off what the triggers have dispatched; without the outbox while others use it, too."""

    def __init__(self, db: Database, neighbours: Neighbours, advance: Callable[[str], None]):
        self._db = db
        self._neighbours = neighbours
        self._advance = advance
        self._expected: dict[UUID, tuple[Stored, int]] = {}
        self.outbox = OutboxWork()
        self.failed: dict[UUID, UUID] = {}
        """The first run that failed, by its workflow."""

    def expect(self, stored: Stored, run: WorkflowRun) -> None:
        """Remember a new run of a workflow: its number says what becomes of it."""
        self._expected[run.id] = (stored, stored.new_runs)
        stored.new_runs += 1

    async def work(self) -> None:
        """Take to their fates what is expected and what the outbox offers."""
        while self._neighbours.are_away:
            entries = await self._db.workflows.claim_outbox(
                consumer=WORKER, limit=BATCH, lease_seconds=LEASE_SECONDS
            )
            if not entries:
                # What has not been among them is with the worker of another demo.
                self._expected.clear()
                return
            await self._work_off(entries)
        for run_id in list(self._expected):
            self.outbox.left_to_others += 1
            await self._live(run_id)

    async def _work_off(self, entries: list[OutboxEntry]) -> None:
        workflows = self._db.workflows
        ours = [entry for entry in entries if await self._neighbours.owns(entry.workflow_id)]
        others = [entry for entry in entries if entry not in ours]
        if others:
            # Somebody has begun to use this database just now.
            await workflows.release_outbox(others)
            self._neighbours.met()
        done: list[OutboxEntry] = []
        later: list[OutboxEntry] = []
        for entry in ours:
            fate = await self._live(entry.run_id)
            (later if fate is WorkflowRunStatus.PENDING else done).append(entry)
        self.outbox.claimed += len(ours)
        self.outbox.acknowledged += await workflows.acknowledge_outbox(done)
        self.outbox.given_back += await workflows.release_outbox(later, delay_seconds=LATER_SECONDS)

    async def _live(self, run_id: UUID) -> WorkflowRunStatus:
        """Take a run to its fate; one that this demo does not know succeeds: it is left over, or of another demo."""
        stored, number = self._expected.pop(run_id, (None, 0))
        fate = FATES[number % len(FATES)]
        labels = [] if stored is None else stored.source.labels
        try:
            run = await self._meet(run_id, fate, labels, number)
        except (RunTransitionError, WorkflowRunNotFoundError):
            # At least once means sometimes twice: another worker was quicker, or somebody deleted it.
            return WorkflowRunStatus.SUCCEEDED
        if stored is not None:
            self._advance(stored.source.handle)
            if fate is WorkflowRunStatus.FAILED:
                self.failed.setdefault(stored.workflow.id, run_id)
            fullest = stored.fullest_run
            if run and (fullest is None or len(run.audit_log) > len(fullest.audit_log)):
                stored.fullest_run = run
        return fate

    async def _meet(
        self, run_id: UUID, fate: WorkflowRunStatus, labels: list[str], number: int
    ) -> WorkflowRun | None:
        workflows = self._db.workflows
        if fate is WorkflowRunStatus.PENDING:
            return None
        if fate is WorkflowRunStatus.CANCELLED:
            return await workflows.mark_run_cancelled(
                run_id, actor="ada", reason="Nobody waits for the answer any more."
            )
        run = await workflows.mark_run_started(run_id, actor=WORKER)
        if fate is WorkflowRunStatus.FAILED:
            step = (labels or ["model"])[-1]
            return await workflows.mark_run_failed(
                run_id, actor=WORKER, error=f"Step '{step}' timed out after 30 s"
            )
        if fate is WorkflowRunStatus.SUCCEEDED:
            return await workflows.mark_run_succeeded(
                run_id, actor=WORKER, output=_output(labels, number)
            )
        return run


def _output(labels: list[str], number: int) -> dict[str, Any]:
    steps = f", the first of them: {', '.join(labels[:5])}" if labels else ""
    return {
        "answer": f"Done in {len(labels)} steps{steps}.",
        "tokens": 180 + 37 * number,
        "score": round(0.6 + 0.05 * (number % len(FATES)), 2),
    }
