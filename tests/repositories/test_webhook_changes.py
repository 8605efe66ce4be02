"""Webhooks that are changed while they are called or configured: what counts is what is so at the end."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import Clock, new_version, rows, workflow_with_version
from tests.repositories.test_webhooks import BODY, SECRET, SIGNED, call, hooked, signed

from orcheo_sql import (
    ConfigError,
    Database,
    RateLimitConfig,
    RateLimitExceededError,
    WebhookAuthenticationError,
    WebhookNotConfiguredError,
    WebhookTriggerConfig,
    WebhookValidationError,
    WorkflowRun,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

SHARED: dict[str, Any] = {"shared_secret_header": "X-Token", "shared_secret": SECRET}
# Long enough for a call to come to where it waits.
A_WHILE = 0.4


class Meanwhile:
    """Credentials that are healthy, and during whose check something happens, once."""

    def __init__(self) -> None:
        self.happens: Callable[[UUID], Awaitable[object]] | None = None

    async def ensure_workflow_health(self, workflow_id: UUID, *, actor: str | None = None) -> None:
        happens, self.happens = self.happens, None
        if happens is not None:
            await happens(workflow_id)


# --- During a call -------------------------------------------------------------------------------


async def test_a_webhook_made_anew_is_another_one(settings_of: dict[str, Any]) -> None:
    """A call without the secret was accepted under the config of the webhook before."""
    credentials = Meanwhile()
    async with Database(**settings_of, credentials=credentials) as db:
        version = await hooked(db)

        async def replace(workflow_id: UUID) -> None:
            await db.workflows.delete_webhook_trigger(workflow_id)
            await db.workflows.configure_webhook_trigger(
                workflow_id, WebhookTriggerConfig(**SHARED)
            )

        credentials.happens = replace
        with pytest.raises(WebhookAuthenticationError):
            await call(db, version)
        assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []
        await call(db, version, headers={"x-token": SECRET})


async def test_a_run_is_of_the_version_that_is_the_latest_then(settings_of: dict[str, Any]) -> None:
    credentials = Meanwhile()
    async with Database(**settings_of, credentials=credentials) as db:
        version = await hooked(db)

        async def publish(workflow_id: UUID) -> None:
            await new_version(db, workflow_id, runnable_config={"tags": ["new"]})

        credentials.happens = publish
        run = await call(db, version)
        latest = await db.workflows.get_latest_version(version.workflow_id)
        assert (run.workflow_version_id, run.tags) == (latest.id, ["new"])
        assert latest.version == 2
        assert await db.workflows.get_run(run.id) == run


async def test_calls_and_new_versions_at_once(settings_of: dict[str, Any]) -> None:
    """Which version is the latest is seen by the statement that creates the run, or it is tried again."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db, rate_limit=RateLimitConfig(limit=1000))

        async def versions() -> None:
            for _ in range(15):
                await new_version(other, version.workflow_id)

        async def calls() -> None:
            for _ in range(15):
                before = await db.workflows.get_latest_version(version.workflow_id)
                run = await call(db, version)
                used = await db.workflows.get_version(run.workflow_version_id)
                assert used.version >= before.version

        await asyncio.gather(versions(), *(calls() for _ in range(3)))


async def test_a_call_while_the_webhook_is_deleted(settings_of: dict[str, Any]) -> None:
    """It waits for the deletion, and is then told that there is no webhook; it broke a foreign key."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        for config in (SIGNED, {"rate_limit": RateLimitConfig(limit=3)}, {}):
            version = await hooked(db, **config)
            given = signed(Clock(db.now())) if config is SIGNED else {}
            async with db.transaction() as tx:
                await tx.workflows.delete_webhook_trigger(version.workflow_id)
                waiting = asyncio.create_task(call(other, version, **given))
                await asyncio.sleep(A_WHILE)
            with pytest.raises(WebhookNotConfiguredError) as caught:
                await waiting
            assert caught.value.status_code == 404
            assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_deleting_waits_for_a_call(settings_of: dict[str, Any]) -> None:
    """Once it has returned, no run appears any more."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db)
        async with db.transaction() as tx:
            await call(tx, version)  # type: ignore[arg-type]
            deleting = asyncio.create_task(
                other.workflows.delete_webhook_trigger(version.workflow_id)
            )
            await asyncio.sleep(A_WHILE)
            assert not deleting.done()
        await deleting
        assert len(await db.workflows.list_runs_for_workflow(version.workflow_id)) == 1


# --- Rate limits ---------------------------------------------------------------------------------


