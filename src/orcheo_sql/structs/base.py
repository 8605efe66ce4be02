"""What every struct shares, and the audited entity that most of them extend.

Structs are frozen, and their lists and dicts belong to the entity alone: what a caller does to
them never reaches the database. `msgspec.to_builtins(entity)` is the document form that clients
load; times are aware and in UTC there, because the row codecs hand them over so.

Strictness: an entity refuses fields it does not know, since its fields are columns and no row
brings another one. A struct that is stored *inside* a column (an audit record, chatkit settings)
ignores them, so that rows written by a newer release stay readable during a rolling upgrade.
What a client sends is checked by `orcheo_sql.rules`, strictly.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec


def utc_now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)


class Record(msgspec.Struct, frozen=True):
    """Root of all structs that this library hands out."""

    derived_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields computed from the others: no query returns a column for them."""


class AuditRecord(Record, frozen=True, kw_only=True):
    """Who did what to an entity, and when."""

    actor: str
    action: str
    at: datetime = msgspec.field(default_factory=utc_now)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class AuditedEntity(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entity with identity, times and an audit trail; `updated_at` moves with the trail only."""

    id: UUID = msgspec.field(default_factory=uuid4)
    created_at: datetime = msgspec.field(default_factory=utc_now)
    updated_at: datetime = msgspec.field(default_factory=utc_now)
    audit_log: list[AuditRecord] = msgspec.field(default_factory=list)
