"""Claims: the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..measure import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data


async def handed_off(data: Data, count: int) -> Sequence[Any]:
    """Offer one run for each claim."""
    version = await data.new_version()
    for _ in range(count):
        await data.new_run(version, hand_off=True)
    return [None] * count


OPERATIONS = (
    Operation(
        "workflows.claim_outbox",
        handed_off,
        lambda db, _: db.workflows.claim_outbox(consumer="bench", limit=1, lease_seconds=3600),
        writes=True,
        takes_from_others=True,
    ),
)
