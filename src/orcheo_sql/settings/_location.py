"""Where each subsystem lives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from orcheo_sql.settings._masking import mask_dsn

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr


class Subsystem(StrEnum):
    """A part of the library whose tables are kept together."""

    WORKFLOWS = "workflows"
    HISTORY = "history"
    TOKENS = "tokens"
    AGENTENSOR = "agentensor"
    CHATKIT = "chatkit"
    VAULT = "vault"
    CHECKPOINTS = "checkpoints"
    GRAPH_STORE = "graph_store"
    SNAPSHOTS = "snapshots"


# The two settings that decide: which database, and which file when that is SQLite.
HOMES: dict[Subsystem, tuple[str, str]] = {
    Subsystem.WORKFLOWS: ("repository_backend", "repository_sqlite_path"),
    Subsystem.HISTORY: ("repository_backend", "repository_sqlite_path"),
    Subsystem.TOKENS: ("auth_service_token_backend", "auth_service_token_db_path"),
    Subsystem.AGENTENSOR: ("repository_backend", "repository_sqlite_path"),
    Subsystem.CHATKIT: ("chatkit_backend", "chatkit_sqlite_path"),
    Subsystem.VAULT: ("vault_backend", "vault_local_path"),
    Subsystem.CHECKPOINTS: ("checkpoint_backend", "sqlite_path"),
    Subsystem.GRAPH_STORE: ("graph_store_backend", "graph_store_sqlite_path"),
    Subsystem.SNAPSHOTS: ("checkpoint_backend", "sqlite_path"),
}


@dataclass(frozen=True, slots=True)
class Location:
    """One database. Equal locations are the same database and share one engine.

    `path` is None for PostgreSQL and for SQLite in memory; `dsn` is None for SQLite.
    """

    dialect: Literal["sqlite", "postgres"]
    path: Path | None = None
    dsn: SecretStr | None = None

    @property
    def in_memory(self) -> bool:
        """Say whether this is the in-memory SQLite database."""
        return self.dialect == "sqlite" and self.path is None

    def __str__(self) -> str:
        if self.dsn is not None:
            return f"PostgreSQL {mask_dsn(self.dsn.get_secret_value())}"
        return "SQLite in memory" if self.path is None else f"SQLite {self.path}"

    def __repr__(self) -> str:
        return f"<Location {self}>"
