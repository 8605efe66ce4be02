"""Runs: create, move through their states, list, count, search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict
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
from .._filters import as_filter
from .._pages import Page, check_limit, encode_cursor, page_of
from .._search import BOUNDARY, parse_search, search_text
from ..rules import effective_config, require_text
from ..structs import WorkflowRunStatus
from .base import (
    DEFAULT_PAGE,
    EARLIEST,
    HIGHEST_ID,
    LARGEST_PAGE,
    LATEST,
    LOWEST_ID,
    NO_LIMIT,
    as_instant,
    as_uuid,
    audit_event,
)
from .workflow_catalog import _position
from .workflow_versions import WorkflowVersions, config_text

if TYPE_CHECKING:
    from datetime import datetime

    from .._documents import JsonText
    from .._filters import JsonFilter
    from .._query_types import Workflows
    from ..credentials import CredentialHealthService
    from ..structs import RunEligibility, RunStatusCounts, WorkflowRun

    Filter = JsonFilter | Mapping[str, Any]


class _Filters(TypedDict):
    """The JSON filters that the run lists share."""

    input_contains: JsonText | None
    input_conditions: JsonText | None
    output_contains: JsonText | None
    output_conditions: JsonText | None
    config_contains: JsonText | None
    config_conditions: JsonText | None


class _Window(_Filters):
    """What all run lists take: the part of the list that is wanted, and the filters."""

    created_from: datetime
    before_at: datetime
    before_id: UUID
    limit: int


class WorkflowRuns(WorkflowVersions):
    """The part of `WorkflowRepository` about runs."""

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
        payload = encode_record(_payload(input_payload, "input_payload"), name="input_payload")
        config = words = None
        if runnable_config or (self.credentials is not None and not credentials_checked):
            await self._eligibility(workflow_id)
            if not credentials_checked:
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
            output_text=_appended(msgspec.json.decode(str(payload))),
        )
        return done or await self._refused(run_id, "Only running runs can be marked as succeeded.")

    async def mark_run_failed(self, run_id: UUID, *, actor: str, error: str) -> WorkflowRun:
        """Move a pending or running run to failed, with the reason.

        Raises:
            WorkflowRunNotFoundError: there is no such run.
            RunTransitionError: it is over already (a ValueError).
        """
        now = self._now()
        run_id = as_uuid(run_id, "run_id")
        reason = clean_text(str(error))
        failed = await self.q.fail_run(
            id=run_id,
            error=reason,
            now=now,
            event=audit_event(actor, "run_failed", now, error=reason),
            error_text=_appended(reason),
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
            error_text=_appended(why or ""),
        )
        return cancelled or await self._refused(
            run_id, "Cannot cancel a run that is already completed."
        )

    async def _refused(self, run_id: UUID, text: str) -> WorkflowRun:
        """Raise the error for a state change that found no run in the right state."""
        await self.get_run(run_id)
        raise RunTransitionError(text)

    async def list_runs_for_workflow(
        self, workflow_id: UUID, *, limit: int | None = None
    ) -> list[WorkflowRun]:
        """Return the runs of a workflow, newest first, at most `limit` of them.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            ValidationError: the limit is negative.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        most = NO_LIMIT if limit is None else check_limit(limit)
        rows = await self._runs(
            workflow_id, None, None, EARLIEST, LATEST, HIGHEST_ID, _no_filters(), most
        )
        if not rows:
            await self._require_workflow(workflow_id)
        return rows

    async def page_runs(
        self,
        *,
        workflow_id: UUID | None = None,
        status: WorkflowRunStatus | str | None = None,
        triggered_by: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        input_filter: Filter | None = None,
        output_filter: Filter | None = None,
        metadata_filter: Filter | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[WorkflowRun]:
        """Return up to `limit` (at most 1000) runs, newest first, that meet every condition given.

        Args:
            workflow_id: of one workflow; an unknown one has no runs.
            status: in one state.
            triggered_by: with exactly this trigger text.
            created_from: created at or after this time.
            created_before: created before this time.
            input_filter: a `JsonFilter` on the input, or a mapping that the input must contain.
            output_filter: the same on the output; a run without output never meets it.
            metadata_filter: the same on the metadata of the run's config.
            limit: at most 1000.
            cursor: `next_cursor` of the page before, with the same conditions.

        Raises:
            InvalidCursorError: the cursor is not one of this list's.
            JsonFilterError: a filter is malformed.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        end = LATEST if created_before is None else as_instant(created_before, "created_before")
        before_at, before_id = _position("runs", cursor, LATEST, HIGHEST_ID)
        if (end, LOWEST_ID) < (before_at, before_id):
            before_at, before_id = end, (HIGHEST_ID if created_before is None else LOWEST_ID)
        rows = await self._runs(
            None if workflow_id is None else as_uuid(workflow_id, "workflow_id"),
            None if status is None else _status(status),
            None if triggered_by is None else require_text(triggered_by, "triggered_by"),
            EARLIEST if created_from is None else as_instant(created_from, "created_from"),
            before_at,
            before_id,
            _filters(input_filter, output_filter, metadata_filter),
            limit + 1,
        )
        return page_of(rows, limit, lambda r: encode_cursor("runs", r.created_at, r.id))

    async def _runs(
        self,
        workflow_id: UUID | None,
        status: WorkflowRunStatus | None,
        triggered_by: str | None,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        filters: _Filters,
        limit: int,
    ) -> list[WorkflowRun]:
        """Run the list whose leading column is given: each has an index of its own."""
        window: _Window = {
            "created_from": created_from, "before_at": before_at, "before_id": before_id, "limit": limit, **filters
        }  # fmt: skip
        q = self.q
        if workflow_id is not None and status is not None:
            return await q.list_runs_by_workflow_and_status(
                workflow_id=workflow_id, status=status, triggered_by=triggered_by, **window
            )
        if workflow_id is not None:
            return await q.list_runs_by_workflow(
                workflow_id=workflow_id, triggered_by=triggered_by, **window
            )
        if triggered_by is not None:
            return await q.list_runs_by_trigger(triggered_by=triggered_by, status=status, **window)
        if status is not None:
            return await q.list_runs_by_status(status=status, **window)
        return await q.list_runs(**window)

    async def count_runs_by_status(self, *, workflow_id: UUID | None = None) -> RunStatusCounts:
        """Count runs by state, of one workflow or of all, in one statement."""
        if workflow_id is None:
            counts = await self.q.count_runs()
        else:
            counts = await self.q.count_runs_by_workflow(
                workflow_id=as_uuid(workflow_id, "workflow_id")
            )
        assert counts is not None
        return counts

    async def search_runs(
        self,
        query: str,
        *,
        workflow_id: UUID | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[WorkflowRun]:
        """Find runs by the words of trigger, name, tags, input, output and error; newest first.

        Args:
            query: words (all must occur), ``"phrases"``, ``-excluded`` words or phrases, ``prefix*``.
            workflow_id: only runs of this workflow.
            limit: at most 1000.
            cursor: `next_cursor` of the page before.

        Raises:
            SearchQueryError: nothing to look for.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, before_id = _position("found-runs", cursor, LATEST, HIGHEST_ID)
        rows = await self.q.search_runs(
            search=parse_search(query),
            workflow_id=None if workflow_id is None else as_uuid(workflow_id, "workflow_id"),
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        return page_of(rows, limit, lambda r: encode_cursor("found-runs", r.created_at, r.id))

    async def prune_runs(self, *, created_before: datetime, limit: int = 1000) -> int:
        """Delete up to `limit` finished runs created before a time, oldest first, and return how many went.

        One bounded batch: call it until it returns less than `limit`. Pending and running runs are kept.
        """
        return await self.q.prune_runs(
            created_before=as_instant(created_before, "created_before"), limit=check_limit(limit)
        )


def _payload(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValidationError(f"{name} must be a mapping, got {type(value).__name__}")
    return dict(value)


def _appended(value: Any) -> str:
    """Return search text to put behind what a run is found by already; empty when there is nothing to add."""
    words = search_text(value)
    return f" {BOUNDARY} {words}" if words else ""


def _status(value: WorkflowRunStatus | str) -> WorkflowRunStatus:
    try:
        return WorkflowRunStatus(value)
    except ValueError:
        allowed = ", ".join(WorkflowRunStatus)
        raise ValidationError(f"status must be one of {allowed}, got {value!r}") from None


def _no_filters() -> _Filters:
    return _filters(None, None, None)


def _filters(given: Filter | None, output: Filter | None, metadata: Filter | None) -> _Filters:
    """Return the filter parameters that the run lists share."""
    nothing = None, None
    inputs = nothing if given is None else as_filter(given).to_parameters()
    outputs = nothing if output is None else as_filter(output).to_parameters()
    configs = (
        nothing if metadata is None else as_filter(metadata).under("metadata").to_parameters()
    )
    return {
        "input_contains": inputs[0],
        "input_conditions": inputs[1],
        "output_contains": outputs[0],
        "output_conditions": outputs[1],
        "config_contains": configs[0],
        "config_conditions": configs[1],
    }
