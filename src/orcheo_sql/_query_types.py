"""The queries of each folder as methods, for editors and mypy; nothing is here at run time.

Generated from the SQL files. Write it anew with: orcheo-sql sql types
"""
# ruff: noqa: A002, E501, TC001, TC003

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from ._documents import JsonText
from ._search import SearchQuery
from .structs import (
    AgentensorCheckpoint,
    AuditEntry,
    DueRetry,
    DueSchedule,
    HashKind,
    LeasedListener,
    ListedServiceToken,
    ListenerState,
    ListenerSubscription,
    OutboxCounts,
    OutboxEntry,
    RetryState,
    RunEligibility,
    RunHistoryHit,
    RunHistoryRecord,
    RunHistoryStep,
    RunRetry,
    RunSnapshot,
    RunStatusCounts,
    RunSummary,
    ServiceTokenAuditEntry,
    ServiceTokenRecord,
    StoredCursor,
    StoredHistory,
    StoredRetryPolicy,
    StoredSchedule,
    StoredStep,
    StoredWebhook,
    WebhookRefusal,
    Workflow,
    WorkflowRun,
    WorkflowSummary,
    WorkflowVersion,
)

Json = JsonText | Mapping[str, Any] | list[Any] | tuple[Any, ...] | msgspec.Struct
"""A document: bound as JSON. A plain `str` is none; `JsonText` is one that is encoded already."""


class Agentensor(Protocol):
    """Queries of ``sql/<dialect>/queries/agentensor/``."""

    async def get_checkpoint(self, *, id: str) -> AgentensorCheckpoint | None:
        """Get one checkpoint by its id."""
        ...

    async def get_best_checkpoint(self, *, workflow_id: str) -> AgentensorCheckpoint | None:
        """Get the best checkpoint of a workflow."""
        ...

    async def list_checkpoints(
        self, *, workflow_id: str, before_version: int, limit: int
    ) -> list[AgentensorCheckpoint]:
        """List the checkpoints of a workflow, newest first."""
        ...

    async def filter_checkpoints(
        self,
        *,
        workflow_id: str,
        before_version: int,
        metrics_contains: Json | None,
        metrics_conditions: Json | None,
        metadata_contains: Json | None,
        metadata_conditions: Json | None,
        limit: int,
    ) -> list[AgentensorCheckpoint]:
        """List the checkpoints of a workflow that meet filters, newest first. A filter that is NULL does not apply (docs/filters.md)."""
        ...

    async def insert_checkpoint(
        self,
        *,
        id: str,
        workflow_id: str,
        config_version: int | None,
        runnable_config: Json,
        metrics: Json,
        metadata: Json,
        artifact_url: str | None,
        is_best: bool,
        now: datetime,
    ) -> AgentensorCheckpoint | None:
        """Record a checkpoint under the version given, or else under the highest one ever given out plus one."""
        ...

    async def mark_best_checkpoint(self, *, id: str) -> AgentensorCheckpoint | None:
        """Make a checkpoint the best of its workflow; the one that was, is it no more."""
        ...

    async def prune_checkpoints(self, *, workflow_id: str, keep_last: int, limit: int) -> int:
        """Delete up to :limit of a workflow's checkpoints, oldest first: neither the newest :keep_last nor the best."""
        ...

    async def delete_checkpoints_of_workflow(self, *, workflow_id: str) -> int:
        """Delete all that is known of a workflow's training."""
        ...


