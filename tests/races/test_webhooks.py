"""Webhooks that are changed by eight processes at once, and called in the meantime."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.races.delivery_jobs import SECRET
from tests.repositories.factories import rows, workflow_with_version
from tests.repositories.listeners import count

from orcheo_sql import Database, RateLimitConfig, WebhookTriggerConfig

if TYPE_CHECKING:
    from tests.races.crew import Crew

ROUNDS = 24
CALLS = 40
STEPS = 60
KEY = "the same for all"
SIGNED = WebhookTriggerConfig(hmac_header="X-Signature", hmac_secret=SECRET)


async def require_places(settings: dict[str, Any]) -> None:
    """See that a webhook knows its places: as many as it says, counted from one."""
    wrong = await rows(
        settings,
        "SELECT t.workflow_id, t.slots, count(s.slot), max(s.slot) FROM webhook_triggers AS t "
        "LEFT JOIN webhook_slots AS s ON s.workflow_id = t.workflow_id AND s.slot_set = t.slot_set "
        "GROUP BY t.workflow_id, t.slots "
        "HAVING t.slots <> count(s.slot) OR t.slots <> coalesce(max(s.slot), 0)",
    )
    assert wrong == []


async def test_a_deleted_secret_stays_deleted(settings_of: dict[str, Any], crew: Crew) -> None:
    settings = {**settings_of, "vault_encryption_key": KEY}
    async with Database(**settings) as db:
        workflows = [(await workflow_with_version(db)).workflow_id for _ in range(ROUNDS)]
        for workflow in workflows:
            await db.workflows.configure_webhook_trigger(workflow, SIGNED)
        results = crew.run(settings, "webhook_jobs.keep_or_delete", workflows)
        outcomes = Counter(outcome for member in results for outcome in member)
        assert outcomes.keys() <= {"ok", "WebhookValidationError"}, outcomes
        assert await count(settings_of, "webhook_triggers") == 0


async def test_a_limit_may_change_while_calls_come(settings_of: dict[str, Any], crew: Crew) -> None:
    settings = {**settings_of, "vault_encryption_key": KEY}
    async with Database(**settings) as db:
        workflow = (await workflow_with_version(db)).workflow_id
        await db.workflows.configure_webhook_trigger(workflow, SIGNED)
        results = crew.run(settings, "webhook_jobs.call_while_limits_change", workflow, CALLS)
        outcomes = Counter(outcome for member in results for outcome in member)
        assert outcomes.keys() <= {"ok", "RateLimitExceededError"}, outcomes
        await require_places(settings_of)
        # What a call left behind at the last moment is in nobody's way.
        limit = RateLimitConfig(limit=5, interval_seconds=3600)
        config = WebhookTriggerConfig(rate_limit=limit)
        await db.workflows.configure_webhook_trigger(workflow, config)
        results = crew.run(settings, "delivery_jobs.call_webhook", workflow, 5)
        outcomes = Counter(outcome for member in results for outcome in member)
        assert outcomes == {"ok": 5, "RateLimitExceededError": 35}


async def test_whatever_happens_at_once_the_rules_hold(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    settings = {**settings_of, "vault_encryption_key": KEY}
    async with Database(**settings) as db:
        workflow = (await workflow_with_version(db)).workflow_id
        await db.workflows.configure_webhook_trigger(workflow, SIGNED)
        results = crew.run(settings, "webhook_jobs.do_anything", workflow, STEPS)
        outcomes = Counter(outcome for member in results for outcome in member)
        refused = {o for o in outcomes if not o.endswith(": ok")}
        assert refused <= {
            "call: RateLimitExceededError",
            "call: WebhookAuthenticationError",
            "call: WebhookNotConfiguredError",
            "call: WorkflowNotFoundError",
            "keep: WebhookValidationError",
        }, outcomes
        accepted = outcomes["call: ok"]
        assert accepted
        parts = ("workflow_runs", "workflow_run_inputs", "workflow_run_search", "run_outbox")
        assert [await count(settings_of, table) for table in parts] == [accepted] * 4
        await require_places(settings_of)
