"""Run history: what happened in each execution, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import (
    RunHistoryError,
    RunHistoryNotFoundError,
    RunHistoryTransitionError,
    ValidationError,
)
from .._pages import check_limit
from ..rules.history import LONGEST_ERROR, LONGEST_NAME, HistoryDocuments, document_name, note
from ..rules.history_walk import ManyPartsError
from ..structs import RunHistoryStatus
from .base import NO_LIMIT, as_instant
from .history_lists import HistoryLists, as_record, as_text_id, as_workflow_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from .._documents import JsonText
    from .._query_types import History
    from ..structs import RunHistoryRecord, RunHistoryStep

PRUNED_AT_ONCE = 1000

T = TypeVar("T")


class HistoryRepository(HistoryLists):
    """What happened in each execution. SQL: ``sql/<dialect>/queries/history/``.

    Ids are texts of 1 to 255 characters, or UUIDs, which count as their text. They need not be those of a workflow or a
    run of this database. The text of a UUID is one workflow however it is written, and is kept as `str(UUID)` writes it.
    """

    q: History
    documents: HistoryDocuments
    """Makes what is stored of what is given."""

    async def start_run(
        self,
        *,
        workflow_id: str | UUID,
        execution_id: str | UUID,
        inputs: Any = None,
        runnable_config: Any = None,
        tags: Any = None,
        callbacks: Any = None,
        metadata: Any = None,
        run_name: str | None = None,
        trace_id: str | None = None,
        trace_started_at: datetime | None = None,
    ) -> RunHistoryRecord:
        """Begin the history of an execution.

        Any value is taken for a document: it is normalised, and secrets are left out (docs/history.md). Large ones are
        looked at in a thread: change nothing of what is given until this returns.

        Args:
            workflow_id: whose execution it is.
            execution_id: unique among the executions of all workflows.
            inputs: what the execution was given.
            runnable_config: a mapping, or a model that dumps one; anything else counts as empty.
            tags: the config's when None.
            callbacks: the config's when None.
            metadata: the config's when None.
            run_name: the config's when None or empty.
            trace_id: free text; cut to 1,024 characters, as `run_name` is.
            trace_started_at: now when None.

        Raises:
            RunHistoryError: the execution has a history already.
            RunHistoryPayloadTooLargeError: one of the documents is too large.
        """
        execution = as_text_id(execution_id, "execution_id")
        workflow = as_workflow_text(workflow_id)
        given = await self._made(
            lambda documents: documents.start(
                execution, inputs=inputs, runnable_config=runnable_config, tags=tags, callbacks=callbacks,
                metadata=metadata, run_name=run_name,
            )
        )  # fmt: skip
        now = self._now()
        started = await self.q.start_history(
            workflow_id=workflow,
            execution_id=execution,
            inputs=given.inputs,
            runnable_config=given.runnable_config,
            tags=given.tags,
            callbacks=given.callbacks,
            metadata=given.metadata,
            run_name=given.run_name,
            trace_id=note(trace_id, LONGEST_NAME),
            trace_started_at=(
                now
                if trace_started_at is None
                else as_instant(trace_started_at, "trace_started_at")
            ),
            now=now,
        )
        if started is None:
            raise RunHistoryError(f"History already exists for execution_id={execution}")
        return as_record(started, [])

    async def append_step(self, execution_id: str | UUID, payload: Any) -> RunHistoryStep:
        """Append a step, in one round trip whose cost does not depend on how many there are, and return it.

        A step may come late: an execution that is over takes it too. Large payloads are looked at in a thread: change
        nothing of it until this returns.

        Raises:
            RunHistoryNotFoundError: there is no such history.
            RunHistoryPayloadTooLargeError: the payload is too large.
        """
        execution = as_text_id(execution_id, "execution_id")
        stored, words = await self._payload(payload, execution)
        appended = await self.q.append_step(
            execution_id=execution,
            payload=stored,
            search_text=words,
            now=self._now(),
        )
        if appended is None:
            raise RunHistoryNotFoundError(execution)
        return appended

    async def mark_completed(self, execution_id: str | UUID) -> RunHistoryRecord:
        """Say that a running execution has completed, and return it with all its steps; see `mark_failed`."""
        return await self._mark(execution_id, RunHistoryStatus.COMPLETED, None)

    async def mark_failed(self, execution_id: str | UUID, error: str) -> RunHistoryRecord:
        """Say that a running execution has failed, and why; return it with all its steps.

        Of the reason, 65,536 characters are kept.

        Saying the same again changes nothing and returns it as it is: the first one stays.

        Raises:
            RunHistoryNotFoundError: there is no such history.
            RunHistoryTransitionError: it has ended in another way.
        """
        return await self._mark(execution_id, RunHistoryStatus.ERROR, error)

    async def mark_cancelled(
        self, execution_id: str | UUID, *, reason: str | None = None
    ) -> RunHistoryRecord:
        """Say that a running execution was cancelled; see `mark_failed`."""
        return await self._mark(execution_id, RunHistoryStatus.CANCELLED, reason)

    async def _mark(
        self, execution_id: object, status: RunHistoryStatus, error: object
    ) -> RunHistoryRecord:
        execution = as_text_id(execution_id, "execution_id")
        ended = await self.q.end_history(
            execution_id=execution, status=status, error=note(error, LONGEST_ERROR), now=self._now()
        )
        if ended is None:
            ended = await self._header(execution)
            if ended.status != status:
                raise RunHistoryTransitionError(execution, ended.status)
        return await self._with_steps(ended)

    async def finish_run(
        self,
        execution_id: str | UUID,
        *,
        status: RunHistoryStatus | str,
        payload: Any,
        error: str | None = None,
    ) -> RunHistoryRecord:
        """Append the last step of a running execution and end it, in one statement; return it without its steps.

        Nothing is appended to an execution that has ended, in whatever way: of two that finish it, one does.

        Args:
            execution_id: the execution.
            status: completed, error or cancelled.
            payload: of the last step.
            error: why it failed or was cancelled.

        Raises:
            RunHistoryNotFoundError: there is no such history.
            RunHistoryTransitionError: it has ended already.
            RunHistoryPayloadTooLargeError: the payload is too large.
        """
        execution = as_text_id(execution_id, "execution_id")
        stored, words = await self._payload(payload, execution)
        finished = await self.q.finish_history(
            execution_id=execution,
            status=_terminal(status),
            error=note(error, LONGEST_ERROR),
            payload=stored,
            search_text=words,
            now=self._now(),
        )
        if finished is None:
            raise RunHistoryTransitionError(execution, (await self._header(execution)).status)
        return as_record(finished, [])

    async def prune_histories(
        self,
        *,
        finished_before: datetime,
        statuses: Iterable[RunHistoryStatus | str] | None = None,
        limit: int = PRUNED_AT_ONCE,
    ) -> int:
        """Delete up to `limit` histories that ended before a time, with their steps, and return how many went.

        One bounded batch, the oldest of each status first: call it until it returns less than `limit`. Running
        executions stay.

        Args:
            finished_before: when they ended, at the latest.
            statuses: how they ended; in any way when None.
            limit: how many go at most.
        """
        before, left = as_instant(finished_before, "finished_before"), check_limit(limit)
        wanted = _terminals(statuses)
        pruned = 0
        for status in wanted:
            pruned += await self.q.prune_histories(
                status=status, finished_before=before, limit=left - pruned
            )
            if pruned >= left:
                break
        return pruned

    async def delete_histories_of_workflow(
        self, workflow_id: str | UUID, *, limit: int | None = None
    ) -> int:
        """Delete the histories of a workflow in any status, oldest first, and return how many went.

        Args:
            workflow_id: the workflow.
            limit: how many go at most; all when None.
        """
        return await self.q.delete_histories_of_workflow(
            workflow_id=as_workflow_text(workflow_id),
            limit=NO_LIMIT if limit is None else check_limit(limit),
        )

    async def clear(self) -> None:
        """Delete every history."""
        await self.q.delete_histories()

    async def _payload(self, payload: Any, execution: str) -> tuple[JsonText, str | None]:
        """Return what is stored of a step, and the words it is found by."""
        name = document_name("payload", execution)

        def make(documents: HistoryDocuments) -> tuple[JsonText, str | None]:
            stored = documents.mapping(payload, name)
            return stored, documents.words(stored) if self.is_searched else None

        return await self._made(make)

    async def _made(self, make: Callable[[HistoryDocuments], T]) -> T:
        """Make documents at once, or in a thread when they have so many parts that all others would have to wait."""
        try:
            return make(self.documents.at_once())
        except ManyPartsError:
            return await asyncio.to_thread(make, self.documents)


def _terminal(value: object) -> RunHistoryStatus:
    if isinstance(value, str) and value in _TERMINAL:
        return RunHistoryStatus(value)
    raise ValidationError(f"status must be one of {', '.join(_TERMINAL)}, got {value!r}")


_TERMINAL = [status for status in RunHistoryStatus if status.is_terminal]


def _terminals(values: Iterable[RunHistoryStatus | str] | None) -> list[RunHistoryStatus]:
    if values is None:
        return _TERMINAL
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValidationError(f"statuses must be a list, not {type(values).__name__}.")
    return list(dict.fromkeys(map(_terminal, values)))
