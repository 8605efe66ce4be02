"""Listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from .._query_types import Workflows


class WorkflowListeners(WorkflowRuns):
    """The part of `WorkflowRepository` about listeners."""

    q: Workflows
