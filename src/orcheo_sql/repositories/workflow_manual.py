"""Manual dispatch: runs that somebody asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from .._documents import encode_record
from .._errors import WorkflowNotFoundError, WorkflowVersionNotFoundError
from .._search import search_text
from ..rules import parse_manual_request
from .base import LOWEST_ID, audit_event
from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from uuid import UUID

    from .._query_types import Workflows
    from ..structs import ManualDispatchRequest, WorkflowRun


class WorkflowManualDispatch(WorkflowRuns):
    """The part of `WorkflowRepository` about manual dispatch."""

    q: Workflows

    async def dispatch_manual_runs(
        self, request: ManualDispatchRequest | Any, *, credentials_checked: bool = False
    ) -> list[WorkflowRun]:
        """Create all runs of a request, or none, and hand them to the outbox; they come back in its order.

        Args:
            request: the workflow, who asks, and up to 100 runs; those without a version are of the latest one.
            credentials_checked: the caller has asked `ensure_credential_health` itself, before its unit of work.

        Raises:
            ManualDispatchValidationError: the request breaks a rule.
            WorkflowNotFoundError: the workflow is missing or archived.
            WorkflowVersionNotFoundError: it has no version, or a version asked for is not one of its own.
            CredentialHealthError: its credentials are unhealthy.
        """
        parsed = parse_manual_request(request)
        label = parsed.trigger_label()
        runs = [
            _Run(
                id=run_id,
                workflow_version_id=item.workflow_version_id,
                input_payload=msgspec.Raw(payload.encode()),
                search_text=search_text(label, msgspec.json.decode(payload.encode())),
            )
            # Ids in their order: then the lists of runs, which look at the id among equal times, keep it.
            for run_id, (index, item) in zip(
                sorted(uuid4() for _ in parsed.runs), enumerate(parsed.runs), strict=True
            )
            for payload in [encode_record(item.input_payload, name=f"runs[{index}].input_payload")]
        ]
        if self.credentials is not None and not credentials_checked:
            await self._check_manual(parsed, versions=False)
            await self.ensure_credential_health(parsed.workflow_id, actor=parsed.actor)
        now = self._now()
        created = await self.q.insert_manual_runs(
            workflow_id=parsed.workflow_id,
            runs=runs,
            count=len(runs),
            triggered_by=label,
            now=now,
            event=audit_event(parsed.actor, "run_created", now),
        )
        if not created:
            await self._check_manual(parsed, versions=True)
            # It became eligible between the two statements: unarchived just now.
            raise WorkflowNotFoundError(str(parsed.workflow_id))
        return created

    async def _check_manual(self, request: ManualDispatchRequest, *, versions: bool) -> None:
        """Raise why the runs of a request can't be created, if there is a reason."""
        await self._eligibility(request.workflow_id)
        if not await self.q.get_latest_version(workflow_id=request.workflow_id):
            raise WorkflowVersionNotFoundError(str(request.workflow_id))
        wanted = (
            {item.workflow_version_id or LOWEST_ID for item in request.runs} if versions else set()
        )
        for version_id in sorted(wanted - {LOWEST_ID}):
            await self._eligibility(request.workflow_id, version_id)


class _Run(msgspec.Struct, frozen=True):
    """One run as the query reads it."""

    id: UUID
    workflow_version_id: UUID | None
    input_payload: msgspec.Raw
    search_text: str
