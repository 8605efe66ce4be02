"""Webhooks: who may start a run from outside, how often, and what is kept of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import hmac
import logging
from typing import Any

import pytest
from tests.repositories.factories import (
    MISSING,
    Clock,
    Queries,
    direct,
    new_version,
    new_workflow,
    rows,
    workflow_with_version,
)

from orcheo_sql import (
    ConfigError,
    CredentialHealthError,
    Database,
    MethodNotAllowedError,
    RateLimitConfig,
    RateLimitExceededError,
    WebhookAuthenticationError,
    WebhookNotConfiguredError,
    WebhookTriggerConfig,
    WebhookValidationError,
    WorkflowNotFoundError,
    WorkflowRun,
    WorkflowVersion,
    WorkflowVersionNotFoundError,
)

SECRET = "a secret of 本"
BODY = b'{"b": 1,  "a": [2]}'
SIGNED: dict[str, Any] = {
    "hmac_header": "X-Signature",
    "hmac_secret": SECRET,
    "hmac_timestamp_header": "X-Time",
    "hmac_tolerance_seconds": 300,
}


async def hooked(db: Database, **config: Any) -> WorkflowVersion:
    version = await workflow_with_version(db)
    await db.workflows.configure_webhook_trigger(
        version.workflow_id, WebhookTriggerConfig(**config)
    )
    return version


async def call(db: Database, version: WorkflowVersion, **given: Any) -> WorkflowRun:
    arguments: dict[str, Any] = {
        "method": "POST",
        "headers": {},
        "query_params": {},
        "payload": {"x": 1},
        "source_ip": "203.0.113.7",
        **given,
    }
    return await db.workflows.handle_webhook_trigger(version.workflow_id, **arguments)


def signed(clock: Clock, body: bytes = BODY, secret: str = SECRET) -> dict[str, Any]:
    epoch = int(clock.at.timestamp())
    digest = hmac.new(secret.encode(), b"%d." % epoch + body, "sha256").hexdigest()
    return {
        "headers": {"x-signature": f"sha256={digest}", "X-Time": str(epoch)},
        "raw_body": body,
        "payload": {"decoded": True},
    }


async def test_an_accepted_call_becomes_a_run(settings_of: dict[str, Any], db: Database) -> None:
    version = await hooked(db)
    latest = await new_version(db, version.workflow_id, runnable_config={"tags": ["hook"]})
    run = await call(
        db,
        version,
        headers={"Content-Type": "application/json", "Authorization": "Bearer x", "Cookie": "c"},
        query_params={"page": "1", "api_key": "k"},
    )
    assert (run.triggered_by, run.status, run.tags) == ("webhook", "pending", ["hook"])
    assert run.workflow_version_id == latest.id
    assert run.input_payload == {
        "body": {"x": 1},
        "headers": {"content-type": "application/json"},
        "query_params": {"page": "1"},
        "source_ip": "203.0.113.7",
    }
    assert await db.workflows.get_run(run.id) == run
    [(handed,)] = await rows(settings_of, "SELECT CAST(run_id AS text) FROM run_outbox")
    assert handed == str(run.id)


async def test_a_webhook_is_off_until_it_is_configured_and_can_be_turned_off(db: Database) -> None:
    """W-38."""
    version = await workflow_with_version(db)
    workflow_id = version.workflow_id
    with pytest.raises(WebhookNotConfiguredError) as caught:
        await call(db, version)
    assert caught.value.status_code == 404
    assert await db.workflows.get_webhook_trigger_config(workflow_id) == WebhookTriggerConfig()
    await db.workflows.configure_webhook_trigger(workflow_id, WebhookTriggerConfig())
    await call(db, version)
    await db.workflows.delete_webhook_trigger(workflow_id, actor="ada")
    await db.workflows.delete_webhook_trigger(workflow_id, actor="ada")
    with pytest.raises(WebhookNotConfiguredError):
        await call(db, version)
    trail = (await db.workflows.get_workflow(workflow_id)).audit_log
    assert [(r.actor, r.action) for r in trail[1:]] == [
        ("system", "webhook_trigger_configured"),
        ("ada", "webhook_trigger_deleted"),
    ]


async def test_what_is_missing_is_said_first(db: Database) -> None:
    workflow = await new_workflow(db)
    await db.workflows.configure_webhook_trigger(workflow.id, WebhookTriggerConfig())
    arguments: dict[str, Any] = {
        "method": "TRACE", "headers": {}, "query_params": {}, "payload": None, "source_ip": None
    }  # fmt: skip
    with pytest.raises(WorkflowVersionNotFoundError, match=r"^latest$"):
        await db.workflows.handle_webhook_trigger(workflow.id, **arguments)
    await new_version(db, workflow)
    with pytest.raises(MethodNotAllowedError):
        await db.workflows.handle_webhook_trigger(workflow.id, **arguments)
    await db.workflows.archive_workflow(workflow.id, actor="ada")
    for workflow_id in (workflow.id, MISSING):
        with pytest.raises(WorkflowNotFoundError):
            await db.workflows.handle_webhook_trigger(workflow_id, **arguments)
    for operation in (
        db.workflows.get_webhook_trigger_config(MISSING),
        db.workflows.delete_webhook_trigger(MISSING),
        db.workflows.configure_webhook_trigger(MISSING, WebhookTriggerConfig()),
    ):
        with pytest.raises(WorkflowNotFoundError):
            await operation


# Secrets


async def test_secrets_go_in_and_never_come_out(settings_of: dict[str, Any], db: Database) -> None:
    """W-42."""
    version = await hooked(db, shared_secret_header="X-Token", shared_secret=SECRET)
    config = await db.workflows.get_webhook_trigger_config(version.workflow_id)
    assert (config.shared_secret, config.has_shared_secret) == (None, True)
    workflow = await db.workflows.get_workflow(version.workflow_id)
    assert SECRET not in repr(workflow.audit_log)
    stored = await rows(
        settings_of, "SELECT CAST(config AS text), shared_secret FROM webhook_triggers"
    )
    assert SECRET not in stored[0][0]
    if "database_path" in settings_of:
        assert SECRET not in stored[0][1]
        assert stored[0][1].startswith("v1:")
    with pytest.raises(WebhookAuthenticationError):
        await call(db, version)
    run = await call(db, version, headers={"x-token": SECRET})
    assert run.input_payload["headers"] == {}


async def test_a_config_that_was_handed_out_keeps_its_secrets(db: Database) -> None:
    version = await hooked(db, shared_secret_header="X-Token", shared_secret=SECRET)
    config = await db.workflows.get_webhook_trigger_config(version.workflow_id)
    trail = (await db.workflows.get_workflow(version.workflow_id)).audit_log
    await db.workflows.configure_webhook_trigger(version.workflow_id, config)
    assert (await db.workflows.get_workflow(version.workflow_id)).audit_log == trail
    await db.workflows.configure_webhook_trigger(
        version.workflow_id,
        {
            "allowed_methods": ["put"],
            "shared_secret_header": "x-token",
            "has_shared_secret": True,
        },
    )
    await call(db, version, method="put", headers={"X-Token": SECRET})
    other = await workflow_with_version(db)
    with pytest.raises(WebhookValidationError, match="none is stored"):
        await db.workflows.configure_webhook_trigger(other.workflow_id, config)


async def test_a_configured_key_seals_on_both_databases(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of, vault_encryption_key="a passphrase") as db:
        version = await hooked(db, shared_secret_header="X-Token", shared_secret=SECRET)
        [(stored,)] = await rows(settings_of, "SELECT shared_secret FROM webhook_triggers")
        assert stored.startswith("v1:")
        await call(db, version, headers={"x-token": SECRET})
    async with Database(**settings_of, vault_encryption_key="a passphrase") as db:
        await call(db, version, headers={"x-token": SECRET})
    async with Database(**settings_of, vault_encryption_key="another one") as db:
        with pytest.raises(ConfigError, match="ORCHEO_VAULT_ENCRYPTION_KEY is not the key"):
            await call(db, version, headers={"x-token": SECRET})


async def test_a_sealed_secret_opens_in_its_own_row_only(
    settings_of: dict[str, Any],
) -> None:
    async with Database(**settings_of, vault_encryption_key="k" * 10) as db:
        one = await hooked(db, shared_secret_header="X-Token", shared_secret="one")
        await hooked(db, shared_secret_header="X-Token", shared_secret="other")
        async with direct(settings_of) as connection:
            await connection.execute(
                "UPDATE webhook_triggers SET shared_secret = (SELECT max(shared_secret) FROM webhook_triggers),"
                " hmac_secret = NULL"
            )
        outcomes = []
        for secret in ("one", "other"):
            try:
                await call(db, one, headers={"x-token": secret})
                outcomes.append("ok")
            except (ConfigError, WebhookAuthenticationError) as error:
                outcomes.append(type(error).__name__)
        assert outcomes in (["ok", "WebhookAuthenticationError"], ["ConfigError", "ConfigError"])


async def test_without_a_key_postgresql_says_so(
    settings_of: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "orcheo_sql.secrets"):
        async with Database(**settings_of) as db:
            await hooked(db, shared_secret_header="X-Token", shared_secret=SECRET)
    assert ("ORCHEO_VAULT_ENCRYPTION_KEY" in caplog.text) is ("postgres_dsn" in settings_of)
    assert SECRET not in caplog.text


# What is checked of a call


async def test_other_processes_hear_of_a_new_config_at_once(settings_of: dict[str, Any]) -> None:
    """W-10: a process that did not hear of the secret accepted calls without it."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db)
        await call(other, version)
        await db.workflows.configure_webhook_trigger(
            version.workflow_id, {"secret_header": "X-Token", "shared_secret": SECRET}
        )
        with pytest.raises(WebhookAuthenticationError):
            await call(other, version)
        await call(other, version, headers={"X-Token": SECRET})


