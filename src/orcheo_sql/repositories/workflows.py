"""The workflow repository: one object, composed of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from .._query_types import Workflows


class WorkflowRepository(WorkflowRuns):
    """Workflows, their versions and their runs. SQL: ``sql/<dialect>/queries/workflows/``."""

    q: Workflows

    async def reset(self) -> None:
        """Delete every workflow with all that belongs to it."""
        await self.q.delete_all_workflows()
