"""The credential health gate of run creation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import (
    MISSING,
    Queries,
    new_run,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import (
    CredentialHealthError,
    Database,
    EncodingError,
    TransactionError,
    ValidationError,
    WorkflowNotFoundError,
    WorkflowVersionNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID


@dataclass
class Report:
    workflow_id: UUID
    is_healthy: bool = False
    failures: Sequence[str] = ()


@dataclass
class Credentials:
    """A credential service that says what it is told to, and remembers who asked."""

    failures: Sequence[str] | None = None
    """None: healthy. Else unhealthy, for these reasons."""
    gives_report: bool = True
    meanwhile: Callable[[], Awaitable[object]] | None = None
    asked: list[tuple[UUID, str | None]] = field(default_factory=list)

    async def ensure_workflow_health(
        self, workflow_id: UUID, *, actor: str | None = None
    ) -> Report | None:
        self.asked.append((workflow_id, actor))
        if self.meanwhile is not None:
            await self.meanwhile()
        if not self.gives_report:
            return None
        return Report(
            workflow_id, self.failures is None, [] if self.failures is None else self.failures
        )


@pytest.fixture
def credentials() -> Credentials:
    return Credentials()


@pytest.fixture
async def gated(settings_of: dict[str, Any], credentials: Credentials) -> Any:
    async with Database(**settings_of, credentials=credentials) as database:
        yield database


async def test_a_healthy_workflow_gets_its_run(gated: Database, credentials: Credentials) -> None:
    version = await workflow_with_version(gated)
    assert credentials.asked == []
    run = await new_run(gated, version)
    assert credentials.asked == [(version.workflow_id, "manual")]
    assert await gated.workflows.get_run(run.id) == run


async def test_the_service_is_told_who_acts(gated: Database, credentials: Credentials) -> None:
    version = await workflow_with_version(gated)
    for actor in ("ada", None, ""):
        run = await new_run(gated, version, triggered_by="nightly", actor=actor)
        assert credentials.asked.pop() == (version.workflow_id, run.audit_log[0].actor)
    await new_run(gated, version, actor="ada", runnable_config={"tags": ["t"]})
    assert credentials.asked == [(version.workflow_id, "ada")]


@pytest.mark.parametrize(
    ("failures", "text"),
    [
        (["slack: expired", "openai: revoked"], "slack: expired; openai: revoked"),
        ([], "unknown reason"),
    ],
)
async def test_an_unhealthy_workflow_gets_none(
    gated: Database, credentials: Credentials, failures: list[str], text: str
) -> None:
    version = await workflow_with_version(gated)
    credentials.failures = failures
    with pytest.raises(CredentialHealthError) as refused:
        await new_run(gated, version)
    assert str(refused.value) == (
        f"Workflow {version.workflow_id} has unhealthy credentials: {text}"
    )
    assert refused.value.report.failures == failures
    assert isinstance(refused.value, RuntimeError)
    assert await gated.workflows.list_runs_for_workflow(version.workflow_id) == []
    credentials.failures = None
    await new_run(gated, version)


async def test_no_report_is_no_reason_to_refuse(gated: Database, credentials: Credentials) -> None:
    credentials.gives_report = False
    version = await workflow_with_version(gated)
    await new_run(gated, version)
    assert len(credentials.asked) == 1


async def test_a_workflow_that_cannot_run_is_not_asked_about(
    gated: Database, credentials: Credentials
) -> None:
    version = await workflow_with_version(gated)
    await gated.workflows.archive_workflow(version.workflow_id, actor="ada")
    credentials.failures = ["expired"]
    for workflow_id in (MISSING, version.workflow_id):
        with pytest.raises(WorkflowNotFoundError, match=f"^{workflow_id}$"):
            await gated.workflows.create_run(
                workflow_id,
                workflow_version_id=version.id,
                triggered_by="manual",
                input_payload={},
            )
    assert credentials.asked == []


async def test_health_comes_before_version_and_config(
    gated: Database, credentials: Credentials
) -> None:
    version = await workflow_with_version(gated)

    async def create(version_id: UUID, **fields: Any) -> None:
        await gated.workflows.create_run(
            version.workflow_id,
            workflow_version_id=version_id,
            triggered_by="manual",
            input_payload={},
            **fields,
        )

    credentials.failures = ["expired"]
    with pytest.raises(CredentialHealthError):
        await create(MISSING)
    with pytest.raises(CredentialHealthError):
        await create(version.id, runnable_config={"unknown": 1})
    credentials.failures = None
    with pytest.raises(WorkflowVersionNotFoundError):
        await create(MISSING, runnable_config={"unknown": 1})
    with pytest.raises(ValidationError, match="unknown"):
        await create(version.id, runnable_config={"unknown": 1})


async def test_arguments_are_checked_before_anybody_is_asked(
    gated: Database, credentials: Credentials
) -> None:
    version = await workflow_with_version(gated)
    with pytest.raises(EncodingError):
        await new_run(gated, version, {"a": object()})
    with pytest.raises(ValidationError):
        await new_run(gated, version, triggered_by=1)
    assert credentials.asked == []


async def test_an_error_of_the_service_is_the_callers(
    gated: Database, credentials: Credentials
) -> None:
    async def fail() -> None:
        raise LookupError("vault is sealed")

    credentials.meanwhile = fail
    version = await workflow_with_version(gated)
    with pytest.raises(LookupError, match="vault is sealed"):
        await new_run(gated, version)
    assert await gated.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_only_run_creation_asks(gated: Database, credentials: Credentials) -> None:
    version = await workflow_with_version(gated)
    credentials.failures = ["expired"]
    async with gated.transaction() as unit:
        run = await unit.workflows.create_run(
            version.workflow_id,
            workflow_version_id=version.id,
            triggered_by="manual",
            input_payload={},
            credentials_checked=True,
        )
    await gated.workflows.mark_run_started(run.id, actor="w")
    await gated.workflows.publish_workflow(version.workflow_id, require_login=True, actor="a")
    assert credentials.asked == []


async def test_the_service_is_asked_outside_of_any_transaction(
    gated: Database, credentials: Credentials, other: Database
) -> None:
    version = await workflow_with_version(gated)

    async def look_around() -> None:
        for health in await gated.health():
            assert health.pool is not None
            assert health.pool.idle == health.pool.size
        # Neither this database nor another process finds anything locked; the service may use it too.
        await asyncio.wait_for(new_workflow(gated, "Inside"), 5)
        await asyncio.wait_for(new_workflow(other, "Beside"), 5)

    await new_workflow(other, "Warm")
    credentials.meanwhile = look_around
    await new_run(gated, version)
    assert len(await gated.workflows.list_workflows()) == 4


async def test_a_workflow_archived_while_the_service_thinks_gets_no_run(
    gated: Database, credentials: Credentials, other: Database
) -> None:
    version = await workflow_with_version(gated)
    credentials.meanwhile = lambda: other.workflows.archive_workflow(
        version.workflow_id, actor="eve"
    )
    for override in (None, {"tags": ["t"]}):
        with pytest.raises(WorkflowNotFoundError, match=f"^{version.workflow_id}$"):
            await new_run(gated, version, runnable_config=override)
    assert await gated.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_the_service_is_never_asked_inside_a_unit_of_work(
    gated: Database, credentials: Credentials
) -> None:
    version = await workflow_with_version(gated)
    async with gated.transaction() as unit:
        with pytest.raises(TransactionError, match="never asked inside a unit of work"):
            await new_run(unit, version)
        with pytest.raises(TransactionError, match="credentials_checked=True"):
            await unit.workflows.ensure_credential_health(version.workflow_id)
        with pytest.raises(TransactionError):
            await gated.workflows.ensure_credential_health(version.workflow_id)
        run = await new_run(unit, version, credentials_checked=True)
    assert credentials.asked == []
    assert await gated.workflows.get_run(run.id) == run


async def test_the_check_can_be_made_before_a_unit_of_work(
    gated: Database, credentials: Credentials
) -> None:
    version = await workflow_with_version(gated)
    await gated.workflows.ensure_credential_health(version.workflow_id, actor="ada")
    assert credentials.asked == [(version.workflow_id, "ada")]
    credentials.failures = ["expired"]
    with pytest.raises(CredentialHealthError, match="expired"):
        await gated.workflows.ensure_credential_health(version.workflow_id)


async def test_without_a_service_there_is_no_gate(observed: Database, queries: Queries) -> None:
    version = await workflow_with_version(observed)
    queries.take()
    await observed.workflows.ensure_credential_health(version.workflow_id)
    async with observed.transaction() as unit:
        await unit.workflows.ensure_credential_health(version.workflow_id)
        await new_run(unit, version)
    assert queries.take() == ["insert_run"]


async def test_who_has_asked_before_may_override_the_config_too(
    gated: Database, credentials: Credentials
) -> None:
    version = await workflow_with_version(gated)
    await gated.workflows.ensure_credential_health(version.workflow_id, actor="ada")
    async with gated.transaction() as unit:
        run = await new_run(
            unit, version, runnable_config={"tags": ["t"]}, credentials_checked=True
        )
    assert run.tags == ["t"]
    assert credentials.asked == [(version.workflow_id, "ada")]