async def test_signatures_are_verified_over_the_received_bytes(
    timed: Database, clock: Clock
) -> None:
    """W-39."""
    version = await hooked(timed, **SIGNED)
    run = await call(timed, version, **signed(clock))
    assert run.input_payload["body"] == {"decoded": True}
    clock.tick()
    with pytest.raises(WebhookAuthenticationError):
        await call(timed, version, **{**signed(clock), "raw_body": BODY + b" "})
    with pytest.raises(WebhookAuthenticationError):
        await call(timed, version, **signed(clock, secret="wrong"))


async def test_a_signature_works_once_as_long_as_it_is_valid(timed: Database, clock: Clock) -> None:
    version = await hooked(timed, **SIGNED)
    captured = signed(clock)
    await call(timed, version, **captured)
    for seconds in (0, 100, 199):
        clock.tick(seconds)
        with pytest.raises(WebhookAuthenticationError):
            await call(timed, version, **captured)
    clock.tick(3600)
    with pytest.raises(WebhookAuthenticationError):
        await call(timed, version, **captured)
    assert await timed.workflows.prune_webhook_signatures() == 1
    assert await timed.workflows.prune_webhook_signatures() == 0
    assert len(await timed.workflows.list_runs_for_workflow(version.workflow_id)) == 1


async def test_a_refused_call_leaves_no_trace(timed: Database, clock: Clock) -> None:
    """W-40: a legitimate retry after 429 got 401."""
    version = await hooked(
        timed,
        **SIGNED,
        shared_secret_header="X-Token",
        shared_secret="t",
        rate_limit=RateLimitConfig(limit=1, interval_seconds=60),
    )

    async def attempt(token: str) -> WorkflowRun:
        given = signed(clock)
        return await call(
            timed, version, **{**given, "headers": {**given["headers"], "x-token": token}}
        )

    with pytest.raises(WebhookAuthenticationError):
        await attempt("wrong")
    await attempt("t")
    clock.tick(1)
    with pytest.raises(RateLimitExceededError, match="Limit: 1 requests per 60 seconds"):
        await attempt("t")
    moment = clock.at
    clock.tick(60)
    late = signed(Clock(moment))
    await call(timed, version, **{**late, "headers": {**late["headers"], "x-token": "t"}})


