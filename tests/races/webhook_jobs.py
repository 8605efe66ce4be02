"""What the processes of a crew do to webhooks that others change at the same instant."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
from typing import TYPE_CHECKING, Any

from tests.races.crew import attempt
from tests.races.delivery_jobs import SECRET
from tests.repositories.factories import change, new_version

from orcheo_sql import RateLimitConfig, WebhookTriggerConfig

if TYPE_CHECKING:
    from uuid import UUID

    from tests.races.crew import Member

    from orcheo_sql import Database

KEPT = {"hmac_header": "X-Signature", "has_hmac_secret": True}


async def signed_call(db: Database, workflow: UUID, body: bytes) -> None:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    await db.workflows.handle_webhook_trigger(
        workflow,
        method="POST",
        headers={"X-Signature": signature},
        query_params={},
        payload={},
        source_ip=None,
        raw_body=body,
    )


async def keep_or_delete(member: Member, rounds: list[UUID]) -> list[str]:
    """One deletes the webhook of a round, all others give it another config with the secret that is stored."""
    outcomes = []
    for number, workflow in enumerate(rounds):
        member.meet()
        if member.number == number % 8:
            await asyncio.sleep(random.Random(number).random() / 100)
            await member.db.workflows.delete_webhook_trigger(workflow)
            continue
        for each in range(3):
            given = {**KEPT, "hmac_tolerance_seconds": 10 * member.number + each}
            work = member.db.workflows.configure_webhook_trigger(workflow, given)
            outcomes.append(await attempt(work))
    return outcomes


async def call_while_limits_change(member: Member, workflow: UUID, calls: int) -> list[str]:
    """One changes the rate limit again and again, all others call."""
    outcomes = []
    for number in range(calls):
        work: Any
        if member.number:
            work = signed_call(member.db, workflow, b"%d/%d" % (member.number, number))
        else:
            limit = RateLimitConfig(limit=100 + number, interval_seconds=3600)
            work = member.db.workflows.configure_webhook_trigger(
                workflow, {**KEPT, "rate_limit": limit}
            )
        outcomes.append(await attempt(work))
    return outcomes


async def do_anything(member: Member, workflow: UUID, steps: int) -> list[str]:
    """Configs, deletions, calls, versions and archiving, all at once; return what happened."""
    chance, workflows = random.Random(member.number), member.db.workflows
    outcomes = []
    for step in range(steps):
        fresh = WebhookTriggerConfig(
            hmac_header="X-Signature",
            hmac_secret=SECRET,
            rate_limit=RateLimitConfig(limit=chance.randint(2, 20), interval_seconds=1),
        )
        # Some calls are the same as another process's.
        body = b"%d" % chance.randrange(steps)
        work: list[tuple[str, Any]] = [
            *[("call", lambda body=body: signed_call(member.db, workflow, body))] * 8,
            *[("set", lambda fresh=fresh: workflows.configure_webhook_trigger(workflow, fresh))] * 2,
            ("keep", lambda step=step: workflows.configure_webhook_trigger(
                workflow, {**KEPT, "hmac_tolerance_seconds": step}
            )),
            ("delete", lambda: workflows.delete_webhook_trigger(workflow)),
            ("version", lambda: new_version(member.db, workflow)),
            ("archive", lambda: change(member.db, workflow, is_archived=True)),
            *[("unarchive", lambda: change(member.db, workflow, is_archived=False))] * 2,
            ("prune", lambda: workflows.prune_webhook_signatures(
                accepted_before=member.db.now(), limit=5
            )),
        ]  # fmt: skip
        name, call = chance.choice(work)
        outcomes.append(f"{name}: {await attempt(call())}")
    return outcomes
