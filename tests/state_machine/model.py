"""The rules of workflows, versions and runs in plain Python: what both databases are compared with.

Nothing of the library is imported here. Methods are named as the repository's and take the same arguments; lists come
whole, whatever page of them was asked for. An entity is a dict that is never changed, only replaced, so a snapshot of
the tables is a shallow copy.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from tests.state_machine.model_search import Term, Wanted, check_terms, found, meets
from tests.state_machine.model_values import (
    Refused,
    access_of,
    config_of,
    definition,
    handle_of,
    invalid,
    merged_config,
    models_of,
    name_of,
    prompts_of,
    record,
    record_text,
    short_text,
    slug_of,
    tags_of,
    text_of,
    uuid_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Row = dict[str, Any]
STATUSES = ("pending", "running", "succeeded", "failed", "cancelled")
MOST_KEPT, KEPT_AFTER_SPILL = 40, 20


@dataclass
class Tables:
    """All that is stored."""

    workflows: dict[UUID, Row] = field(default_factory=dict)
    versions: dict[UUID, Row] = field(default_factory=dict)
    runs: dict[UUID, Row] = field(default_factory=dict)
    spilled: dict[UUID, list[Row]] = field(default_factory=dict)

    def copy(self) -> Tables:
        return Tables(
            dict(self.workflows), dict(self.versions), dict(self.runs), dict(self.spilled)
        )


class Model:
    """One installation, in memory."""

    def __init__(self, now: Callable[[], datetime], new_id: Callable[[], UUID]):
        self.now = now
        self.new_id = new_id
        self.tables = Tables()
        self.units: list[Tables] = []
        self.gate = False
        self.unhealthy: set[UUID] = set()

    # --- units of work

    def begin(self) -> None:
        self.units.append(self.tables.copy())

    def keep(self) -> None:
        self.units.pop()

    def undo(self) -> None:
        self.tables = self.units.pop()

    def committed(self) -> Model:
        """Return what others see while units of work are open."""
        other = Model(self.now, self.new_id)
        other.tables = self.units[0] if self.units else self.tables
        return other

    # --- workflows

    def create_workflow(
        self,
        *,
        name: str,
        handle: str | None = None,
        slug: str | None,
        description: str | None,
        tags: list[str] | None,
        draft_access: str,
        actor: str,
    ) -> Row:
        handle = handle_of(handle)
        name = name_of(name)
        description = short_text(description, "Workflow description", 1024)
        labels = tags_of(tags)
        workflow_id = self.new_id()
        row = {
            "name": name,
            "handle": handle,
            "slug": slug_of(slug, name) or str(self.new_id()),
            "description": description,
            "tags": labels,
            "is_archived": False,
            "draft_access": access_of(draft_access),
            "is_public": False,
            "published_at": None,
            "published_by": None,
            "require_login": False,
            "share_url": None,
            "chatkit": None,
            **self._born(workflow_id, actor, "workflow_created"),
        }
        self._check_handle(workflow_id, handle, archived=False)
        self.tables.workflows[workflow_id] = row
        return row

    def _check_handle(self, workflow_id: UUID, handle: str | None, *, archived: bool) -> None:
        for other in self.tables.workflows.values():
            if handle is None or other["handle"] != handle or other["id"] == workflow_id:
                continue
            if not (other["is_archived"] and archived):
                raise Refused(
                    "WorkflowHandleConflictError", f"Workflow handle '{handle}' is already in use."
                )

    def get_workflow(self, workflow_id: UUID) -> Row:
        row = self.tables.workflows.get(workflow_id)
        if row is None:
            raise Refused("WorkflowNotFoundError", str(workflow_id))
        return row

    def resolve_workflow_ref(self, workflow_ref: str, *, include_archived: bool = True) -> UUID:
        ref = workflow_ref.strip().lower()
        if not ref:
            raise Refused("WorkflowNotFoundError", "workflow ref is empty")
        holders = [w for w in self.tables.workflows.values() if w["handle"] == ref]
        active = [w for w in holders if not w["is_archived"]]
        archived = sorted(
            (w for w in holders if w["is_archived"] and include_archived),
            key=lambda w: (w["updated_at"], w["id"]),
            reverse=True,
        )
        by_id = [w for w in self.tables.workflows.values() if w["id"] == uuid_of(ref)]
        for row in (*active, *archived, *by_id):
            return cast("UUID", row["id"])
        raise Refused("WorkflowNotFoundError", ref)

    def list_workflows(self, *, include_archived: bool = False) -> list[Row]:
        shown = [
            w for w in self.tables.workflows.values() if include_archived or not w["is_archived"]
        ]
        return sorted(shown, key=_age)

    page_workflows = list_workflows

    def page_workflow_summaries(self, *, include_archived: bool = False) -> list[Row]:
        summaries = []
        for w in self.list_workflows(include_archived=include_archived):
            latest = self._versions(w["id"])[-1:]
            same = (
                "id", "handle", "slug", "name", "description", "tags", "draft_access",
                "is_archived", "is_public", "created_at", "updated_at",
            )  # fmt: skip
            summaries.append(
                {
                    **{name: w[name] for name in same},
                    "latest_version": latest[0]["version"] if latest else None,
                    "latest_version_id": latest[0]["id"] if latest else None,
                    "latest_version_created_at": latest[0]["created_at"] if latest else None,
                }
            )
        return summaries

    def search_workflows(self, query: list[Term], *, include_archived: bool = False) -> list[Row]:
        check_terms(query)
        hits = []
        for w in self.list_workflows(include_archived=include_archived):
            graphs = [v["graph"] for v in self._versions(w["id"])[-1:]]
            if found([w["handle"], w["name"], w["description"], w["tags"], graphs], query):
                hits.append(w)
        return hits[::-1]

    def update_workflow(
        self,
        workflow_id: UUID,
        *,
        name: str | None,
        handle: str | None = None,
        description: str | None,
        tags: list[str] | None,
        chatkit_start_screen_prompts: list[Row] | None = None,
        chatkit_supported_models: list[Row] | None = None,
        clear_chatkit_start_screen_prompts: bool = False,
        clear_chatkit_supported_models: bool = False,
        draft_access: str | None = None,
        is_archived: bool | None,
        actor: str,
    ) -> Row:
        given: Row = {
            "handle": handle_of(handle),
            "name": None if name is None else name_of(name),
        }
        text = short_text(description, "Workflow description", 1024)
        given["tags"] = None if tags is None else tags_of(tags)
        prompts, models = chatkit_start_screen_prompts, chatkit_supported_models
        new_prompts = None if prompts is None else prompts_of(prompts)
        new_models = None if models is None else models_of(models)
        given["draft_access"] = None if draft_access is None else access_of(draft_access)
        given["is_archived"] = is_archived
        text_of(actor, "actor")
        old = self.get_workflow(workflow_id)
        new = {**old, **{key: value for key, value in given.items() if value is not None}}
        if description is not None:
            new["description"] = text
        before = old["chatkit"] or {"start_screen_prompts": None, "supported_models": None}
        after = dict(before)
        if new_prompts is not None or clear_chatkit_start_screen_prompts:
            after["start_screen_prompts"] = (
                None if clear_chatkit_start_screen_prompts else new_prompts
            )
        if new_models is not None or clear_chatkit_supported_models:
            after["supported_models"] = None if clear_chatkit_supported_models else new_models
        new["chatkit"] = None if set(map(repr, after.values())) == {"None"} else after
        changes = {
            key: {"from": old[key], "to": new[key]}
            for key in ("handle", "name", "description", "tags", "draft_access", "is_archived")
            if old[key] != new[key]
        } | {
            f"chatkit_{key}": {"from": before[key], "to": after[key]}
            for key in before
            if before[key] != after[key]
        }
        if "handle" in changes or (old["is_archived"] and not new["is_archived"]):
            self._check_handle(workflow_id, new["handle"], archived=new["is_archived"])
        events = []
        if is_archived:
            if old["is_public"]:
                ended = {"require_login": old["require_login"]}
                events.append(self._event(actor, "workflow_unpublished", ended))
            new |= _UNPUBLISHED
        events.append(self._event(actor, "workflow_updated", changes))
        return self._write(self.tables.workflows, new, *events)

    def archive_workflow(self, workflow_id: UUID, *, actor: str) -> Row:
        return self.update_workflow(
            workflow_id, name=None, description=None, tags=None, is_archived=True, actor=actor
        )

    def publish_workflow(self, workflow_id: UUID, *, require_login: bool, actor: str) -> Row:
        text_of(actor, "actor")
        row = self._active(workflow_id)
        if row["is_public"]:
            raise Refused("WorkflowPublishStateError", "Workflow is already published.")
        published = {
            "is_public": True,
            "published_at": self.now(),
            "published_by": actor,
            "require_login": require_login,
        }
        event = self._event(actor, "workflow_published", {"require_login": require_login})
        return self._write(self.tables.workflows, {**row, **published}, event)

    def revoke_publish(self, workflow_id: UUID, *, actor: str) -> Row:
        text_of(actor, "actor")
        row = self._active(workflow_id)
        if not row["is_public"]:
            raise Refused("WorkflowPublishStateError", "Workflow is not currently published.")
        ended = {"require_login": row["require_login"]}
        event = self._event(actor, "workflow_unpublished", ended)
        return self._write(self.tables.workflows, {**row, **_UNPUBLISHED}, event)

    def _active(self, workflow_id: UUID) -> Row:
        row = self.get_workflow(workflow_id)
        if row["is_archived"]:
            raise Refused("WorkflowNotFoundError", str(workflow_id))
        return row

    # --- versions

    def create_version(
        self,
        workflow_id: UUID,
        *,
        graph: Row,
        metadata: Row,
        runnable_config: Row | None = None,
        notes: str | None,
        created_by: str,
    ) -> Row:
        config = definition(config_of(runnable_config or None), "runnable_config")
        version_id = self.new_id()
        row = {
            "workflow_id": workflow_id,
            "graph": definition(graph, "graph"),
            "mermaid": None,
            "metadata": definition(metadata, "metadata"),
            "runnable_config": config,
            "created_by": text_of(created_by, "created_by"),
            "notes": None if notes is None else text_of(notes, "notes"),
        }
        self.get_workflow(workflow_id)
        row["version"] = len(self._versions(workflow_id)) + 1
        row |= self._born(version_id, created_by, "version_created")
        self.tables.versions[version_id] = row
        return row

    def _versions(self, workflow_id: UUID) -> list[Row]:
        rows = [v for v in self.tables.versions.values() if v["workflow_id"] == workflow_id]
        return sorted(rows, key=lambda v: cast("int", v["version"]))

    def list_versions(self, workflow_id: UUID) -> list[Row]:
        self.get_workflow(workflow_id)
        return self._versions(workflow_id)

    page_versions = list_versions

    def get_version_by_number(self, workflow_id: UUID, version_number: int) -> Row:
        for version in self.list_versions(workflow_id):
            if version["version"] == version_number:
                return version
        raise Refused("WorkflowVersionNotFoundError", f"v{version_number}")

    def get_version(self, version_id: UUID) -> Row:
        if version_id not in self.tables.versions:
            raise Refused("WorkflowVersionNotFoundError", str(version_id))
        return self.tables.versions[version_id]

    def get_latest_version(self, workflow_id: UUID) -> Row:
        for version in reversed(self.list_versions(workflow_id)):
            return version
        raise Refused("WorkflowVersionNotFoundError", "latest")

    def update_version_runnable_config(
        self, workflow_id: UUID, *, version_number: int, runnable_config: Row | None, actor: str
    ) -> Row:
        config = definition(config_of(runnable_config), "runnable_config")
        text_of(actor, "actor")
        row = self.get_version_by_number(workflow_id, version_number)
        event = self._event(actor, "version_runnable_config_updated")
        return self._write(self.tables.versions, {**row, "runnable_config": config}, event)

    def diff_versions(self, workflow_id: UUID, base_version: int, target_version: int) -> Row:
        base = self.get_version_by_number(workflow_id, base_version)
        target = self.get_version_by_number(workflow_id, target_version)
        texts = [
            json.dumps(v["graph"], indent=2, sort_keys=True).splitlines() for v in (base, target)
        ]
        names = (f"v{base_version}", f"v{target_version}")
        diff = list(difflib.unified_diff(texts[0], texts[1], names[0], names[1], lineterm=""))
        return {"base_version": base_version, "target_version": target_version, "diff": diff}

    # --- runs

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
        run_id = self.new_id()
        row = {
            "workflow_version_id": workflow_version_id,
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
        return sorted(self.tables.runs.values(), key=_age, reverse=True)

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
            and meets(run["runnable_config"], _under_metadata(metadata_filter))
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

    def prune_runs(self, *, created_before: datetime, limit: int = 1000) -> int:
        over = [r for r in self.page_runs(created_before=created_before) if r["completed_at"]]
        gone = over[::-1][:limit]
        for run in gone:
            del self.tables.runs[run["id"]]
        return len(gone)

    def page_audit_records(self, entity_id: UUID) -> list[Row]:
        tables = (self.tables.workflows, self.tables.versions, self.tables.runs)
        kept = [record for t in tables if entity_id in t for record in t[entity_id]["audit_log"]]
        trail = self.tables.spilled.get(entity_id, []) + kept
        return [{"seq": seq, "record": record} for seq, record in enumerate(trail, 1)]

    def reset(self) -> None:
        self.tables = Tables()

    # --- what all entities share

    def _event(self, actor: str, action: str, metadata: Row | None = None) -> Row:
        return {"actor": actor, "action": action, "at": self.now(), "metadata": metadata or {}}

    def _born(self, entity_id: UUID, actor: str, action: str) -> Row:
        text_of(actor, "actor")
        now = self.now()
        log = [self._event(actor, action)]
        return {"id": entity_id, "created_at": now, "updated_at": now, "audit_log": log}

    def _write(self, table: dict[UUID, Row], row: Row, *events: Row) -> Row:
        log = [*row["audit_log"], *events]
        written = {**row, "updated_at": self.now(), "audit_log": log}
        entity_id = row["id"]
        if len(log) > MOST_KEPT:
            spilled = self.tables.spilled.get(entity_id, [])
            self.tables.spilled[entity_id] = spilled + log[:-KEPT_AFTER_SPILL]
            table[entity_id] = {**written, "audit_log": log[-KEPT_AFTER_SPILL:]}
        else:
            table[entity_id] = written
        return written


_UNPUBLISHED: Row = {
    "is_public": False,
    "published_at": None,
    "published_by": None,
    "require_login": False,
}


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _age(row: Row) -> tuple[datetime, UUID]:
    return row["created_at"], row["id"]


def _under_metadata(wanted: Wanted | None) -> Wanted | None:
    if wanted is None:
        return None
    contains = wanted.contains if wanted.contains is ... else {"metadata": wanted.contains}
    where = tuple((("metadata", *path), *rest) for path, *rest in wanted.where)
    return Wanted(contains, where)
