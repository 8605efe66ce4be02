"""Asking the credential service on behalf of dispatchers, which have many to ask about and must not stop at one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
    from logging import Logger
    from uuid import UUID

CREDENTIAL_SECONDS = 30.0
"""How long a dispatcher waits for the verdict on one workflow. Without one, its runs wait for the next dispatch."""
CHECKS_AT_ONCE = 10
"""How many workflows a dispatcher asks about at the same time, so that those that hang keep few others waiting."""


async def healthy_ones(
    check: Callable[[UUID], Awaitable[None]], workflow_ids: Iterable[UUID], logger: Logger
) -> AsyncGenerator[UUID, None]:
    """Yield the workflows of which `check` does not fail or hang, each as soon as its verdict is there.

    Whatever it fails of is logged and stops no other: the service is not ours.
    """
    gate = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def verdict(workflow_id: UUID) -> UUID | None:
        async with gate:
            try:
                async with asyncio.timeout(CREDENTIAL_SECONDS) as limit:
                    await check(workflow_id)
            except Exception as error:  # noqa: BLE001 - it is not ours
                reason = f"none within {CREDENTIAL_SECONDS:g} s" if limit.expired() else error
                logger.warning("workflow %s waits for its credentials: %s", workflow_id, reason)
                return None
            return workflow_id

    asked = [asyncio.create_task(verdict(each)) for each in dict.fromkeys(workflow_ids)]
    try:
        for answer in asyncio.as_completed(asked):
            if (workflow_id := await answer) is not None:
                yield workflow_id
    finally:
        for task in asked:
            task.cancel()