# Rate limits


async def test_the_window_slides(timed: Database, clock: Clock) -> None:
    version = await hooked(timed, rate_limit=RateLimitConfig(limit=3, interval_seconds=60))
    for _ in range(3):
        await call(timed, version)
        clock.tick(10)
    for _ in range(5):
        with pytest.raises(RateLimitExceededError):
            await call(timed, version)
    clock.tick(31)  # the first is 61 seconds ago, the second 51
    await call(timed, version)
    with pytest.raises(RateLimitExceededError):
        await call(timed, version)
    clock.tick(61)
    for _ in range(3):
        await call(timed, version)
    with pytest.raises(RateLimitExceededError):
        await call(timed, version)


async def test_a_changed_limit_begins_anew(timed: Database, clock: Clock) -> None:
    version = await hooked(timed, rate_limit=RateLimitConfig(limit=2))
    for _ in range(2):
        await call(timed, version)
    await timed.workflows.configure_webhook_trigger(
        version.workflow_id, WebhookTriggerConfig(rate_limit=RateLimitConfig(limit=3))
    )
    for _ in range(3):
        await call(timed, version)
    with pytest.raises(RateLimitExceededError):
        await call(timed, version)


async def test_the_limit_is_shared_by_all(settings_of: dict[str, Any]) -> None:
    """W-11."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db, rate_limit=RateLimitConfig(limit=10, interval_seconds=3600))
        outcomes = await asyncio.gather(
            *(call(each, version) for _ in range(15) for each in (db, other)),
            return_exceptions=True,
        )
        accepted = [o for o in outcomes if isinstance(o, WorkflowRun)]
        assert len(accepted) == 10
        assert {type(o) for o in outcomes} == {WorkflowRun, RateLimitExceededError}
        assert len(await db.workflows.list_runs_for_workflow(version.workflow_id)) == 10


async def test_a_signature_is_accepted_once_by_all(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db, **SIGNED, rate_limit=RateLimitConfig(limit=5))
        begun = db.now()
        given = signed(Clock(begun))
        outcomes = await asyncio.gather(
            *(call(each, version, **given) for _ in range(10) for each in (db, other)),
            return_exceptions=True,
        )
        assert sum(isinstance(o, WorkflowRun) for o in outcomes) == 1
        assert {type(o) for o in outcomes} == {WorkflowRun, WebhookAuthenticationError}
        # Those that were refused took no place.
        for second in range(4):
            await call(db, version, **signed(Clock(begun - dt.timedelta(seconds=second + 1))))


HOSTILE: list[dict[str, Any]] = [
    {"headers": {"x-signature": "ünïcode", "x-time": "1"}},
    {"headers": {"x-signature": "sha256=", "x-time": "²"}},
    {"headers": {"x-signature": "\ud800", "x-time": "9" * 30}},
    {"headers": {"x-signature": "a" * 64, "x-time": "2025-01-01T00:00:00"}},
    {"headers": {"x-signature": ",,,=,=", "x-time": "-1"}},
    {"headers": {}},
    {"headers": {"x-signature": 5}},
    {"headers": [("x", "y")]},
    {"headers": None},
    {"query_params": "a=b"},
    {"method": None},
    {"method": "BREW\0"},
    {"raw_body": "text"},
    {"source_ip": 5},
    {"payload": object(), "headers": {"x-signature": "a", "x-time": "1"}},
]


@pytest.mark.parametrize("given", HOSTILE)
async def test_hostile_calls_are_refused_not_crashed_on(
    db: Database, given: dict[str, Any]
) -> None:
    """W-41."""
    version = await hooked(db, **SIGNED)
    with pytest.raises(WebhookValidationError) as caught:
        await call(db, version, **given)
    assert caught.value.status_code in (400, 401, 405)
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_hostile_payloads_are_kept(db: Database) -> None:
    version = await hooked(db)
    run = await call(db, version, payload={"nul": "\0", "n": float("nan"), "big": 2**70})
    assert run.input_payload["body"] == {"nul": "\\u0000", "n": "NaN", "big": str(2**70)}
    run = await call(db, version, payload=b"\xff\x00raw")
    assert run.input_payload["body"] == {"raw": "�\\u0000raw"}


class Unhealthy:
    asked = 0

    async def ensure_workflow_health(self, workflow_id: Any, *, actor: str | None = None) -> Any:
        self.asked += 1
        assert actor == "webhook"

        class Report:
            is_healthy = False
            failures = ("expired",)

        Report.workflow_id = workflow_id  # type: ignore[attr-defined]
        return Report


async def test_unhealthy_credentials_refuse_a_call(settings_of: dict[str, Any]) -> None:
    credentials = Unhealthy()
    async with Database(**settings_of, credentials=credentials) as db:
        version = await hooked(db, **SIGNED)
        with pytest.raises(CredentialHealthError):
            await call(db, version, **signed(Clock(db.now())))
        assert credentials.asked == 1


async def test_a_call_is_one_read_and_one_write(observed: Database, queries: Queries) -> None:
    version = await hooked(observed, rate_limit=RateLimitConfig(limit=5))
    queries.take()
    await call(observed, version)
    assert queries.take() == ["get_webhook", "accept_webhook_call"]


async def test_many_configure_at_once(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await hooked(db)
        await asyncio.gather(
            *(
                each.workflows.configure_webhook_trigger(
                    version.workflow_id,
                    {"secret_header": "x", "shared_secret": f"{n}", "hmac_tolerance_seconds": n},
                )
                for each in (db, other)
                for n in range(5)
            )
        )
        config = await db.workflows.get_webhook_trigger_config(version.workflow_id)
        await call(db, version, headers={"x": str(config.hmac_tolerance_seconds)})


def test_the_digest_is_not_the_signature() -> None:
    """What is remembered can't be sent again."""
    from orcheo_sql.rules import validate_webhook
    from orcheo_sql.structs import WebhookRequest

    clock = Clock()
    given = signed(clock)
    acceptance = validate_webhook(
        WebhookTriggerConfig(**SIGNED),
        WebhookRequest(method="POST", **given),
        received_at=clock.at,
    )
    sent = given["headers"]["x-signature"].removeprefix("sha256=")
    assert acceptance.signature_digest == hashlib.sha256(bytes.fromhex(sent)).hexdigest()