class History(Protocol):
    """Queries of ``sql/<dialect>/queries/history/``."""

    async def get_history(self, *, execution_id: str) -> StoredHistory | None:
        """Get the history of one execution, without its steps."""
        ...

    async def list_histories(
        self, *, workflow_id: str, before_at: datetime, before_id: str, limit: int
    ) -> list[RunHistoryRecord]:
        """List the histories of a workflow, newest first, without their steps."""
        ...

    async def list_counted_histories(
        self, *, workflow_id: str, before_at: datetime, before_id: str, limit: int
    ) -> list[StoredHistory]:
        """List the histories of a workflow, newest first, with how many steps each has."""
        ...

    async def start_history(
        self,
        *,
        workflow_id: str,
        execution_id: str,
        inputs: Json,
        runnable_config: Json,
        tags: Json,
        callbacks: Json,
        metadata: Json,
        run_name: str | None,
        trace_id: str | None,
        trace_started_at: datetime | None,
        now: datetime,
    ) -> StoredHistory | None:
        """Begin the history of an execution; no row when it has one already."""
        ...

    async def end_history(
        self, *, execution_id: str, status: str, error: str | None, now: datetime | None
    ) -> StoredHistory | None:
        """Move a running execution to a status that ends it."""
        ...

    async def finish_history(
        self,
        *,
        execution_id: str,
        status: str,
        error: str | None,
        payload: Json,
        search_text: str | None,
        now: datetime,
    ) -> StoredHistory | None:
        """Append the last step of a running execution and move it to a status that ends it."""
        ...

    async def prune_histories(self, *, status: str, finished_before: datetime, limit: int) -> int:
        """Delete up to :limit histories that ended in one status before a time, oldest first, with all that belongs to them."""
        ...

    async def delete_histories_of_workflow(self, *, workflow_id: str, limit: int) -> int:
        """Delete up to :limit histories of a workflow, oldest first, in any status."""
        ...

    async def delete_histories(self) -> int:
        """Delete all histories."""
        ...

    async def search_steps(
        self,
        *,
        search: SearchQuery,
        workflow_id: str | None,
        execution_id: str | None,
        before_at: datetime,
        before_id: str,
        before_index: int,
        limit: int,
    ) -> list[RunHistoryHit]:
        """Find steps, of one workflow, one execution or all, by the words of their payloads."""
        ...

    async def append_step(
        self, *, execution_id: str, payload: Json, search_text: str | None, now: datetime
    ) -> RunHistoryStep | None:
        """Append a step under the next index, whatever the status; no row when there is no such history. Those who append to one execution take turns at its row."""
        ...

    async def list_steps(
        self, *, execution_id: str, after_index: int, limit: int
    ) -> list[RunHistoryStep]:
        """List the steps of an execution behind an index, in order."""
        ...

    async def list_steps_of_histories(self, *, execution_ids: Json) -> list[StoredStep]:
        """List all steps of several executions, each one's in order."""
        ...


class Snapshots(Protocol):
    """Queries of ``sql/<dialect>/queries/snapshots/``."""

    async def get_snapshot(self, *, run_id: str) -> RunSnapshot | None:
        """Get one snapshot with its state."""
        ...

    async def get_summary(self, *, run_id: str) -> RunSummary | None:
        """Get what lists show of one snapshot."""
        ...

    async def list_summaries(
        self, *, before_at: datetime, after_id: str, limit: int
    ) -> list[RunSummary]:
        """List snapshots without their states, newest first; equal times by id."""
        ...

    async def list_summaries_by_status(
        self, *, status: str, before_at: datetime, after_id: str, limit: int
    ) -> list[RunSummary]:
        """List the snapshots in one state, without their states, in the same order."""
        ...

    async def list_summaries_by_state(
        self,
        *,
        contains: Json | None,
        conditions: Json | None,
        status: str | None,
        before_at: datetime,
        after_id: str,
        limit: int,
    ) -> list[RunSummary]:
        """List the snapshots whose state meets a filter, in the same order. What is NULL does not apply (docs/filters.md)."""
        ...

    async def search_summaries(
        self, *, search: SearchQuery, before_at: datetime, after_id: str, limit: int
    ) -> list[RunSummary]:
        """Find snapshots by the words of their objective, in the same order; :search is made by the library (docs/search.md)."""
        ...

    async def save_snapshot(
        self,
        *,
        run_id: str,
        thread_id: str,
        objective: str,
        status: str,
        workspace_path: str,
        task_counts: Json,
        tags: Json,
        created_at: datetime,
        now: datetime,
        state: Json,
        search_text: str,
    ) -> RunSummary | None:
        """Save a snapshot, new or in place of the last one, whose time of creation stays."""
        ...

    async def update_status(self, *, run_id: str, status: str, now: datetime) -> int:
        """Set the status of a snapshot."""
        ...

    async def delete_snapshot(self, *, run_id: str) -> int:
        """Delete a snapshot with its state."""
        ...


