"""Webhooks: configure them, and take the calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from .._documents import encode_definition, encode_record
from .._errors import (
    ConflictError,
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
    from datetime import datetime

    from .._query_types import Workflows
    from .._sealing import Sealer
    from ..rules import WebhookAcceptance
    from ..structs import StoredWebhook, WorkflowRun

# How often to look again when the webhook is changed, or its places are taken and given back, at the same time.
_ATTEMPTS = 20


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
            ValidationError: the config breaks a rule.
            WorkflowNotFoundError: there is no such workflow.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        parsed = parse_webhook_config(config)
        now = self._now()
        event = audit_event(actor, "webhook_trigger_configured", now)
        for _ in range(_ATTEMPTS):
            stored = await self._webhook(workflow_id)
            old = await self._opened(workflow_id, stored)
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
                revision=stored.revision or 0,
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
            await self._check_refusal(workflow_id, stored, acceptance)
        raise ConflictError("the webhook is being changed by too many others at once")

    async def prune_webhook_signatures(
        self, *, now: datetime | None = None, limit: int = 1000
    ) -> int:
        """Forget up to `limit` signatures that have expired, and return how many went."""
        until = self._now() if now is None else as_instant(now, "now")
        return await self.q.prune_webhook_signatures(now=until, limit=check_limit(limit))

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
        self, workflow_id: UUID, stored: StoredWebhook
    ) -> WebhookTriggerConfig | None:
        if stored.config is None:
            return None
        return WebhookTriggerConfig.from_document(stored.config).with_secrets(
            shared_secret=await self.sealer.open(
                stored.shared_secret, place=_place(workflow_id, "shared_secret")
            ),
            hmac_secret=await self.sealer.open(
                stored.hmac_secret, place=_place(workflow_id, "hmac_secret")
            ),
        )

    async def _accept(
        self, workflow_id: UUID, stored: StoredWebhook, acceptance: WebhookAcceptance
    ) -> WorkflowRun | None:
        assert stored.workflow_version_id is not None
        assert stored.revision is not None
        limit = acceptance.rate_limit
        payload = encode_record(acceptance.input_payload, name="input_payload")
        now = acceptance.received_at
        return await self.q.accept_webhook_call(
            id=uuid4(),
            workflow_id=workflow_id,
            workflow_version_id=stored.workflow_version_id,
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

    async def _check_refusal(
        self, workflow_id: UUID, stored: StoredWebhook, acceptance: WebhookAcceptance
    ) -> None:
        """Raise why a call was not accepted, unless all it needs is another look at the webhook."""
        refusal = await self.q.get_webhook_refusal(
            workflow_id=workflow_id,
            digest=acceptance.signature_digest,
            counted_from=acceptance.counted_from,
            now=acceptance.received_at,
        )
        if refusal is not None and refusal.revision == stored.revision:
            check_webhook_history(
                acceptance,
                signature_seen=refusal.is_seen,
                accepted_calls=refusal.accepted_calls,
            )


def _with_kept_secrets(
    config: WebhookTriggerConfig, old: WebhookTriggerConfig | None
) -> WebhookTriggerConfig:
    """Return the config with its secrets; one that it says it has but does not give is the stored one."""
    given = {"shared": config.shared_secret, "hmac": config.hmac_secret}
    for kind, secret in given.items():
        if secret is None and getattr(config, f"has_{kind}_secret"):
            given[kind] = None if old is None else getattr(old, f"{kind}_secret")
            if given[kind] is None:
                raise WebhookValidationError(f"{kind}_secret must be provided: none is stored")
    return config.with_secrets(shared_secret=given["shared"], hmac_secret=given["hmac"])


def _place(workflow_id: UUID, column: str) -> str:
    return f"webhook_triggers.{column} of {workflow_id}"
