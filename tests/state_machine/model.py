"""The rules of workflows, versions and runs in plain Python: what both databases are compared with.

Nothing of the library is imported here. Methods are named as the repository's and take the same arguments; lists come
whole, whatever page of them was asked for. An entity is a dict that is never changed, only replaced, so a snapshot of
the tables is a shallow copy.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from tests.state_machine.model_search import Term, Wanted, check_terms, found, meets
from tests.state_machine.model_tables import Row, age
from tests.state_machine.model_values import (
    Refused,
    definition,
    invalid,
    merged_config,
    record,
    record_text,
    text_of,
)
from tests.state_machine.model_workflows import Workflows

if TYPE_CHECKING:
    from uuid import UUID

STATUSES = ("pending", "running", "succeeded", "failed", "cancelled")


class Model(Workflows):
    """Everything that `db.workflows` does."""

    def create_run(
        self,
        workflow_id: UUID,
        *,
        workflow_version_id: UUID,
        triggered_by: str,
        input_payload: Row,
        actor: str | None = None,
        runnable_config: Row | None = None,
        credentials_checked: bool = False,
    ) -> Row:
        text_of(triggered_by, "triggered_by")
        actor = text_of(actor, "actor") if actor else triggered_by
        payload = record(input_payload)
        if self.gate and not credentials_checked:
            self._active(workflow_id)
            self._check_credentials(workflow_id)
        self._active(workflow_id)
        version = self.tables.versions.get(workflow_version_id)
        if version is None or version["workflow_id"] != workflow_id:
            raise Refused("WorkflowVersionNotFoundError", str(workflow_version_id))
        config = merged_config(version["runnable_config"], runnable_config or None)
        return self._add_run(version, triggered_by, payload, actor, config)

    def _add_run(
        self,
        version: Row,
        triggered_by: str,
        payload: Row,
        actor: str,
        config: Row | None = None,
        run_id: UUID | None = None,
    ) -> Row:
        """Add a pending run; without a config it has its version's."""
        if config is None:
            config = merged_config(version["runnable_config"], None)
        run_id = run_id or self.new_id()
        row = {
            "workflow_version_id": version["id"],
            "status": "pending",
            "triggered_by": triggered_by,
            "input_payload": payload,
            "runnable_config": definition(config, "runnable_config"),
            "tags": config.get("tags", []),
            "callbacks": config.get("callbacks", []),
            "metadata": config.get("metadata", {}),
            "run_name": config.get("run_name"),
            "output_payload": None,
            "started_at": None,
            "completed_at": None,
            "error": None,
            **self._born(run_id, actor, "run_created"),
        }
        self.tables.runs[run_id] = row
        return row

    def _check_credentials(self, workflow_id: UUID) -> None:
        if self.units:
            raise Refused(
                "TransactionError",
                "the credential service is never asked inside a unit of work: call "
                "db.workflows.ensure_credential_health(...) before it and pass credentials_checked=True",
            )
        if workflow_id in self.unhealthy:
            raise Refused(
                "CredentialHealthError",
                f"Workflow {workflow_id} has unhealthy credentials: expired; revoked",
            )

    def get_run(self, run_id: UUID) -> Row:
        if run_id not in self.tables.runs:
            raise Refused("WorkflowRunNotFoundError", str(run_id))
        return self.tables.runs[run_id]

    def mark_run_started(self, run_id: UUID, *, actor: str) -> Row:
        text_of(actor, "actor")
        row = self._run_in(run_id, ("pending",), "Only pending runs can be started.")
        started = {**row, "status": "running", "started_at": self.now()}
        return self._write(self.tables.runs, started, self._event(actor, "run_started"))

    def mark_run_succeeded(self, run_id: UUID, *, actor: str, output: Row | None) -> Row:
        text_of(actor, "actor")
        row = self._run_in(run_id, ("running",), "Only running runs can be marked as succeeded.")
        event = self._event(actor, "run_succeeded")
        return self._finish(row, "succeeded", event, output_payload=record(output or {}))

    def mark_run_failed(self, run_id: UUID, *, actor: str, error: str) -> Row:
        text_of(actor, "actor")
        problem = "Only pending or running runs can be marked as failed."
        row = self._run_in(run_id, ("pending", "running"), problem)
        reason = record_text(error)
        event = self._event(actor, "run_failed", {"error": reason})
        return self._finish(row, "failed", event, error=reason)

    def mark_run_cancelled(self, run_id: UUID, *, actor: str, reason: str | None) -> Row:
        text_of(actor, "actor")
        problem = "Cannot cancel a run that is already completed."
        row = self._run_in(run_id, ("pending", "running"), problem)
        why = None if reason is None else record_text(reason)
        event = self._event(actor, "run_cancelled", {"reason": why} if why else None)
        return self._finish(row, "cancelled", event, error=why)

    def _run_in(self, run_id: UUID, allowed: tuple[str, ...], problem: str) -> Row:
        row = self.get_run(run_id)
        if row["status"] not in allowed:
            raise Refused("RunTransitionError", problem)
        return row

    def _finish(self, row: Row, status: str, event: Row, **changes: Any) -> Row:
        done = {**row, "status": status, "completed_at": self.now(), **changes}
        return self._write(self.tables.runs, done, event)

    def _workflow_of(self, run: Row) -> UUID:
        return cast("UUID", self.tables.versions[run["workflow_version_id"]]["workflow_id"])

    def _newest_first(self) -> list[Row]:
        return sorted(self.tables.runs.values(), key=age, reverse=True)

    def list_runs_for_workflow(self, workflow_id: UUID, *, limit: int | None = None) -> list[Row]:
        if limit is not None and limit < 0:
            raise invalid(f"limit must not be negative, but is {limit}")
        self.get_workflow(workflow_id)
        return [r for r in self._newest_first() if self._workflow_of(r) == workflow_id][:limit]

    def page_runs(
        self,
        *,
        workflow_id: UUID | None = None,
        status: str | None = None,
        triggered_by: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        input_filter: Wanted | None = None,
        output_filter: Wanted | None = None,
        metadata_filter: Wanted | None = None,
    ) -> list[Row]:
        return [
            run
            for run in self._newest_first()
            if (workflow_id is None or self._workflow_of(run) == workflow_id)
            and (status is None or run["status"] == status)
            and (triggered_by is None or run["triggered_by"] == triggered_by)
            and (created_from is None or run["created_at"] >= _utc(created_from))
            and (created_before is None or run["created_at"] < _utc(created_before))
            and meets(run["input_payload"], input_filter)
            and meets(run["output_payload"], output_filter)
            and meets(run["metadata"], metadata_filter)
        ]

    def count_runs_by_status(self, *, workflow_id: UUID | None = None) -> Row:
        runs = self.page_runs(workflow_id=workflow_id)
        return {status: sum(r["status"] == status for r in runs) for status in STATUSES}

    def search_runs(self, query: list[Term], *, workflow_id: UUID | None = None) -> list[Row]:
        check_terms(query)
        searched = (
            "triggered_by",
            "input_payload",
            "run_name",
            "tags",
            "output_payload",
            "error",
        )
        runs = self.page_runs(workflow_id=workflow_id)
        return [run for run in runs if found([run[name] for name in searched], query)]

    def _is_kept(self, _run_id: UUID) -> bool:
        """Whether a run that has ended is needed all the same."""
        return False

    def prune_runs(self, *, created_before: datetime, limit: int = 1000) -> int:
        before = self.page_runs(created_before=created_before)
        over = [r for r in before if r["completed_at"] and not self._is_kept(r["id"])]
        gone = over[::-1][:limit]
        for run in gone:
            del self.tables.runs[run["id"]]
        return len(gone)

    def page_audit_records(self, entity_id: UUID) -> list[Row]:
        tables = (self.tables.workflows, self.tables.versions, self.tables.runs)
        kept = [record for t in tables if entity_id in t for record in t[entity_id]["audit_log"]]
        trail = self.tables.spilled.get(entity_id, []) + kept
        return [{"seq": seq, "record": record} for seq, record in enumerate(trail, 1)]


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