class Tokens(Protocol):
    """Queries of ``sql/<dialect>/queries/tokens/``."""

    async def insert_audit_entry(
        self,
        *,
        token_id: str,
        action: str,
        actor: str | None,
        ip_address: str | None,
        user_agent: str | None,
        now: datetime,
        details: Json | None,
    ) -> int:
        """Log one event."""
        ...

    async def list_audit_of_token(
        self, *, token_id: str, before_at: datetime, before_id: int, limit: int
    ) -> list[ServiceTokenAuditEntry]:
        """List what happened to one token, newest first."""
        ...

    async def list_audit(
        self, *, before_at: datetime, before_id: int, limit: int
    ) -> list[ServiceTokenAuditEntry]:
        """List what happened to all tokens, newest first."""
        ...

    async def prune_audit(self, *, logged_before: datetime, limit: int) -> int:
        """Delete up to :limit entries from before a time, oldest first."""
        ...

    async def get_token(self, *, identifier: str) -> ServiceTokenRecord | None:
        """Get one token by its identifier, in whatever state."""
        ...

    async def find_token_by_hash(self, *, secret_hash: str) -> ServiceTokenRecord | None:
        """Find the token whose hash is stored as this very text: one brought along from the older product."""
        ...

    async def list_hash_kinds(self, *, limit: int) -> list[HashKind]:
        """List with which parameters argon2id hashes were made, up to :limit kinds: what they begin with, as far as the fourth dollar sign. Of each kind only the first hash is looked at, however many have it."""
        ...

    async def list_tokens(
        self, *, status: str | None, now: datetime, before_at: datetime, before_id: str, limit: int
    ) -> list[ListedServiceToken]:
        """List the tokens that are active, expired or revoked at a time, or all of them, newest first."""
        ...

    async def insert_token(
        self,
        *,
        identifier: str,
        secret_hash: str,
        scopes: Json,
        workspace_ids: Json,
        issued_at: datetime | None,
        expires_at: datetime | None,
        rotation_expires_at: datetime | None,
        revoked_at: datetime | None,
        revocation_reason: str | None,
        rotated_to: str | None,
        last_used_at: datetime | None,
        use_count: int,
        now: datetime,
        is_minted: bool,
        actor: str | None,
    ) -> ServiceTokenRecord | None:
        """Add a token; one that is minted is logged."""
        ...

    async def update_token(
        self,
        *,
        identifier: str,
        secret_hash: str,
        scopes: Json,
        workspace_ids: Json,
        issued_at: datetime | None,
        expires_at: datetime | None,
        rotation_expires_at: datetime | None,
        revoked_at: datetime | None,
        revocation_reason: str | None,
        rotated_to: str | None,
    ) -> ServiceTokenRecord | None:
        """Rewrite a token; no row when it is missing or revoked, or was rotated and the writer does not know of it."""
        ...

    async def rotate_token(
        self,
        *,
        identifier: str,
        successor: str | None,
        secret_hash: str,
        expires_at: datetime | None,
        overlap_end: datetime | None,
        now: datetime,
        actor: str | None,
        details: Json,
        successor_details: Json | None,
    ) -> ServiceTokenRecord | None:
        """Add the successor of a token, which ends when the overlap does; the successor is returned. No row when the token is missing, not active, or rotated already."""
        ...

    async def revoke_token(
        self,
        *,
        identifier: str,
        reason: str | None,
        now: datetime,
        actor: str | None,
        details: Json | None,
    ) -> ServiceTokenRecord | None:
        """End a token for good; no row when it is missing, or revoked already: then the first time and reason stay."""
        ...

    async def renew_hash(self, *, identifier: str, secret_hash: str, renewed: str) -> int:
        """Put another hash of the same token in the place of one, unless that was changed meanwhile."""
        ...

    async def delete_token(self, *, identifier: str) -> int:
        """Delete a token; its log stays."""
        ...

    async def record_uses(self, *, uses: Json) -> int | None:
        """Count uses of tokens and log them, those of a missing token too, and return how many entries that makes. :uses is a list of objects with token_id, uses, used_at, ip_address, user_agent and details."""
        ...


