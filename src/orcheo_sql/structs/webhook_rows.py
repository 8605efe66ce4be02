"""Webhooks as the repository reads them."""

from typing import Any
from uuid import UUID

from orcheo_sql.structs.base import Record


class StoredWebhook(Record, frozen=True, kw_only=True):
    """A workflow's webhook and what a run of it is created from; secrets are sealed."""

    is_archived: bool
    workflow_version_id: UUID | None
    config: dict[str, Any] | None
    shared_secret: str | None
    hmac_secret: str | None
    revision: UUID | None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("revision", self.revision)]

    def __repr__(self) -> str:
        return f"StoredWebhook(revision={self.revision})"


class WebhookRefusal(Record, frozen=True, kw_only=True):
    """Why a call was not accepted."""

    revision: UUID
    slots: int
    is_seen: bool
    accepted_calls: int
