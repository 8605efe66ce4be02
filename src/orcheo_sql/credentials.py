"""The credential health gate: an optional collaborator that clients bring along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class CredentialHealthReport(Protocol):
    """What a credential service says of one workflow."""

    @property
    def workflow_id(self) -> UUID:
        """The workflow that was looked at."""
        ...

    @property
    def is_healthy(self) -> bool:
        """Whether all its credentials work."""
        ...

    @property
    def failures(self) -> Sequence[str]:
        """One text for each that does not."""
        ...


class CredentialHealthService(Protocol):
    """Knows whether the credentials of a workflow work; may use the network."""

    async def ensure_workflow_health(
        self, workflow_id: UUID, *, actor: str | None = None
    ) -> CredentialHealthReport | None:
        """Look again, refresh what can be refreshed, and report."""
        ...
