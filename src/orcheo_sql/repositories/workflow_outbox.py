"""The outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from .._query_types import Workflows


class WorkflowOutbox(WorkflowRuns):
    """The part of `WorkflowRepository` about the outbox."""

    q: Workflows
