"""Who else uses the demo's database.

Schedules and retries are dispatched, and the outbox is claimed, for all workflows at once. So the demo does these only
where there is nothing of others to dispatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import WorkflowNotFoundError

from ._demo_store import TAG
from ._output import note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from datetime import datetime
    from uuid import UUID

    from orcheo_sql import Database, Page

    from ._demo_store import Stored

PAGE = 1000


class Neighbours:
    """Tells the demo's workflows, of whichever folder, from those of others."""

    def __init__(self, db: Database, stored: Iterable[Stored]):
        self._db = db
        self._ours = {each.workflow.id: True for each in stored}
        self.are_away = True
        """Whether all that the demo could dispatch or claim is the demo's; once it is not, it stays so."""
        self.last_fired: datetime | None = None
        """The latest occurrence that any schedule here has fired: earlier ones may have had their runs."""

    async def look(self) -> bool:
        """Look at all that the demo could dispatch or claim, and say whether others are away."""
        await self._ask(self._is_outbox_ours)
        await self.look_at_schedules()
        return await self.look_at_retries()

    async def look_at_schedules(self) -> bool:
        """Look again at what the next dispatch of schedules may fire."""
        return await self._ask(self._are_schedules_ours)

    async def look_at_retries(self) -> bool:
        """Look again at what the next dispatch of retries may start."""
        return await self._ask(self._are_retries_ours)

    def met(self) -> None:
        """Leave to others, from now on, what can't be done for the demo's workflows alone."""
        if self.are_away:
            self.are_away = False
            note(
                "Others have schedules, retries or runs for workers in this database: the demo leaves those "
                "and the outbox alone, and starts its runs by hand, by webhooks and listeners only"
            )

    async def owns(self, workflow_id: UUID) -> bool:
        """Whether a workflow is the demo's; one that is gone is nobody's, and so no reason for anything."""
        if workflow_id not in self._ours:
            try:
                workflow = await self._db.workflows.get_workflow(workflow_id)
            except WorkflowNotFoundError:
                return True
            self._ours[workflow_id] = TAG in workflow.tags
        return self._ours[workflow_id]

    async def _ask(self, is_ours: Callable[[], Awaitable[bool]]) -> bool:
        if self.are_away and not await is_ours():
            self.met()
        return self.are_away

    async def _are_schedules_ours(self) -> bool:
        async for schedule in _all(self._db.workflows.page_cron_schedules):
            if not await self.owns(schedule.workflow_id):
                return False
            fired = schedule.last_dispatched_at
            if fired is not None and (self.last_fired is None or fired > self.last_fired):
                self.last_fired = fired
        return True

    async def _is_outbox_ours(self) -> bool:
        async for entry in _all(self._db.workflows.page_outbox):
            if not await self.owns(entry.workflow_id):
                return False
        return True

    async def _are_retries_ours(self) -> bool:
        # There is no list of them for callers, as only dispatchers want it: they call the query.
        from orcheo_sql.repositories.base import EARLIEST, LOWEST_ID

        due = await self._db.workflows.q.list_due_retries(
            now=self._db.now(), after_at=EARLIEST, after_id=LOWEST_ID, after_number=0, limit=PAGE
        )
        if len(due) == PAGE:  # the demo leaves a handful at most
            return False
        return all([await self.owns(retry.workflow_id) for retry in due])


async def _all(fetch: Callable[..., Awaitable[Page[Any]]]) -> AsyncIterator[Any]:
    cursor: str | None = None
    while True:
        page = await fetch(limit=PAGE, cursor=cursor)
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
