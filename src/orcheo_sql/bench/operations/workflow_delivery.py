"""Hand-over to workers: claims in the outbox, and their acknowledgement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..measure import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orcheo_sql.structs import OutboxEntry

    from ..data import Data


async def handed_off(data: Data, count: int) -> Sequence[Any]:
    """Offer one run for each claim."""
    version = await data.new_version()
    for _ in range(count):
        await data.new_run(version, hand_off=True)
    return [None] * count


async def claimed(data: Data, count: int) -> Sequence[OutboxEntry]:
    """Claim as many runs, whoever has offered them."""
    await handed_off(data, count)
    entries: list[OutboxEntry] = []
    while len(entries) < count:
        entries += await data.db.workflows.claim_outbox(
            consumer="bench", limit=min(count - len(entries), 1000), lease_seconds=3600
        )
    return entries


OPERATIONS = (
    Operation(
        "workflows.claim_outbox",
        handed_off,
        lambda db, _: db.workflows.claim_outbox(consumer="bench", limit=1, lease_seconds=3600),
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.acknowledge_outbox",
        claimed,
        lambda db, entry: db.workflows.acknowledge_outbox([entry]),
        writes=True,
        takes_from_others=True,
    ),
)
