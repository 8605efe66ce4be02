"""The workflow repository: one object, composed of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .workflow_cron_dispatch import WorkflowCronDispatch
from .workflow_listeners import WorkflowListeners
from .workflow_manual import WorkflowManualDispatch
from .workflow_outbox import WorkflowOutbox
from .workflow_retries import WorkflowRetries
from .workflow_webhooks import WorkflowWebhooks

if TYPE_CHECKING:
    from .._query_types import Workflows


class WorkflowRepository(
    WorkflowCronDispatch,
    WorkflowWebhooks,
    WorkflowManualDispatch,
    WorkflowRetries,
    WorkflowListeners,
    WorkflowOutbox,
):
    """Workflows, their versions and runs, and what starts runs. SQL: ``sql/<dialect>/queries/workflows/``."""

    q: Workflows

    async def reset(self) -> None:
        """Delete every workflow with all that belongs to it."""
        await self.q.delete_all_workflows()
