"""Runs, one at a time: create them and move them through their states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from .._documents import clean_text, encode_definition, encode_record
from .._errors import (
    CredentialHealthError,
    RunTransitionError,
    TransactionError,
    ValidationError,
    WorkflowNotFoundError,
    WorkflowRunNotFoundError,
    WorkflowVersionNotFoundError,
)
from .._search import BOUNDARY, search_text
from ..rules import effective_config, require_flag, require_text
from .base import LOWEST_ID, as_uuid, audit_event
from .workflow_run_lists import WorkflowRunLists
from .workflow_versions import config_text

if TYPE_CHECKING:
    from .._query_types import Workflows
    from ..credentials import CredentialHealthService
    from ..structs import RunEligibility, WorkflowRun


class WorkflowRuns(WorkflowRunLists):
    """The part of `WorkflowRepository` about single runs."""

    q: Workflows
    credentials: CredentialHealthService | None = None

    async def create_run(
        self,
        workflow_id: UUID,
        *,
        workflow_version_id: UUID,
        triggered_by: str,
        input_payload: Mapping[str, Any],
        actor: str | None = None,
        runnable_config: Any = None,
        credentials_checked: bool = False,
        hand_off: bool = False,
    ) -> WorkflowRun:
        """Create a pending run.

        Args:
            workflow_id: an active workflow.
            workflow_version_id: one of its versions.
            triggered_by: free text, such as `manual`.
            input_payload: any mapping; values that a database can't hold become text (docs/values.md).
            actor: who does this, for the audit trail; `triggered_by` when None or empty.
            runnable_config: merged over the version's config; None or empty for none.
            credentials_checked: the caller has asked `ensure_credential_health` itself, before its unit of work.
            hand_off: put it into the outbox too, for a worker to claim (docs/scheduling.md).

        Raises:
            WorkflowNotFoundError: the workflow is missing or archived.
            CredentialHealthError: its credentials are unhealthy.
            WorkflowVersionNotFoundError: the version is missing or another workflow's.
            ValidationError: the config breaks a rule, or the payload can't be written as JSON.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        version_id = as_uuid(workflow_version_id, "workflow_version_id")
        trigger = require_text(triggered_by, "triggered_by")
        actor = trigger if actor in (None, "") else require_text(actor, "actor")
        try:
            payload = encode_record(_payload(input_payload, "input_payload"), name="input_payload")
        except ValidationError:
            await self._eligibility(
                workflow_id, version_id
            )  # clients hear of what is missing first
            raise
        config = words = None
        if self.credentials is not None and not credentials_checked:
            await self._eligibility(workflow_id)
            await self.ensure_credential_health(workflow_id, actor=actor)
        if runnable_config:
            stored = await self._eligibility(workflow_id, version_id)
            effective = effective_config(stored.runnable_config, runnable_config)
            config, words = (
                encode_definition(effective, name="runnable_config"),
                config_text(effective),
            )
        now = self._now()
        created = await self.q.insert_run(
            id=uuid4(),
            workflow_id=workflow_id,
            workflow_version_id=version_id,
            triggered_by=trigger,
            input_payload=payload,
            runnable_config=config,
            now=now,
            event=audit_event(actor, "run_created", now),
            search_text=search_text(trigger, msgspec.json.decode(str(payload))),
            config_text=words,
            hand_off=require_flag(hand_off, "hand_off"),
        )
        if created is None:
            await self._eligibility(workflow_id, version_id)
            # It became eligible between the two statements: unarchived just now.
            raise WorkflowNotFoundError(str(workflow_id))
        return created

    async def ensure_credential_health(
        self, workflow_id: UUID, *, actor: str | None = None
    ) -> None:
        """Ask the credential service, if there is one; it may use the network, so never inside a unit of work.

        Raises:
            CredentialHealthError: the workflow's credentials are unhealthy.
            TransactionError: called inside a unit of work.
        """
        if self.credentials is None:
            return
        if self._scope.in_transaction:
            raise TransactionError(
                "the credential service is never asked inside a unit of work: call "
                "db.workflows.ensure_credential_health(...) before it and pass credentials_checked=True"
            )
        report = await self.credentials.ensure_workflow_health(workflow_id, actor=actor)
        if report is not None and not report.is_healthy:
            raise CredentialHealthError(report)

    async def _eligibility(
        self, workflow_id: UUID, version_id: UUID | None = None
    ) -> RunEligibility:
        """Say from what a run would be created, or raise why it can't be."""
        found = await self.q.get_run_eligibility(
            workflow_id=workflow_id, workflow_version_id=version_id or LOWEST_ID
        )
        if found is None or found.is_archived:
            raise WorkflowNotFoundError(str(workflow_id))
        if version_id is not None and not found.has_version:
            raise WorkflowVersionNotFoundError(str(version_id))
        return found

    async def get_run(self, run_id: UUID) -> WorkflowRun:
        """Return one run.

        Raises:
            WorkflowRunNotFoundError: there is none.
        """
        run_id = as_uuid(run_id, "run_id")
        found = await self.q.get_run(id=run_id)
        if found is None:
            raise WorkflowRunNotFoundError(str(run_id))
        return found

    async def mark_run_started(self, run_id: UUID, *, actor: str) -> WorkflowRun:
        """Move a pending run to running; of two callers exactly one wins.

        Raises:
            WorkflowRunNotFoundError: there is no such run.
            RunTransitionError: it is not pending (a ValueError).
        """
        now = self._now()
        run_id = as_uuid(run_id, "run_id")
        started = await self.q.start_run(
            id=run_id, now=now, event=audit_event(actor, "run_started", now)
        )
        return started or await self._refused(run_id, "Only pending runs can be started.")

    async def mark_run_succeeded(
        self, run_id: UUID, *, actor: str, output: Mapping[str, Any] | None
    ) -> WorkflowRun:
        """Move a running run to succeeded; no output is kept as an empty one.

        Raises:
            WorkflowRunNotFoundError: there is no such run.
            RunTransitionError: it is not running (a ValueError).
        """
        now = self._now()
        run_id = as_uuid(run_id, "run_id")
        payload = encode_record(_payload(output or {}, "output"), name="output")
        done = await self.q.succeed_run(
            id=run_id,
            output_payload=payload,
            now=now,
            event=audit_event(actor, "run_succeeded", now),
            output_text=appended_text(msgspec.json.decode(str(payload))),
        )
        return done or await self._refused(run_id, "Only running runs can be marked as succeeded.")

    async def mark_run_failed(self, run_id: UUID, *, actor: str, error: str | None) -> WorkflowRun:
        """Move a pending or running run to failed, with the reason.

        Raises:
            WorkflowRunNotFoundError: there is no such run.
            RunTransitionError: it is over already (a ValueError).
        """
        now = self._now()
        run_id = as_uuid(run_id, "run_id")
        reason = None if error is None else clean_text(str(error))
        failed = await self.q.fail_run(
            id=run_id,
            error=reason,
            now=now,
            event=audit_event(actor, "run_failed", now, error=reason),
            error_text=appended_text(reason or ""),
        )
        return failed or await self._refused(
            run_id, "Only pending or running runs can be marked as failed."
        )

    async def mark_run_cancelled(
        self, run_id: UUID, *, actor: str, reason: str | None
    ) -> WorkflowRun:
        """Move a pending or running run to cancelled, with the reason if there is one.

        Raises:
            WorkflowRunNotFoundError: there is no such run.
            RunTransitionError: it is over already (a ValueError).
        """
        now = self._now()
        run_id = as_uuid(run_id, "run_id")
        why = None if reason is None else clean_text(str(reason))
        cancelled = await self.q.cancel_run(
            id=run_id,
            reason=why,
            now=now,
            event=audit_event(actor, "run_cancelled", now, **({"reason": why} if why else {})),
            error_text=appended_text(why or ""),
        )
        return cancelled or await self._refused(
            run_id, "Cannot cancel a run that is already completed."
        )

    async def _refused(self, run_id: UUID, text: str) -> WorkflowRun:
        """Raise the error for a state change that found no run in the right state."""
        await self.get_run(run_id)
        raise RunTransitionError(text)


def _payload(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValidationError(f"{name} must be a mapping, got {type(value).__name__}")
    return dict(value)


def appended_text(value: Any) -> str:
    """Return search text to put behind what a run is found by already; empty when there is nothing to add."""
    words = search_text(value)
    return f" {BOUNDARY} {words}" if words else ""