async def test_a_limit_that_is_changed_during_a_call(settings_of: dict[str, Any]) -> None:
    """A place that the call had made stayed behind, and was in the way of every later one."""
    hour = {"interval_seconds": 3600}
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db, rate_limit=RateLimitConfig(limit=5, **hour))
        for _ in range(2):
            await call(db, version)
        async with db.transaction() as tx:
            await call(tx, version)  # type: ignore[arg-type]
            changing = asyncio.create_task(
                other.workflows.configure_webhook_trigger(
                    version.workflow_id,
                    WebhookTriggerConfig(rate_limit=RateLimitConfig(limit=6, **hour)),
                )
            )
            await asyncio.sleep(A_WHILE)
        await changing
        for _ in range(6):
            await call(db, version)
        with pytest.raises(RateLimitExceededError):
            await call(db, version)
        # The next change takes away what stayed behind.
        for limit in (2, 3):
            await db.workflows.configure_webhook_trigger(
                version.workflow_id, WebhookTriggerConfig(rate_limit=RateLimitConfig(limit=limit))
            )
        assert await rows(settings_of, "SELECT slot FROM webhook_slots") == []


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_place_that_an_open_transaction_holds(
    settings_of: dict[str, Any], clock: Clock, is_kept: bool
) -> None:
    """The other call is refused like any that comes too much, or takes the place if it is given back soon."""
    opened = {**settings_of, "clock": clock}
    async with Database(**opened) as db, Database(**opened) as other:
        version = await hooked(db, rate_limit=RateLimitConfig(limit=1, interval_seconds=1))
        await call(db, version)
        clock.tick(2)
        with nullcontext() if is_kept else suppress(KeyError):
            async with db.transaction() as tx:
                await call(tx, version)  # type: ignore[arg-type]
                second = asyncio.create_task(call(other, version))
                await asyncio.sleep(2 if is_kept else 0.1)
                # SQLite has one writer, so there the second waits for the first.
                assert second.done() is (is_kept and "postgres_dsn" in settings_of)
                if not is_kept:
                    raise KeyError
        if is_kept:
            with pytest.raises(RateLimitExceededError) as caught:
                await second
            assert caught.value.status_code == 429
        else:
            assert isinstance(await second, WorkflowRun)
        assert len(await db.workflows.list_runs_for_workflow(version.workflow_id)) == 2


# --- During a configuration ----------------------------------------------------------------------


