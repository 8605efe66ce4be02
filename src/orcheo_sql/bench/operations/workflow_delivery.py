"""Claims: the outbox, and the leases of listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..measure import Operation
from .workflows import PAYLOAD, version_for_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orcheo_sql._database import Database


async def handed_off(db: Database, count: int) -> Sequence[Any]:
    """Offer one run for each claim."""
    [version] = await version_for_all(db, 1)
    for _ in range(count):
        await db.workflows.create_run(
            version.workflow_id,
            workflow_version_id=version.id,
            triggered_by="manual",
            input_payload=PAYLOAD,
            hand_off=True,
        )
    return [None] * count


OPERATIONS = (
    Operation(
        "workflows.claim_outbox",
        handed_off,
        lambda db, _: db.workflows.claim_outbox(consumer="bench", limit=1, lease_seconds=3600),
    ),
)
