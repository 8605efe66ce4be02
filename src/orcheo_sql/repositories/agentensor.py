"""Training checkpoints of the agentensor loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from .._documents import clean_text, encode_definition, encode_record
from .._errors import (
    AgentensorCheckpointNotFoundError,
    AgentensorVersionConflictError,
    UniqueViolationError,
    ValidationError,
)
from .._filters import as_filter
from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from ..rules import require_flag, require_int, require_text
from .base import DEFAULT_PAGE, LARGEST_PAGE, NO_LIMIT, Repository

if TYPE_CHECKING:
    from .._filters import JsonFilter
    from .._query_types import Agentensor
    from ..structs import AgentensorCheckpoint

    Filter = JsonFilter | Mapping[str, Any]

LONGEST_WORKFLOW_ID = 128
HIGHEST_VERSION = 2**62
PAST_ALL = 2**63 - 1
PRUNED_AT_ONCE = 1000


class AgentensorRepository(Repository):
    """Training checkpoints. SQL: ``sql/<dialect>/queries/agentensor/``."""

    q: Agentensor

    async def record_checkpoint(
        self,
        *,
        workflow_id: str | UUID,
        runnable_config: Mapping[str, Any],
        metrics: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        artifact_url: str | None = None,
        is_best: bool = False,
        config_version: int | None = None,
    ) -> AgentensorCheckpoint:
        """Record a checkpoint; with `is_best`, the one that was the best is it no more.

        Args:
            workflow_id: 1 to 128 characters, or a UUID, which counts as its text; need not be one of this database.
            runnable_config: any JSON document.
            metrics: any mapping; values that a database can't hold, such as NaN, become text (docs/values.md).
            metadata: likewise.
            artifact_url: where the artifact is.
            is_best: make it the best of its workflow.
            config_version: its number; the highest one ever given out plus one when None.

        Raises:
            ValidationError: a value breaks its rule; TypeError as well when it can't be written as JSON.
            AgentensorVersionConflictError: the workflow has a checkpoint with this version.
        """
        workflow_id = _workflow_id(workflow_id)
        version = None
        if config_version is not None:
            version = require_int(config_version, "config_version", 1, HIGHEST_VERSION)
        try:
            async with self._scope.attempt():
                recorded = await self.q.insert_checkpoint(
                    id=str(uuid4()),
                    workflow_id=workflow_id,
                    config_version=version,
                    runnable_config=encode_definition(
                        _mapping(runnable_config, "runnable_config"), name="runnable_config"
                    ),
                    metrics=encode_record(_mapping(metrics, "metrics"), name="metrics"),
                    metadata=encode_record(
                        {} if metadata is None else _mapping(metadata, "metadata"), name="metadata"
                    ),
                    artifact_url=_url(artifact_url),
                    is_best=require_flag(is_best, "is_best"),
                    now=self._now(),
                )
        except UniqueViolationError as error:
            raise AgentensorVersionConflictError(workflow_id, version) from error
        assert recorded is not None
        return recorded

    async def get_checkpoint(self, checkpoint_id: str | UUID) -> AgentensorCheckpoint:
        """Return one checkpoint.

        Raises:
            AgentensorCheckpointNotFoundError: there is none.
        """
        found = await self.q.get_checkpoint(id=_checkpoint_id(checkpoint_id))
        if found is None:
            raise AgentensorCheckpointNotFoundError(checkpoint_id)
        return found

    async def list_checkpoints(
        self, workflow_id: str | UUID, *, limit: int | None = None
    ) -> list[AgentensorCheckpoint]:
        """Return the checkpoints of a workflow, newest first, at most `limit` of them."""
        most = NO_LIMIT if limit is None else check_limit(limit)
        return await self._checkpoints(workflow_id, PAST_ALL, None, None, most)

    async def page_checkpoints(
        self,
        workflow_id: str | UUID,
        *,
        metrics_filter: Filter | None = None,
        metadata_filter: Filter | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[AgentensorCheckpoint]:
        """Return up to `limit` (at most 1000) checkpoints, newest first, that meet the filters.

        Args:
            workflow_id: the workflow; an unknown one has none.
            metrics_filter: a `JsonFilter` on the metrics, such as ``JsonFilter(where=[("accuracy", ">=", 0.9)])``,
                or a mapping that they must contain.
            metadata_filter: the same on the metadata.
            limit: at most 1000.
            cursor: `next_cursor` of the page before, with the same filters.

        Raises:
            InvalidCursorError: the cursor is not one of this list's.
            JsonFilterError: a filter is malformed.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        kind = f"checkpoints of {_workflow_id(workflow_id)}"
        before = PAST_ALL
        if cursor is not None:
            (before,) = decode_cursor(kind, cursor, (int,))
        rows = await self._checkpoints(
            workflow_id, before, metrics_filter, metadata_filter, limit + 1
        )
        return page_of(rows, limit, lambda c: encode_cursor(kind, c.config_version))

    async def _checkpoints(
        self,
        workflow_id: str | UUID,
        before: int,
        metrics: Filter | None,
        metadata: Filter | None,
        limit: int,
    ) -> list[AgentensorCheckpoint]:
        if metrics is metadata is None:
            return await self.q.list_checkpoints(
                workflow_id=_workflow_id(workflow_id), before_version=before, limit=limit
            )
        nothing = None, None
        contains, conditions = nothing if metrics is None else as_filter(metrics).to_parameters()
        meta_contains, meta_conditions = (
            nothing if metadata is None else as_filter(metadata).to_parameters()
        )
        return await self.q.filter_checkpoints(
            workflow_id=_workflow_id(workflow_id),
            before_version=before,
            metrics_contains=contains,
            metrics_conditions=conditions,
            metadata_contains=meta_contains,
            metadata_conditions=meta_conditions,
            limit=limit,
        )

    async def latest_checkpoint(self, workflow_id: str | UUID) -> AgentensorCheckpoint | None:
        """Return the checkpoint with the highest version, if there is one."""
        found = await self.list_checkpoints(workflow_id, limit=1)
        return found[0] if found else None

    async def best_checkpoint(self, workflow_id: str | UUID) -> AgentensorCheckpoint | None:
        """Return the best checkpoint, if one was marked."""
        return await self.q.get_best_checkpoint(workflow_id=_workflow_id(workflow_id))

    async def mark_best_checkpoint(self, checkpoint_id: str | UUID) -> AgentensorCheckpoint:
        """Make a checkpoint the best of its workflow, in place of the one that was.

        Raises:
            AgentensorCheckpointNotFoundError: there is none, or none any more.
        """
        marked = await self.q.mark_best_checkpoint(id=_checkpoint_id(checkpoint_id))
        if marked is None:
            raise AgentensorCheckpointNotFoundError(checkpoint_id)
        return marked

    async def prune_checkpoints(
        self, workflow_id: str | UUID, *, keep_last: int, limit: int = PRUNED_AT_ONCE
    ) -> int:
        """Delete the oldest checkpoints of a workflow, and return how many went.

        One bounded batch: call it until it returns less than `limit`. The best one always stays.

        Args:
            workflow_id: the workflow.
            keep_last: how many of the newest stay, the best one counted if it is among them.
            limit: how many go at most.
        """
        return await self.q.prune_checkpoints(
            workflow_id=_workflow_id(workflow_id),
            keep_last=check_limit(keep_last),
            limit=check_limit(limit),
        )

    async def delete_checkpoints_of_workflow(self, workflow_id: str | UUID) -> bool:
        """Delete all checkpoints of a workflow, and say whether there was anything; numbers begin at 1 again."""
        return (
            await self.q.delete_checkpoints_of_workflow(workflow_id=_workflow_id(workflow_id)) > 0
        )


def _workflow_id(value: object) -> str:
    text = str(value) if isinstance(value, UUID) else require_text(value, "workflow_id")
    if not 0 < len(text) <= LONGEST_WORKFLOW_ID:
        raise ValidationError(f"workflow_id must have 1 to {LONGEST_WORKFLOW_ID} characters.")
    return text


def _url(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValidationError(f"artifact_url must be text, not {type(value).__name__}.")
    return clean_text(value)


def _checkpoint_id(value: object) -> str:
    return str(value) if isinstance(value, UUID) else require_text(value, "checkpoint_id")


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValidationError(f"{name} must be a mapping, got {type(value).__name__}")
    return dict(value)
