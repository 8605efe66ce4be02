"""What the model stores, units of work on it, and what all its entities share."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tests.state_machine.model_values import text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

Row = dict[str, Any]
MOST_KEPT, KEPT_AFTER_SPILL = 40, 20


@dataclass
class Tables:
    """All that is stored."""

    workflows: dict[UUID, Row] = field(default_factory=dict)
    versions: dict[UUID, Row] = field(default_factory=dict)
    runs: dict[UUID, Row] = field(default_factory=dict)
    spilled: dict[UUID, list[Row]] = field(default_factory=dict)

    def copy(self) -> Self:
        return type(self)(**{each.name: dict(getattr(self, each.name)) for each in fields(self)})


class Stored:
    """One installation, in memory."""

    kind: ClassVar[type[Tables]] = Tables

    def __init__(self, now: Callable[[], datetime], new_id: Callable[[], UUID]):
        self.now = now
        self.new_id = new_id
        self.tables = self.kind()
        self.units: list[Any] = []
        self.gate = False
        self.unhealthy: set[UUID] = set()

    # --- units of work

    def begin(self) -> None:
        self.units.append(self.tables.copy())

    def keep(self) -> None:
        self.units.pop()

    def undo(self) -> None:
        self.tables = self.units.pop()

    def committed(self) -> Self:
        """Return what others see while units of work are open."""
        other = type(self)(self.now, self.new_id)
        other.tables = self.units[0] if self.units else self.tables
        return other

    def reset(self) -> None:
        self.tables = self.kind()

    # --- what all entities share

    def _event(self, actor: str, action: str, metadata: Row | None = None) -> Row:
        return {"actor": actor, "action": action, "at": self.now(), "metadata": metadata or {}}

    def _born(self, entity_id: UUID, actor: str, action: str) -> Row:
        text_of(actor, "actor")
        now = self.now()
        log = [self._event(actor, action)]
        return {"id": entity_id, "created_at": now, "updated_at": now, "audit_log": log}

    def _write(self, table: dict[UUID, Row], row: Row, *events: Row) -> Row:
        log = [*row["audit_log"], *events]
        written = {
            **row,
            "updated_at": max(row["updated_at"], self.now()),
            "audit_log": log,
        }
        entity_id = row["id"]
        if len(log) > MOST_KEPT:
            spilled = self.tables.spilled.get(entity_id, [])
            self.tables.spilled[entity_id] = spilled + log[:-KEPT_AFTER_SPILL]
            table[entity_id] = {**written, "audit_log": log[-KEPT_AFTER_SPILL:]}
        else:
            table[entity_id] = written
        return written


def age(row: Row) -> tuple[datetime, UUID]:
    return row["created_at"], row["id"]
