"""Rows that are not entities: what single queries tell the repositories."""

from typing import Any

from .base import AuditRecord, Record


class AuditEntry(Record, frozen=True, kw_only=True):
    """One audit record with its place in the trail of its entity, counted from 1."""

    seq: int
    record: AuditRecord


class RunEligibility(Record, frozen=True, kw_only=True):
    """Whether a run of a workflow's version may be created, and the config stored with that version."""

    is_archived: bool
    has_version: bool
    runnable_config: dict[str, Any] | None
