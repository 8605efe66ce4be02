"""The operations that are measured: a module for each subsystem, and here the list of them."""

from __future__ import annotations

from . import (
    agentensor,
    history,
    snapshots,
    tokens,
    workflow_catalog,
    workflow_delivery,
    workflow_dispatch,
    workflow_listeners,
    workflow_triggers,
    workflows,
)

OPERATIONS = (
    *workflow_catalog.OPERATIONS,
    *workflows.OPERATIONS,
    *workflow_triggers.OPERATIONS,
    *workflow_listeners.OPERATIONS,
    *workflow_dispatch.OPERATIONS,
    *workflow_delivery.OPERATIONS,
    *history.OPERATIONS,
    *tokens.OPERATIONS,
    *agentensor.OPERATIONS,
    *snapshots.OPERATIONS,
)
