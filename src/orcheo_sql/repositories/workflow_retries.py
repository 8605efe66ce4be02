"""Retries: policies, decisions, and the runs that try again."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from .._documents import encode_definition
from .._errors import (
    ConflictError,
    TransactionError,
    UniqueViolationError,
    WorkflowNotFoundError,
    WorkflowRunNotFoundError,
)
from .._pages import check_limit
from .._search import search_text
from ..rules import decide_retry, parse_retry_policy
from ..structs import RetryPolicyConfig, WorkflowRunStatus
from ._credential_checks import healthy_ones
from ._dispatch_trouble import Trouble
from .base import EARLIEST, LOWEST_ID, as_instant, as_uuid, audit_event
from .workflow_runs import WorkflowRuns
from .workflow_versions import config_text

if TYPE_CHECKING:
    from datetime import datetime

    from .._query_types import Workflows
    from ..structs import DueRetry, RetryDecision, RunRetry, WorkflowRun

logger = logging.getLogger("orcheo_sql.retries")

# How often to try again when others write at the same time. Each time one of them has got through.
_ATTEMPTS = 100


class WorkflowRetries(WorkflowRuns):
    """The part of `WorkflowRepository` about retries."""

    q: Workflows

    async def configure_retry_policy(
        self, workflow_id: UUID, config: RetryPolicyConfig | Any, *, actor: str = "system"
    ) -> RetryPolicyConfig:
        """Set the retry policy of runs that are created from now on; those that exist keep theirs.

        Raises:
            ValidationError: the policy breaks a rule.
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        parsed = parse_retry_policy(config)
        now = self._now()
        event = audit_event(actor, "retry_policy_configured", now)
        for _ in range(_ATTEMPTS):
            try:
                async with self._scope.attempt():
                    changed = await self.q.put_retry_policy(
                        workflow_id=workflow_id,
                        config=encode_definition(parsed, name="retry policy"),
                        now=now,
                        event=event,
                    )
            except UniqueViolationError:
                continue
            if changed is None:
                await self._require_workflow(workflow_id)
            return parsed
        raise ConflictError("the retry policy is being changed by too many others at once")

    async def get_retry_policy_config(self, workflow_id: UUID) -> RetryPolicyConfig:
        """Return the retry policy of a workflow: the default one if it has none of its own.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        stored = await self.q.get_retry_policy(workflow_id=workflow_id)
        if stored is None:
            raise WorkflowNotFoundError(str(workflow_id))
        return _policy(stored.config)

    async def schedule_retry_for_run(
        self, run_id: UUID, *, failed_at: datetime | None = None
    ) -> RetryDecision | None:
        """Decide whether and when a run is tried again, by the policy it was created under, and keep that.

        `dispatch_due_retries` turns it into a run once it is due and the run has failed. A chain of retries counts
        from its first run. Asked again about the same run, the later decision counts.

        Args:
            run_id: the run that failed, or is about to be marked as failed.
            failed_at: when the delay begins; now when None.

        Returns:
            None when it has succeeded, was cancelled or tried again already, or has had all its attempts.

        Raises:
            WorkflowRunNotFoundError: there is no such run.
        """
        run_id = as_uuid(run_id, "run_id")
        begins = self._now() if failed_at is None else as_instant(failed_at, "failed_at")
        for _ in range(_ATTEMPTS):
            state = await self.q.get_retry_state(run_id=run_id)
            if state is None:
                raise WorkflowRunNotFoundError(str(run_id))
            if state.is_retried:
                return None
            decision = decide_retry(
                _policy(state.policy),
                decisions=state.decisions,
                failed_at=begins,
                status=state.status,
            )
            if decision is None:
                return None
            try:
                async with self._scope.attempt():
                    kept = await self.q.insert_retry(
                        first_run_id=state.first_run_id,
                        retry_number=decision.retry_number,
                        failed_run_id=run_id,
                        scheduled_for=decision.scheduled_for,
                        delay_seconds=decision.delay_seconds,
                        now=self._now(),
                    )
            except UniqueViolationError:
                continue
            if kept is not None:
                return decision
        raise ConflictError("too many others decide about retries of this run at once")

    async def list_run_retries(self, run_id: UUID) -> list[RunRetry]:
        """Return the decisions of the chain that a run belongs to, with the runs that came of them."""
        return await self.q.list_run_retries(run_id=as_uuid(run_id, "run_id"))

    async def dispatch_due_retries(
        self, *, now: datetime | None = None, limit: int = 100
    ) -> list[WorkflowRun]:
        """Create up to `limit` runs that try failed ones again, and return them; any number of processes may do so.

        Each decision becomes one run, once it is due and its run has failed: on the same version, with the same input,
        config and policy. Those of archived workflows wait, and those with unhealthy credentials or without a verdict
        on them in time. None stops the others.

        Args:
            now: what is due at this time; the clock's time when None.
            limit: how many at most.

        Raises:
            TransactionError: called inside a unit of work: each run is committed on its own.
            StoreError: the database can't be reached; or, after all others had their turn, an error that does not
                pass by itself. Runs that were created before that are in the outbox.
        """
        if self._scope.in_transaction:
            raise TransactionError("retries are dispatched outside of units of work")
        until = self._now() if now is None else as_instant(now, "now")
        limit = check_limit(limit)
        trouble = Trouble(logger)
        runs: list[WorkflowRun] = []
        after = (EARLIEST, LOWEST_ID, 0)
        while len(runs) < limit:
            wanted = limit - len(runs)
            batch = await self.q.list_due_retries(
                now=until,
                after_at=after[0],
                after_id=after[1],
                after_number=after[2],
                limit=wanted,
            )
            runs += await self._try_again(batch, trouble)
            if len(batch) < wanted:
                break
            after = (batch[-1].scheduled_for, batch[-1].first_run_id, batch[-1].retry_number)
        trouble.raise_if_lasting()
        return runs

    async def _try_again(self, batch: list[DueRetry], trouble: Trouble) -> list[WorkflowRun]:
        """Dispatch what is due; what waits for the credentials of its workflow keeps nothing else waiting."""
        failed: dict[UUID, list[DueRetry]] = {}
        for due in batch:
            if due.status == WorkflowRunStatus.FAILED:
                failed.setdefault(due.workflow_id, []).append(due)
                continue
            with trouble.kept("retry of run", due.failed_run_id):
                await self.q.drop_retry(
                    first_run_id=due.first_run_id, retry_number=due.retry_number
                )
        if not failed:  # as most polls find
            return []
        asking = healthy_ones(
            lambda workflow_id: self.ensure_credential_health(workflow_id, actor="retry"),
            failed,
            logger,
        )
        made: dict[UUID, WorkflowRun] = {}
        async with aclosing(asking) as healthy:
            async for workflow_id in healthy:
                for due in failed[workflow_id]:
                    with trouble.kept("retry of run", due.failed_run_id):
                        run = await self._dispatch_retry(due)
                        if run is not None:
                            made[due.failed_run_id] = run
        return [made[due.failed_run_id] for due in batch if due.failed_run_id in made]

    async def _dispatch_retry(self, due: DueRetry) -> WorkflowRun | None:
        now = self._now()
        return await self.q.dispatch_retry(
            id=uuid4(),
            first_run_id=due.first_run_id,
            retry_number=due.retry_number,
            schedule_revision=due.schedule_revision,
            now=now,
            event=audit_event("retry", "run_created", now),
            search_text=search_text("retry", due.input_payload) + config_text(due.runnable_config),
        )


def _policy(document: dict[str, Any] | None) -> RetryPolicyConfig:
    return RetryPolicyConfig() if document is None else RetryPolicyConfig.from_document(document)