class Workflows(Protocol):
    """Queries of ``sql/<dialect>/queries/workflows/``."""

    async def list_audit_records(
        self, *, entity_id: UUID, after_seq: int, limit: int
    ) -> list[AuditEntry]:
        """List the audit trail of a workflow, version, run or listener subscription, oldest first."""
        ...

    async def get_schedule(self, *, workflow_id: UUID) -> StoredSchedule | None:
        """Get the schedule of a workflow."""
        ...

    async def put_cron_trigger(
        self,
        *,
        workflow_id: UUID,
        schedule_id: UUID,
        config: Json,
        allow_overlapping: bool,
        unseen: datetime,
        now: datetime,
        event: Json,
    ) -> UUID | None:
        """Set a workflow's schedule and record that in the workflow. A changed one counts from now on, and so does one that was set aside. No row when the workflow is missing, or has this config already and is not set aside."""
        ...

    async def delete_cron_trigger(
        self, *, workflow_id: UUID, now: datetime, event: Json
    ) -> UUID | None:
        """Remove a workflow's schedule and record that in the workflow; no row when it has none."""
        ...

    async def list_due_schedules(
        self,
        *,
        now: datetime,
        after_at: datetime,
        after_created: datetime,
        after_id: UUID,
        limit: int,
    ) -> list[DueSchedule]:
        """List the schedules to look at: due, or never looked at, in the order of their due time and of their making. Left out are those that forbid overlap and whose last run has not ended. The config is text: one that can't be read must not hide the others."""
        ...

    async def move_schedule(
        self, *, workflow_id: UUID, schedule_id: UUID, revision: int, next_fire_at: datetime | None
    ) -> int:
        """Say when to look at a schedule next, without firing."""
        ...

    async def fire_schedule(
        self,
        *,
        id: UUID,
        workflow_id: UUID,
        schedule_id: UUID,
        revision: int,
        scheduled_for: datetime | None,
        next_fire_at: datetime | None,
        input_payload: Json,
        now: datetime,
        event: Json,
        search_text: str,
    ) -> WorkflowRun | None:
        """Create the run of one occurrence, of the version that is the latest now, and move the schedule on. No row when another dispatcher has changed the schedule, its last run has not ended and it forbids overlap, the occurrence has had its run, or the workflow is archived or has no version."""
        ...

    async def pass_occurrence(
        self,
        *,
        workflow_id: UUID,
        schedule_id: UUID,
        revision: int,
        scheduled_for: datetime,
        next_fire_at: datetime | None,
    ) -> int:
        """Move a schedule on from an occurrence that has had its run."""
        ...

    async def set_schedule_aside(
        self,
        *,
        workflow_id: UUID,
        schedule_id: UUID,
        revision: int,
        reason: str | None,
        now: datetime,
    ) -> int:
        """Leave a schedule out, with the reason, until somebody resumes or configures it."""
        ...

    async def pause_schedule(self, *, workflow_id: UUID, now: datetime, event: Json) -> UUID | None:
        """Pause a schedule and record that in the workflow; no row when there is none, or it is paused."""
        ...

    async def resume_schedule(
        self, *, workflow_id: UUID, unseen: datetime, now: datetime, event: Json
    ) -> UUID | None:
        """Resume a schedule that is paused or set aside, from now on, and record that in the workflow; no row when it is neither."""
        ...

    async def list_schedules(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[StoredSchedule]:
        """List all schedules in the order of their making, for an operator."""
        ...

    async def claim_listener(
        self,
        *,
        id: UUID,
        runtime_id: str | None,
        expires_at: datetime | None,
        now: datetime,
        event: Json,
    ) -> LeasedListener | None:
        """Lease an active subscription to a runtime if it is free, expired or its own already; no row otherwise. Only a lease that has not expired goes on under its epoch, and the audit trail notes only that the runtime is another one."""
        ...

    async def renew_listener(
        self, *, id: UUID, runtime_id: str, epoch: int, expires_at: datetime | None, now: datetime
    ) -> LeasedListener | None:
        """Extend a lease that is held; no row when it is not."""
        ...

    async def release_listener(
        self, *, id: UUID, runtime_id: str, now: datetime, event: Json
    ) -> ListenerSubscription | None:
        """Give up the lease of a runtime, expired or not; no row when the subscription is missing or not its own."""
        ...

    async def get_listener_cursor(self, *, id: UUID) -> StoredCursor | None:
        """Get the cursor of the listener that a subscription belongs to."""
        ...

    async def save_listener_cursor(
        self,
        *,
        id: UUID,
        runtime_id: str | None,
        epoch: int | None,
        cursor: Json | None,
        now: datetime,
    ) -> StoredCursor | None:
        """Keep the cursor of a listener, whatever versions come. No row when the subscription is missing or not the current one, or a lease is given that is not held."""
        ...

    async def dispatch_listener_event(
        self,
        *,
        id: UUID,
        runtime_id: str | None,
        epoch: int | None,
        dedupe_key: str,
        dedupe_until: datetime,
        run_id: UUID,
        input_payload: Json,
        search_text: str,
        now: datetime,
        event: Json,
    ) -> WorkflowRun | None:
        """Remember an event and create its run, on the version of the subscription, all or nothing. No row, and nothing is changed, when the event is remembered already, the subscription is not active, or a lease is given that is not held."""
        ...

    async def prune_listener_dedupe(self, *, now: datetime, limit: int) -> int:
        """Forget up to :limit events whose keys have expired."""
        ...

    async def get_listener_subscription(self, *, id: UUID) -> ListenerSubscription | None:
        """Get one subscription by its id."""
        ...

    async def get_listener_state(
        self, *, id: UUID, runtime_id: str | None, epoch: int | None, now: datetime
    ) -> ListenerState | None:
        """Tell why a change of a subscription was refused; a lease is one of this runtime and epoch that has not expired."""
        ...

    async def list_listener_subscriptions(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[ListenerSubscription]:
        """List the subscriptions of all workflows, those of older versions too, oldest first."""
        ...

    async def list_served_listener_subscriptions(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[ListenerSubscription]:
        """List the subscriptions of all workflows that are not disabled, oldest first."""
        ...

    async def list_listener_subscriptions_by_workflow(
        self,
        *,
        workflow_id: UUID,
        only_served: bool,
        after_at: datetime,
        after_id: UUID,
        limit: int,
    ) -> list[ListenerSubscription]:
        """List the subscriptions of one workflow, all or those that are not disabled, oldest first."""
        ...

    async def lock_workflow(self, *, id: UUID, workflow_version_id: UUID) -> bool | None:
        """Note that a workflow has listeners, which locks its row until the end of the transaction, and tell whether it has that version. No row when the workflow is missing."""
        ...

    async def sync_listeners(
        self,
        *,
        workflow_id: UUID,
        workflow_version_id: UUID,
        listeners: Json,
        now: datetime,
        synced_event: Json,
        disabled_event: Json,
    ) -> list[UUID]:
        """Serve the listeners of one version, given as a JSON array, and no others of the workflow: what was served before is disabled, pauses stand, and in an archived workflow all rest as long as it is archived. The workflow's row is locked by an earlier statement of the transaction, so that this one sees what was committed while that one waited. The ids returned are those that are current now."""
        ...

    async def update_listener_status(
        self, *, id: UUID, status: str, last_error: str | None, now: datetime, event: Json
    ) -> ListenerSubscription | None:
        """Set the status of a subscription, which ends its lease; a pause is noted with the listener, for the next versions. No row when it is missing, not the current one, or to become active in an archived workflow."""
        ...

    async def prune_listener_subscriptions(self, *, disabled_before: datetime, limit: int) -> int:
        """Delete up to :limit subscriptions that were disabled before a time, oldest first; the current ones of archived workflows stay, as do the listeners with their cursors."""
        ...

    async def insert_manual_runs(
        self,
        *,
        workflow_id: UUID,
        runs: Json,
        count: int,
        triggered_by: str,
        now: datetime,
        event: Json,
    ) -> list[WorkflowRun]:
        """Create pending runs of an active workflow: :runs is a list of objects with id, workflow_version_id (null for the latest), input_payload and search_text. No row when the workflow is missing or archived, or one of the versions is not one of its own: then none is created."""
        ...

    async def claim_outbox(
        self, *, claim_id: UUID, consumer: str, now: datetime, lease_until: datetime, limit: int
    ) -> list[OutboxEntry]:
        """Lease up to :limit runs that are offered, oldest first, to one consumer."""
        ...

    async def acknowledge_outbox(self, *, entries: Json) -> int:
        """Delete the rows of these claims, and no others: :entries is a list of objects with run_id and claim_id."""
        ...

    async def release_outbox(self, *, entries: Json, available_at: datetime) -> int:
        """Offer the rows of these claims again, from a time on."""
        ...

    async def sweep_outbox(self, *, created_before: datetime, now: datetime, limit: int) -> int:
        """Offer up to :limit runs again that went to the outbox, are not there any more, and are pending since before a time."""
        ...

    async def list_outbox(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[OutboxEntry]:
        """List the rows by the time from which they are offered; that of a claimed one is the end of its lease. The claim itself stays with whoever made it: with it anybody could acknowledge the run."""
        ...

    async def count_outbox(self, *, now: datetime) -> OutboxCounts | None:
        """Count what is offered and what is claimed."""
        ...

    async def get_retry_policy(self, *, workflow_id: UUID) -> StoredRetryPolicy | None:
        """Get the retry policy of a workflow, null when it has none of its own; no row when the workflow is missing."""
        ...

    async def put_retry_policy(
        self, *, workflow_id: UUID, config: Json, now: datetime, event: Json
    ) -> UUID | None:
        """Give a workflow its next retry policy and record that in the workflow. Runs that exist keep theirs. No row when the workflow is missing, or has this policy already."""
        ...

    async def get_retry_state(self, *, run_id: UUID) -> RetryState | None:
        """Tell what a decision to try a run again depends on: the policy it was created under, and the decisions of its chain."""
        ...

    async def insert_retry(
        self,
        *,
        first_run_id: UUID,
        retry_number: int,
        failed_run_id: UUID,
        scheduled_for: datetime,
        delay_seconds: float,
        now: datetime,
    ) -> int | None:
        """Decide to try a run again; a decision about it that still waits gives way. No row when it has been tried again, or others decide or dispatch at the same time: then it has to be looked at anew."""
        ...

    async def list_due_retries(
        self, *, now: datetime, after_at: datetime, after_id: UUID, after_number: int, limit: int
    ) -> list[DueRetry]:
        """List the decisions that are due and whose run has ended, of workflows that are not archived. Left out are those whose schedule forbids overlap while a run of it has not ended."""
        ...

    async def drop_retry(self, *, first_run_id: UUID, retry_number: int) -> int:
        """Give up a decision whose run did not fail after all."""
        ...

    async def dispatch_retry(
        self,
        *,
        id: UUID,
        first_run_id: UUID,
        retry_number: int,
        schedule_revision: int | None,
        now: datetime,
        event: Json,
        search_text: str,
    ) -> WorkflowRun | None:
        """Create the run that tries a failed one again: same version, input, config and policy, linked by its decision. No row when another dispatcher has done so, the run has not failed, its workflow is archived, or (given a revision) its schedule has changed: a run of it may have begun, or it may forbid overlap now."""
        ...

    async def list_run_retries(self, *, run_id: UUID) -> list[RunRetry]:
        """List the decisions of the chain that a run belongs to, in their order."""
        ...

    async def filter_runs(
        self,
        *,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        input_contains: Json | None,
        input_conditions: Json | None,
        output_contains: Json | None,
        output_conditions: Json | None,
        metadata_contains: Json | None,
        metadata_conditions: Json | None,
        limit: int,
    ) -> list[WorkflowRun]:
        """List runs, newest first, that meet filters."""
        ...

    async def filter_runs_by_workflow(
        self,
        *,
        workflow_id: UUID,
        triggered_by: str | None,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        input_contains: Json | None,
        input_conditions: Json | None,
        output_contains: Json | None,
        output_conditions: Json | None,
        metadata_contains: Json | None,
        metadata_conditions: Json | None,
        limit: int,
    ) -> list[WorkflowRun]:
        """List the runs of one workflow, newest first, that meet filters."""
        ...

    async def filter_runs_by_workflow_and_status(
        self,
        *,
        workflow_id: UUID,
        status: str,
        triggered_by: str | None,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        input_contains: Json | None,
        input_conditions: Json | None,
        output_contains: Json | None,
        output_conditions: Json | None,
        metadata_contains: Json | None,
        metadata_conditions: Json | None,
        limit: int,
    ) -> list[WorkflowRun]:
        """List the runs of one workflow that are in one state, newest first, that meet filters."""
        ...

    async def filter_runs_by_status(
        self,
        *,
        status: str,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        input_contains: Json | None,
        input_conditions: Json | None,
        output_contains: Json | None,
        output_conditions: Json | None,
        metadata_contains: Json | None,
        metadata_conditions: Json | None,
        limit: int,
    ) -> list[WorkflowRun]:
        """List runs that are in one state, newest first, that meet filters."""
        ...

    async def filter_runs_by_trigger(
        self,
        *,
        triggered_by: str,
        status: str | None,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        input_contains: Json | None,
        input_conditions: Json | None,
        output_contains: Json | None,
        output_conditions: Json | None,
        metadata_contains: Json | None,
        metadata_conditions: Json | None,
        limit: int,
    ) -> list[WorkflowRun]:
        """List runs by what triggered them and, optionally, their state, newest first, that meet filters."""
        ...

    async def find_runs(
        self,
        *,
        workflow_id: UUID | None,
        status: str | None,
        triggered_by: str | None,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        input_contains: Json | None,
        input_conditions: Json | None,
        output_contains: Json | None,
        output_conditions: Json | None,
        metadata_contains: Json | None,
        metadata_conditions: Json | None,
        limit: int,
    ) -> list[WorkflowRun]:
        """List runs, newest first, that meet filters of which one contains a text or a whole number. This finds them by index; workflow, status and trigger are filters too."""
        ...

    async def list_runs(
        self, *, created_from: datetime, before_at: datetime, before_id: UUID, limit: int
    ) -> list[WorkflowRun]:
        """List runs, newest first."""
        ...

    async def list_runs_by_workflow(
        self,
        *,
        workflow_id: UUID,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        limit: int,
    ) -> list[WorkflowRun]:
        """List the runs of one workflow, newest first."""
        ...

    async def list_runs_by_workflow_and_status(
        self,
        *,
        workflow_id: UUID,
        status: str,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        limit: int,
    ) -> list[WorkflowRun]:
        """List the runs of one workflow that are in one state, newest first."""
        ...

    async def list_runs_by_status(
        self,
        *,
        status: str,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        limit: int,
    ) -> list[WorkflowRun]:
        """List runs that are in one state, newest first."""
        ...

    async def list_runs_by_trigger(
        self,
        *,
        triggered_by: str,
        created_from: datetime,
        before_at: datetime,
        before_id: UUID,
        limit: int,
    ) -> list[WorkflowRun]:
        """List runs by what triggered them, newest first."""
        ...

    async def count_runs(self) -> RunStatusCounts | None:
        """Count all runs by state."""
        ...

    async def count_runs_by_workflow(self, *, workflow_id: UUID) -> RunStatusCounts | None:
        """Count the runs of one workflow by state."""
        ...

    async def get_run(self, *, id: UUID) -> WorkflowRun | None:
        """Get one run by its id."""
        ...

    async def get_run_eligibility(
        self, *, workflow_id: UUID, workflow_version_id: UUID
    ) -> RunEligibility | None:
        """Tell whether a run of this version may be created, and from which stored config; no row when the workflow is missing."""
        ...

    async def insert_run(
        self,
        *,
        id: UUID,
        workflow_id: UUID,
        workflow_version_id: UUID,
        triggered_by: str,
        input_payload: Json,
        runnable_config: Json | None,
        now: datetime,
        event: Json,
        search_text: str,
        config_text: str | None,
        hand_off: bool,
    ) -> WorkflowRun | None:
        """Create a pending run of an active workflow; without a config of its own it takes the version's. It keeps the retry policy of this moment; with :hand_off, it goes to the outbox as well. No row when the workflow is missing or archived, or the version is not one of its own."""
        ...

    async def start_run(self, *, id: UUID, now: datetime | None, event: Json) -> WorkflowRun | None:
        """Move a pending run to running."""
        ...

    async def succeed_run(
        self, *, id: UUID, output_payload: Json, now: datetime | None, event: Json, output_text: str
    ) -> WorkflowRun | None:
        """Move a running run to succeeded and keep its output."""
        ...

    async def fail_run(
        self, *, id: UUID, error: str | None, now: datetime | None, event: Json, error_text: str
    ) -> WorkflowRun | None:
        """Move a pending or running run to failed and keep the reason."""
        ...

    async def cancel_run(
        self, *, id: UUID, reason: str | None, now: datetime | None, event: Json, error_text: str
    ) -> WorkflowRun | None:
        """Move a pending or running run to cancelled and keep the reason, if any."""
        ...

    async def prune_runs(self, *, created_before: datetime, limit: int) -> int:
        """Delete up to :limit finished runs that were created before a time, oldest first, with all that belongs to them. Those of a chain of retries that goes on stay: it counts by them."""
        ...

    async def search_workflows(
        self,
        *,
        search: SearchQuery,
        include_archived: bool,
        before_at: datetime,
        before_id: UUID,
        limit: int,
    ) -> list[Workflow]:
        """Find workflows by the words of their handle, name, description, tags and latest graph."""
        ...

    async def search_runs(
        self,
        *,
        search: SearchQuery,
        workflow_id: UUID | None,
        before_at: datetime,
        before_id: UUID,
        limit: int,
    ) -> list[WorkflowRun]:
        """Find runs, of one workflow or of all, by the words of trigger, name, tags, input, output and error."""
        ...

    async def fail_stale_runs(
        self,
        *,
        status: str,
        updated_before: datetime,
        reason: str | None,
        now: datetime | None,
        event: Json,
        limit: int,
        error_text: str,
    ) -> list[WorkflowRun]:
        """Mark up to :limit runs as failed that have been in one unfinished state, unchanged, since before a time."""
        ...

    async def get_version(self, *, id: UUID) -> WorkflowVersion | None:
        """Get one version by its id."""
        ...

    async def get_version_by_number(
        self, *, workflow_id: UUID, version: int
    ) -> WorkflowVersion | None:
        """Get one version of a workflow by its number."""
        ...

    async def get_latest_version(self, *, workflow_id: UUID) -> WorkflowVersion | None:
        """Get the version of a workflow with the highest number."""
        ...

    async def list_versions(
        self, *, workflow_id: UUID, after_version: int, limit: int
    ) -> list[WorkflowVersion]:
        """List the versions of a workflow by ascending number."""
        ...

    async def list_versions_by_number(
        self, *, workflow_id: UUID, base: int, target: int
    ) -> list[WorkflowVersion]:
        """Get the two versions of a comparison at once."""
        ...

    async def insert_version(
        self,
        *,
        id: UUID,
        workflow_id: UUID,
        graph: Json,
        metadata: Json,
        runnable_config: Json | None,
        default_run_config: Json,
        default_run_text: str,
        created_by: str,
        notes: str | None,
        now: datetime,
        event: Json,
        graph_text: str,
        syncs_listeners: bool,
    ) -> WorkflowVersion | None:
        """Create the next version of a workflow: its number is assigned here, and search now finds its graph. No row when the workflow is missing, or has listeners and is not about to have them synchronised."""
        ...

    async def update_version_runnable_config(
        self,
        *,
        workflow_id: UUID,
        version: int,
        runnable_config: Json | None,
        default_run_config: Json,
        default_run_text: str,
        now: datetime,
        event: Json,
    ) -> WorkflowVersion | None:
        """Replace the runnable config of one version; no row when there is no such version."""
        ...

    async def get_webhook(self, *, workflow_id: UUID) -> StoredWebhook | None:
        """Get a workflow's webhook, if it has one, and what a run of it is created from; no row when the workflow is missing."""
        ...

    async def put_webhook(
        self,
        *,
        workflow_id: UUID,
        config: Json,
        shared_secret: str | None,
        hmac_secret: str | None,
        replaces: UUID | None,
        revision: UUID,
        clear_slots: bool,
        now: datetime,
        event: Json,
    ) -> UUID | None:
        """Set a workflow's webhook and record that in the workflow; with :clear_slots, past calls count no more. No row when the workflow is missing, or the webhook that it has by now is not the one to replace (NULL: none)."""
        ...

    async def delete_webhook(self, *, workflow_id: UUID, now: datetime, event: Json) -> UUID | None:
        """Turn a workflow's webhook off and forget all about it, and record that in the workflow; no row when it has none."""
        ...

    async def accept_webhook_call(
        self,
        *,
        id: UUID,
        workflow_id: UUID,
        revision: UUID,
        digest: str | None,
        signature_expires_at: datetime | None,
        slot_limit: int | None,
        counted_from: datetime | None,
        input_payload: Json,
        now: datetime,
        event: Json,
        search_text: str,
    ) -> WorkflowRun | None:
        """Accept a call: remember its signature, take a place of the rate limit and create its run, of the version that is the latest now, all or nothing. No row when the webhook has another revision, the signature was seen, no place is free, the workflow is archived or has no version; nor, on PostgreSQL, when its latest version changes at this moment."""
        ...

    async def get_webhook_refusal(
        self, *, workflow_id: UUID, digest: str | None, counted_from: datetime | None, now: datetime
    ) -> WebhookRefusal | None:
        """Tell why a call was not accepted; no row when the webhook is gone."""
        ...

    async def prune_webhook_signatures(self, *, now: datetime, limit: int) -> int:
        """Forget up to :limit signatures that have expired."""
        ...

    async def prune_lasting_webhook_signatures(
        self, *, accepted_before: datetime, limit: int
    ) -> int:
        """Forget up to :limit signatures that never expire, of calls accepted before a time; those calls are accepted again."""
        ...

    async def get_workflow(self, *, id: UUID) -> Workflow | None:
        """Get one workflow by its id, archived or not."""
        ...

    async def exists_workflow(self, *, id: UUID) -> bool | None:
        """Say whether a workflow exists, archived or not."""
        ...

    async def resolve_workflow_ref(
        self, *, handle: str, id: UUID | None, include_archived: bool
    ) -> UUID | None:
        """Find the id a reference stands for: the active workflow with this handle, else (on request) the archived one with this handle that changed last, else the workflow with this id."""
        ...

    async def list_workflows(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[Workflow]:
        """List active workflows in the order of their creation."""
        ...

    async def list_workflows_with_archived(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[Workflow]:
        """List all workflows in the order of their creation."""
        ...

    async def list_workflow_summaries(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[WorkflowSummary]:
        """List what an overview shows: active workflows with their latest version, without audit records and graphs."""
        ...

    async def list_workflow_summaries_with_archived(
        self, *, after_at: datetime, after_id: UUID, limit: int
    ) -> list[WorkflowSummary]:
        """List what an overview shows: workflows, also archived ones, with their latest version, without audit records and graphs."""
        ...

    async def insert_workflow(
        self,
        *,
        id: UUID,
        handle: str | None,
        slug: str,
        name: str,
        description: str | None,
        tags: Json,
        draft_access: str,
        now: datetime,
        event: Json,
        handle_text: str,
        name_text: str,
        description_text: str,
        tags_text: str,
    ) -> Workflow | None:
        """Create a workflow, together with its search row."""
        ...

    async def update_workflow(
        self,
        *,
        id: UUID,
        handle: str | None,
        name: str | None,
        description: str | None,
        tags: Json | None,
        prompts: Json | None,
        clear_prompts: bool,
        models: Json | None,
        clear_models: bool,
        draft_access: str | None,
        is_archived: bool | None,
        now: datetime,
        event: Json,
        unpublish_event: Json,
        handle_text: str | None,
        name_text: str | None,
        description_text: str | None,
        tags_text: str | None,
    ) -> Workflow | None:
        """Change the fields that are given (NULL leaves one alone; an empty description clears it) and record what changed. Archiving a public workflow revokes its publication first, with a record of its own."""
        ...

    async def publish_workflow(
        self, *, id: UUID, require_login: bool, actor: str | None, now: datetime | None, event: Json
    ) -> Workflow | None:
        """Make an active workflow public; no row when it is missing, archived or public already."""
        ...

    async def revoke_publish(self, *, id: UUID, now: datetime, event: Json) -> Workflow | None:
        """End the publication of an active workflow; no row when it is missing, archived or not public."""
        ...

    async def delete_workflow(self, *, id: UUID) -> int:
        """Delete an archived workflow and, by cascade, everything that belongs to it."""
        ...

    async def delete_all_workflows(self) -> int:
        """Delete every workflow and, by cascade, everything that belongs to one."""
        ...
