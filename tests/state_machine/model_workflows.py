"""Workflows and their versions in plain Python."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, cast

from tests.state_machine.model_search import Term, check_terms, found
from tests.state_machine.model_tables import Row, Stored, age
from tests.state_machine.model_values import (
    Refused,
    access_of,
    config_of,
    definition,
    handle_of,
    models_of,
    name_of,
    prompts_of,
    short_text,
    slug_of,
    tags_of,
    text_of,
    uuid_of,
)

if TYPE_CHECKING:
    from uuid import UUID

_UNPUBLISHED: Row = {
    "is_public": False,
    "published_at": None,
    "published_by": None,
    "require_login": False,
}


class Workflows(Stored):
    """The part of the model about workflows and versions."""

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
        self._check_handle(None, handle, archived=False)
        name = name_of(name)
        slug = slug_of(slug, name) or str(self.new_id())
        description = short_text(description, "Workflow description", 1024)
        labels = tags_of(tags)
        workflow_id = self.new_id()
        row = {
            "name": name,
            "handle": handle,
            "slug": slug,
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
        self.tables.workflows[workflow_id] = row
        return row

    def _check_handle(
        self, workflow_id: UUID | None, handle: str | None, *, archived: bool
    ) -> None:
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
        return sorted(shown, key=age)

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
        given: Row = {"handle": handle_of(handle)}
        old = self.get_workflow(workflow_id)
        given["name"] = None if name is None else name_of(name)
        text = short_text(description, "Workflow description", 1024)
        given["tags"] = None if tags is None else tags_of(tags)
        prompts, models = chatkit_start_screen_prompts, chatkit_supported_models
        new_prompts = None if prompts is None else prompts_of(prompts)
        new_models = None if models is None else models_of(models)
        given["draft_access"] = None if draft_access is None else access_of(draft_access)
        given["is_archived"] = is_archived
        text_of(actor, "actor")
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
        row = self.get_version_by_number(workflow_id, version_number)
        config = definition(config_of(runnable_config), "runnable_config")
        text_of(actor, "actor")
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
