"""The operations that are measured: a module for each subsystem, and here the list of them."""

from __future__ import annotations

from . import agentensor, history, snapshots, tokens, workflow_delivery, workflows

OPERATIONS = (
    *workflows.OPERATIONS,
    *workflow_delivery.OPERATIONS,
    *history.OPERATIONS,
    *tokens.OPERATIONS,
    *agentensor.OPERATIONS,
    *snapshots.OPERATIONS,
)
