"""Versions of workflows: numbered, immutable but for their runnable config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID, uuid4

import msgspec

from .._documents import JsonText, encode_definition, number_text
from .._errors import (
    EncodingError,
    ValidationError,
    WorkflowNotFoundError,
    WorkflowVersionNotFoundError,
)
from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from .._search import BOUNDARY, search_text
from ..rules import (
    diff_graphs,
    effective_config,
    optional_text,
    parse_runnable_config,
    require_text,
)
from ..rules.listeners import (
    LISTENER_DISABLED,
    LISTENER_PLATFORMS,
    LISTENER_SYNCED,
    compile_listeners,
)
from ..structs import VersionDiff
from .base import DEFAULT_PAGE, LARGEST_PAGE, NO_LIMIT, as_uuid, audit_event
from .workflow_lists import WorkflowLists

if TYPE_CHECKING:
    from datetime import datetime

    from .._query_types import Workflows
    from ..structs import WorkflowVersion


_NONE = JsonText("[]")


class NewVersion(TypedDict):
    """The arguments of the query `insert_version` but for the last."""

    id: UUID
    workflow_id: UUID
    graph: JsonText
    metadata: JsonText
    runnable_config: JsonText | None
    default_run_config: JsonText
    default_run_text: str
    created_by: str
    notes: str | None
    now: datetime
    event: dict[str, Any]
    graph_text: str


class ListenerSync(TypedDict):
    """The arguments of the query `sync_listeners`."""

    workflow_id: UUID
    workflow_version_id: UUID
    listeners: JsonText
    now: datetime
    synced_event: dict[str, Any]
    disabled_event: dict[str, Any]


class WorkflowVersions(WorkflowLists):
    """The part of `WorkflowRepository` about versions."""

    q: Workflows
    listener_platforms: Mapping[str, str] = LISTENER_PLATFORMS

    async def create_version(
        self,
        workflow_id: UUID,
        *,
        graph: Mapping[str, Any],
        metadata: Mapping[str, Any],
        runnable_config: Any = None,
        notes: str | None,
        created_by: str,
    ) -> WorkflowVersion:
        """Create the next version of a workflow, archived or not; its number is the highest plus one.

        From now on the listeners of its graph are served, and those of the version before no more.

        Args:
            workflow_id: the workflow.
            graph: any JSON document; kept as it is, and found by search.
            metadata: any JSON document.
            runnable_config: what runs of this version get unless they override it; an empty one counts as None.
            notes: free text.
            created_by: who does this, also for the audit trail.

        Raises:
            ValidationError: a value breaks its rule; TypeError as well when it can't be written as JSON.
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id, version_id = as_uuid(workflow_id, "workflow_id"), uuid4()
        document = as_mapping(graph, "graph")
        config, default, default_text = _run_config(runnable_config or None)
        now = self._now()
        version: NewVersion = {
            "id": version_id,
            "workflow_id": workflow_id,
            "graph": encode_definition(document, name="graph"),
            "metadata": encode_definition(as_mapping(metadata, "metadata"), name="metadata"),
            "runnable_config": config,
            "default_run_config": default,
            "default_run_text": default_text,
            "created_by": require_text(created_by, "created_by"),
            "notes": optional_text(notes, "notes"),
            "now": now,
            "event": audit_event(created_by, "version_created", now),
            "graph_text": search_text(document),
        }
        sync: ListenerSync = self._listener_sync(
            version["graph"], workflow_id, version_id, version["created_by"], now
        )
        created = None
        if sync["listeners"] == _NONE:
            created = await self.q.insert_version(**version, syncs_listeners=False)
        if created is None:
            created = await self._insert_and_sync(version, sync)
        return created

    async def _insert_and_sync(self, version: NewVersion, sync: ListenerSync) -> WorkflowVersion:
        # Two statements: only the second sees which listeners were served when the first got the workflow's row.
        async with self._scope.transaction() as unit:
            created = await unit.workflows.q.insert_version(**version, syncs_listeners=True)
            if created is None:
                raise WorkflowNotFoundError(str(version["workflow_id"]))
            await unit.workflows.q.sync_listeners(**sync)
        return created

    def _listener_sync(
        self, graph: JsonText, workflow_id: UUID, version_id: UUID, actor: str, now: datetime
    ) -> ListenerSync:
        """Return the arguments of `sync_listeners` for a graph."""
        compiled = compile_listeners(
            msgspec.json.decode(graph.encode()),
            workflow_id=workflow_id,
            version_id=version_id,
            platforms=self.listener_platforms,
        )
        return {
            "workflow_id": workflow_id,
            "workflow_version_id": version_id,
            "listeners": encode_definition(compiled, name="listeners"),
            "now": now,
            "synced_event": audit_event(actor, LISTENER_SYNCED, now),
            "disabled_event": audit_event(actor, LISTENER_DISABLED, now),
        }

    async def list_versions(self, workflow_id: UUID) -> list[WorkflowVersion]:
        """Return all versions of a workflow by ascending number.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        rows = await self.q.list_versions(workflow_id=workflow_id, after_version=0, limit=NO_LIMIT)
        if not rows:
            await self._require_workflow(workflow_id)
        return rows

    async def page_versions(
        self, workflow_id: UUID, *, limit: int = DEFAULT_PAGE, cursor: str | None = None
    ) -> Page[WorkflowVersion]:
        """Return up to `limit` (at most 1000) versions by ascending number, from a cursor on.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        kind = f"versions of {workflow_id}"
        (after,) = decode_cursor(kind, cursor, (int,)) if cursor is not None else (0,)
        rows = await self.q.list_versions(
            workflow_id=workflow_id, after_version=after, limit=limit + 1
        )
        if not rows:
            await self._require_workflow(workflow_id)
        return page_of(rows, limit, lambda v: encode_cursor(kind, v.version))

    async def get_version_by_number(
        self, workflow_id: UUID, version_number: int
    ) -> WorkflowVersion:
        """Return one version by its number.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowVersionNotFoundError: it has no such version.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        number = _number(version_number)
        found = (
            await self.q.get_version_by_number(workflow_id=workflow_id, version=number)
            if number
            else None
        )
        if found is None:
            await self._require_workflow(workflow_id)
            raise WorkflowVersionNotFoundError(f"v{number_text(version_number)}")
        return found

    async def get_version(self, version_id: UUID) -> WorkflowVersion:
        """Return one version by its id.

        Raises:
            WorkflowVersionNotFoundError: there is none.
        """
        version_id = as_uuid(version_id, "version_id")
        found = await self.q.get_version(id=version_id)
        if found is None:
            raise WorkflowVersionNotFoundError(str(version_id))
        return found

    async def get_latest_version(self, workflow_id: UUID) -> WorkflowVersion:
        """Return the version with the highest number.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowVersionNotFoundError: it has no version yet.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        found = await self.q.get_latest_version(workflow_id=workflow_id)
        if found is None:
            await self._require_workflow(workflow_id)
            raise WorkflowVersionNotFoundError("latest")
        return found

    async def update_version_runnable_config(
        self, workflow_id: UUID, *, version_number: int, runnable_config: Any, actor: str
    ) -> WorkflowVersion:
        """Replace the runnable config of one version, and nothing else of it.

        Raises:
            ValidationError: the config breaks a rule.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowVersionNotFoundError: it has no such version.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        number = _number(version_number)
        now = self._now()
        try:
            config, default, default_text = _run_config(runnable_config)
            event = audit_event(actor, "version_runnable_config_updated", now)
        except ValidationError:
            await self.get_version_by_number(workflow_id, version_number)  # missing comes first
            raise
        updated = number and await self.q.update_version_runnable_config(
            workflow_id=workflow_id,
            version=number,
            runnable_config=config,
            default_run_config=default,
            default_run_text=default_text,
            now=now,
            event=event,
        )
        if not updated:
            await self._require_workflow(workflow_id)
            raise WorkflowVersionNotFoundError(f"v{number_text(version_number)}")
        return updated

    async def diff_versions(
        self, workflow_id: UUID, base_version: int, target_version: int
    ) -> VersionDiff:
        """Compare the graphs of two versions as a unified diff of their JSON.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowVersionNotFoundError: it lacks one of the versions.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        rows = await self.q.list_versions_by_number(
            workflow_id=workflow_id, base=_number(base_version), target=_number(target_version)
        )
        graphs = {row.version: row.graph for row in rows}
        for number in (base_version, target_version):
            if number not in graphs:
                await self._require_workflow(workflow_id)
                raise WorkflowVersionNotFoundError(f"v{number_text(number)}")
        diff = diff_graphs(
            graphs[base_version], graphs[target_version], base_version, target_version
        )
        return VersionDiff(base_version, target_version, diff)


def _run_config(value: Any) -> tuple[JsonText | None, JsonText, str]:
    """Return a version's config as given, what runs get from it, and the words they are found by."""
    parsed = parse_runnable_config(value)
    effective = effective_config(parsed, None)
    kept = None if parsed is None else encode_definition(parsed, name="runnable_config")
    return kept, encode_definition(effective, name="runnable_config"), config_text(effective)


def config_text(config: Mapping[str, Any]) -> str:
    """Return the search text of a run's config: its name and tags, set off from what stands before it."""
    words = search_text(config.get("run_name") or "", *config.get("tags", ()))
    return f" {BOUNDARY} {words}" if words else ""


def as_mapping(value: object, name: str) -> dict[str, Any]:
    """Return a JSON object as a dict."""
    if not isinstance(value, Mapping):
        raise EncodingError(f"{name} must be a JSON object, got {type(value).__name__}")
    return dict(value)


def _number(value: object) -> int:
    """Return a version number that can exist, or 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValidationError(
            f"a version number must be a whole number, got {type(value).__name__}"
        )
    return value if 0 < value < 2**31 else 0
