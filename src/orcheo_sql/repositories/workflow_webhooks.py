"""Webhooks: configure them, and take the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from .._documents import encode_definition, encode_record
from .._errors import (
    ConfigError,
    ConflictError,
    EncodingError,
    RateLimitExceededError,
    WebhookNotConfiguredError,
    WebhookValidationError,
    WorkflowNotFoundError,
    WorkflowVersionNotFoundError,
)
from .._pages import check_limit
from .._search import search_text
from ..rules import check_webhook_history, parse_webhook_config, validate_webhook
from ..structs import WebhookRequest, WebhookTriggerConfig
from .base import as_instant, as_uuid, audit_event
from .workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .._query_types import Workflows
    from .._sealing import Sealer
    from ..rules import WebhookAcceptance
    from ..structs import StoredWebhook, WorkflowRun

# How often to look again when the webhook, or the latest version, is changed at the same time.
_ATTEMPTS = 20
# How long to wait, each time, for places that calls hold whose transactions are still open.
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2)
_SECRETS = ("shared_secret", "hmac_secret")


class WorkflowWebhooks(WorkflowRuns):
    """The part of `WorkflowRepository` about webhooks."""

    q: Workflows
    sealer: Sealer

    async def configure_webhook_trigger(
        self, workflow_id: UUID, config: WebhookTriggerConfig | Any, *, actor: str = "system"
    ) -> WebhookTriggerConfig:
        """Set which calls start runs of a workflow; from now on its webhook is on.

        Secrets go in and never come out: what is returned says only that there are some. Such a config, changed and
        given again, keeps the secrets that are stored. A changed rate limit forgets the calls that were counted.

        Raises:
            ConfigError: the config keeps a secret that was encrypted with another key.
            ValidationError: the config breaks a rule.
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        parsed = parse_webhook_config(config)
        now = self._now()
        event = audit_event(actor, "webhook_trigger_configured", now)
        for _ in range(_ATTEMPTS):
            stored = await self._webhook(workflow_id)
            # A secret that is replaced need not open: a lost key is cured by configuring anew.
            kept = [name for name in _SECRETS if _keeps(parsed, name)]
            old = await self._opened(workflow_id, stored, needed=kept)
            new = _with_kept_secrets(parsed, old)
            if new == old:
                return new.without_secrets()
            put = await self.q.put_webhook(
                workflow_id=workflow_id,
                config=encode_definition(new.without_secrets(), name="webhook trigger"),
                shared_secret=await self.sealer.seal(
                    new.shared_secret, place=_place(workflow_id, "shared_secret")
                ),
                hmac_secret=await self.sealer.seal(
                    new.hmac_secret, place=_place(workflow_id, "hmac_secret")
                ),
                replaces=stored.revision,
                revision=uuid4(),
                clear_slots=old is not None and old.rate_limit != new.rate_limit,
                now=now,
                event=event,
            )
            if put is not None:
                return new.without_secrets()
        raise ConflictError("the webhook is being changed by too many others at once")

    async def get_webhook_trigger_config(self, workflow_id: UUID) -> WebhookTriggerConfig:
        """Return which calls start runs of a workflow, without secrets; the default when its webhook is off.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
        """
        stored = await self._webhook(as_uuid(workflow_id, "workflow_id"))
        if stored.config is None:
            return WebhookTriggerConfig()
        return WebhookTriggerConfig.from_document(stored.config)

    async def delete_webhook_trigger(self, workflow_id: UUID, *, actor: str = "system") -> None:
        """Turn a workflow's webhook off and forget its secrets, signatures and calls; off already is fine.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        now = self._now()
        event = audit_event(actor, "webhook_trigger_deleted", now)
        if await self.q.delete_webhook(workflow_id=workflow_id, now=now, event=event) is None:
            await self._require_workflow(workflow_id)

    async def handle_webhook_trigger(
        self,
        workflow_id: UUID,
        *,
        method: str,
        headers: Mapping[str, str],
        query_params: Mapping[str, str],
        payload: Any,
        source_ip: str | None,
        raw_body: bytes | None = None,
        credentials_checked: bool = False,
    ) -> WorkflowRun:
        """Check a call and create its run, of the latest version, in the outbox.

        A refused call leaves no trace: neither its signature nor a place of the rate limit is used up.

        Args:
            workflow_id: whose webhook is called.
            method: of HTTP.
            headers: by name, in any case.
            query_params: by name.
            payload: the decoded body.
            source_ip: is kept with the run.
            raw_body: the bytes that were received; with them, signatures are verified over what was signed.
            credentials_checked: the caller has asked `ensure_credential_health` itself, before its unit of work.

        Raises:
            WorkflowNotFoundError: the workflow is missing or archived.
            WebhookNotConfiguredError: its webhook is off.
            WorkflowVersionNotFoundError: it has no version.
            CredentialHealthError: its credentials are unhealthy.
            WebhookValidationError: the call is refused; `status_code` says how.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        request = WebhookRequest(
            method=method,
            headers=dict(headers) if isinstance(headers, Mapping) else headers,
            query_params=dict(query_params) if isinstance(query_params, Mapping) else query_params,
            payload=payload,
            source_ip=source_ip,
            raw_body=raw_body,
        )
        is_asked = credentials_checked or self.credentials is None
        pauses = iter(_PAUSES)
        for _ in range(_ATTEMPTS):
            stored = await self._webhook(workflow_id)
            config = await self._callable(workflow_id, stored)
            if not is_asked:
                await self.ensure_credential_health(workflow_id, actor="webhook")
                is_asked = True
            acceptance = validate_webhook(config, request, received_at=self._now())
            run = await self._accept(workflow_id, stored, acceptance)
            if run is not None:
                return run
            if await self._waits_for_place(workflow_id, stored, acceptance):
                pause = next(pauses, None)
                if pause is None:
                    assert acceptance.rate_limit is not None
                    raise RateLimitExceededError(
                        acceptance.rate_limit.limit, acceptance.rate_limit.interval_seconds
                    )
                await asyncio.sleep(pause)
        raise ConflictError("the webhook is being changed by too many others at once")

    async def prune_webhook_signatures(
        self,
        *,
        now: datetime | None = None,
        accepted_before: datetime | None = None,
        limit: int = 1000,
    ) -> int:
        """Forget up to `limit` signatures, and return how many went.

        One bounded batch: call it until it returns less than `limit`.

        Args:
            now: those that have expired by then go; None is the time of the clock.
            accepted_before: so do those that never expire, of calls accepted before this time. Whoever has captured
                such a call can have it accepted again from then on.
            limit: how many at most.
        """
        until = self._now() if now is None else as_instant(now, "now")
        before = None if accepted_before is None else as_instant(accepted_before, "accepted_before")
        gone = await self.q.prune_webhook_signatures(now=until, limit=check_limit(limit))
        if before is not None and gone < limit:
            gone += await self.q.prune_lasting_webhook_signatures(
                accepted_before=before, limit=limit - gone
            )
        return gone

    async def _webhook(self, workflow_id: UUID) -> StoredWebhook:
        stored = await self.q.get_webhook(workflow_id=workflow_id)
        if stored is None:
            raise WorkflowNotFoundError(str(workflow_id))
        return stored

    async def _callable(self, workflow_id: UUID, stored: StoredWebhook) -> WebhookTriggerConfig:
        """Return the config, with secrets, or raise why the webhook takes no calls at all."""
        if stored.is_archived:
            raise WorkflowNotFoundError(str(workflow_id))
        if stored.config is None:
            raise WebhookNotConfiguredError(workflow_id)
        if stored.workflow_version_id is None:
            raise WorkflowVersionNotFoundError("latest")
        config = await self._opened(workflow_id, stored)
        assert config is not None
        return config

    async def _opened(
        self, workflow_id: UUID, stored: StoredWebhook, *, needed: Sequence[str] = _SECRETS
    ) -> WebhookTriggerConfig | None:
        """Return the config with its secrets; one that is not needed and does not open is left out."""
        if stored.config is None:
            return None
        secrets: dict[str, str | None] = {}
        for name in _SECRETS:
            try:
                secrets[name] = await self.sealer.open(
                    getattr(stored, name), place=_place(workflow_id, name)
                )
            except ConfigError:
                if name in needed:
                    raise
                secrets[name] = None
        return WebhookTriggerConfig.from_document(stored.config).with_secrets(
            shared_secret=secrets["shared_secret"], hmac_secret=secrets["hmac_secret"]
        )

    async def _accept(
        self, workflow_id: UUID, stored: StoredWebhook, acceptance: WebhookAcceptance
    ) -> WorkflowRun | None:
        assert stored.revision is not None
        limit = acceptance.rate_limit
        try:
            payload = encode_record(acceptance.input_payload, name="input_payload")
        except EncodingError as error:
            raise WebhookValidationError(f"The payload can't be encoded as JSON: {error}") from None
        now = acceptance.received_at
        return await self.q.accept_webhook_call(
            id=uuid4(),
            workflow_id=workflow_id,
            revision=stored.revision,
            digest=acceptance.signature_digest,
            signature_expires_at=acceptance.signature_expires_at,
            slot_limit=None if limit is None else limit.limit,
            counted_from=acceptance.counted_from,
            input_payload=payload,
            now=now,
            event=audit_event("webhook", "run_created", now),
            search_text=search_text("webhook", msgspec.json.decode(payload.encode())),
        )

    async def _waits_for_place(
        self, workflow_id: UUID, stored: StoredWebhook, acceptance: WebhookAcceptance
    ) -> bool:
        """Raise why a call was not accepted, unless another try may be: at once, or when a place is given back."""
        refusal = await self.q.get_webhook_refusal(
            workflow_id=workflow_id,
            digest=acceptance.signature_digest,
            counted_from=acceptance.counted_from,
            now=acceptance.received_at,
        )
        if refusal is None or refusal.revision != stored.revision:
            return False
        check_webhook_history(
            acceptance,
            signature_seen=refusal.is_seen,
            accepted_calls=refusal.accepted_calls,
        )
        # All places are there, and not all are used by calls that are committed: the others are held.
        limit = acceptance.rate_limit
        return limit is not None and refusal.slots >= limit.limit


def _with_kept_secrets(
    config: WebhookTriggerConfig, old: WebhookTriggerConfig | None
) -> WebhookTriggerConfig:
    """Return the config with its secrets; one that it says it has but does not give is the stored one."""
    given: dict[str, str | None] = {}
    for name in _SECRETS:
        given[name] = getattr(old if old is not None and _keeps(config, name) else config, name)
        if given[name] is None and _keeps(config, name):
            raise WebhookValidationError(f"{name} must be provided: none is stored")
    return config.with_secrets(
        shared_secret=given["shared_secret"], hmac_secret=given["hmac_secret"]
    )


def _keeps(config: WebhookTriggerConfig, name: str) -> bool:
    return getattr(config, name) is None and getattr(config, f"has_{name}")


def _place(workflow_id: UUID, column: str) -> str:
    return f"webhook_triggers.{column} of {workflow_id}"