async def test_a_deleted_secret_is_not_stored_again(settings_of: dict[str, Any]) -> None:
    """Who keeps the secrets of a webhook that is deleted at that moment is told that there are none."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db, **SHARED)
        kept = await db.workflows.get_webhook_trigger_config(version.workflow_id)
        document = {"secret_header": kept.shared_secret_header, "has_shared_secret": True}
        async with db.transaction() as tx:
            await tx.workflows.delete_webhook_trigger(version.workflow_id)
            keeping = asyncio.create_task(
                other.workflows.configure_webhook_trigger(
                    version.workflow_id, {**document, "allowed_methods": ["PUT"]}
                )
            )
            await asyncio.sleep(A_WHILE)
        with pytest.raises(WebhookValidationError, match="shared_secret must be provided"):
            await keeping
        with pytest.raises(WebhookNotConfiguredError):
            await call(db, version, method="PUT", headers={"x-token": SECRET})
        assert await rows(settings_of, "SELECT shared_secret FROM webhook_triggers") == []


async def test_who_keeps_a_secret_keeps_the_one_that_is_stored_at_the_end(
    settings_of: dict[str, Any],
) -> None:
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db, **SHARED)
        kept = {"secret_header": "X-Token", "has_shared_secret": True, "allowed_methods": ["PUT"]}
        async with db.transaction() as tx:
            await tx.workflows.delete_webhook_trigger(version.workflow_id)
            await tx.workflows.configure_webhook_trigger(
                version.workflow_id, {"secret_header": "X-Token", "shared_secret": "new"}
            )
            keeping = asyncio.create_task(
                other.workflows.configure_webhook_trigger(version.workflow_id, kept)
            )
            await asyncio.sleep(A_WHILE)
        await keeping
        with pytest.raises(WebhookAuthenticationError):
            await call(db, version, method="PUT", headers={"x-token": SECRET})
        await call(db, version, method="PUT", headers={"x-token": "new"})


@pytest.mark.parametrize("key", ["another one", None])
async def test_after_a_lost_key_a_webhook_is_configured_anew(
    settings_of: dict[str, Any], key: str | None
) -> None:
    """docs/decisions/secrets.md promises it."""
    configs: list[dict[str, Any]] = [
        {**SHARED, "shared_secret": "new"},
        {"hmac_header": "X-Signature", "hmac_secret": "new"},
        {},
    ]
    async with Database(**settings_of, vault_encryption_key="one") as db:
        versions = [await hooked(db, **SHARED) for _ in configs]
    async with Database(**settings_of, vault_encryption_key=key) as db:
        for version, config in zip(versions, configs, strict=True):
            workflow_id = version.workflow_id
            with pytest.raises(ConfigError, match="ORCHEO_VAULT_ENCRYPTION_KEY"):
                await call(db, version, headers={"x-token": SECRET})
            kept = await db.workflows.get_webhook_trigger_config(workflow_id)
            with pytest.raises(ConfigError):
                await db.workflows.configure_webhook_trigger(workflow_id, kept)
            await db.workflows.configure_webhook_trigger(workflow_id, config)
            stored = await db.workflows.get_webhook_trigger_config(workflow_id)
            assert stored == WebhookTriggerConfig(**config).without_secrets()
        await call(db, versions[0], headers={"x-token": "new"})
        with pytest.raises(WebhookAuthenticationError):
            await call(db, versions[0], headers={"x-token": SECRET})
        await call(db, versions[2])


async def test_after_a_lost_key_one_secret_is_kept_if_it_opens(settings_of: dict[str, Any]) -> None:
    """Only what is kept has to open."""
    both = {**SHARED, "hmac_header": "X-Signature", "hmac_secret": "signs"}
    async with Database(**settings_of, vault_encryption_key="one") as db:
        version = await hooked(db, **both)
    async with Database(**settings_of, vault_encryption_key="two") as db:
        await db.workflows.configure_webhook_trigger(version.workflow_id, {**both, **SHARED})
        config = {
            "secret_header": "X-Token",
            "has_shared_secret": True,
            "hmac_header": "X-Signature",
            "hmac_secret": "new",
        }
        await db.workflows.configure_webhook_trigger(version.workflow_id, config)
        with pytest.raises(WebhookAuthenticationError):
            await call(db, version, headers={"x-token": SECRET})


# --- What is remembered, and what is kept ---------------------------------------------------------


async def test_without_a_time_a_captured_call_never_works_again(
    timed: Database, clock: Clock
) -> None:
    """W-40: after the tolerance it did, since nothing in it grows old."""
    version = await hooked(
        timed, hmac_header="X-Signature", hmac_secret=SECRET, hmac_tolerance_seconds=1
    )
    digest = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    captured = {"headers": {"x-signature": digest}, "raw_body": BODY}
    begun = clock.at
    await call(timed, version, **captured)
    for seconds in (0, 2, 300, 10 * 365 * 86400):
        clock.tick(seconds)
        with pytest.raises(WebhookAuthenticationError):
            await call(timed, version, **captured)
        assert await timed.workflows.prune_webhook_signatures() == 0
    # Only an operator can decide that it is long enough ago.
    assert await timed.workflows.prune_webhook_signatures(accepted_before=begun) == 0
    assert await timed.workflows.prune_webhook_signatures(accepted_before=clock.at, limit=0) == 0
    assert await timed.workflows.prune_webhook_signatures(accepted_before=clock.at) == 1
    await call(timed, version, **captured)


async def test_pruning_counts_both_kinds(timed: Database, clock: Clock) -> None:
    """Those that have expired go first; the limit is for both together."""
    for tolerance in (300, 0):
        for _ in range(2):
            version = await hooked(timed, **{**SIGNED, "hmac_tolerance_seconds": tolerance})
            await call(timed, version, **signed(clock))
    clock.tick(3600)
    prune = timed.workflows.prune_webhook_signatures
    assert await prune(accepted_before=clock.at, limit=3) == 3
    assert await prune() == 0
    assert await prune(accepted_before=clock.at, limit=3) == 1


@pytest.mark.parametrize("config", [{}, SIGNED])
@pytest.mark.parametrize("payload", [object(), {"a": object()}, [lambda: None]])
async def test_a_payload_that_has_no_json_form_is_a_bad_request(
    db: Database, config: dict[str, Any], payload: Any
) -> None:
    """Whether or not a signature is verified over it."""
    version = await hooked(db, **config)
    given = signed(Clock(db.now())) if config else {}
    given.pop("raw_body", None)
    with pytest.raises(WebhookValidationError, match="can't be encoded as JSON") as caught:
        await call(db, version, **{**given, "payload": payload})
    assert caught.value.status_code == 400
    raw = signed(Clock(db.now())) if config else {"raw_body": BODY}
    with pytest.raises(WebhookValidationError, match="can't be encoded as JSON") as caught:
        await call(db, version, **{**raw, "payload": payload})
    assert caught.value.status_code == 400
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_no_secret_in_a_run(db: Database) -> None:
    version = await workflow_with_version(db)
    await db.workflows.configure_webhook_trigger(
        version.workflow_id,
        WebhookTriggerConfig(
            required_headers={"X-Verify": SECRET}, required_query_params={"k": SECRET}
        ),
    )
    run = await call(
        db,
        version,
        headers={"x-verify": SECRET, "X-Functions-Key": SECRET, "X-GitHub-Event": "push"},
        query_params={"k": SECRET, "sig": SECRET, "event": "push"},
    )
    assert SECRET not in repr(run)
    assert run.input_payload["headers"] == {"x-github-event": "push"}
    assert run.input_payload["query_params"] == {"event": "push"}
