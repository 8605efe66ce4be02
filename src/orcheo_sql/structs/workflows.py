"""Workflows, their versions and their runs."""

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from msgspec.structs import force_setattr

from orcheo_sql.structs.base import AuditedEntity, Record


class WorkflowDraftAccess(StrEnum):
    """Who may see the drafts of a workflow."""

    PERSONAL = "personal"
    AUTHENTICATED = "authenticated"
    WORKSPACE = "workspace"


class WorkflowRunStatus(StrEnum):
    """Where a run is in its life; compares equal to its text."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when no transition leads out of this status."""
        return self not in (WorkflowRunStatus.PENDING, WorkflowRunStatus.RUNNING)


class ChatKitStartScreenPrompt(Record, frozen=True, kw_only=True):
    """A prompt offered on the start screen of a workflow's chat."""

    label: str
    prompt: str
    icon: str | None = None


class ChatKitSupportedModel(Record, frozen=True, kw_only=True):
    """A model that the users of a workflow's chat may choose."""

    id: str
    label: str | None = None
    description: str | None = None
    disabled: bool = False
    default: bool = False


class WorkflowChatKitConfig(Record, frozen=True, kw_only=True):
    """The chat settings of a workflow; never stored with both members None."""

    start_screen_prompts: list[ChatKitStartScreenPrompt] | None = None
    supported_models: list[ChatKitSupportedModel] | None = None


class Workflow(AuditedEntity, frozen=True, kw_only=True):
    """A workflow: its name, who may use it, and its chat settings."""

    name: str
    handle: str | None = None
    slug: str = ""
    description: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    is_archived: bool = False
    draft_access: WorkflowDraftAccess = WorkflowDraftAccess.PERSONAL
    is_public: bool = False
    published_at: datetime | None = None
    published_by: str | None = None
    require_login: bool = False
    share_url: str | None = None
    chatkit: WorkflowChatKitConfig | None = None

    @property
    def chatkit_start_screen_prompts(self) -> list[ChatKitStartScreenPrompt] | None:
        """The prompts of the chat settings, None without any."""
        return None if self.chatkit is None else self.chatkit.start_screen_prompts

    @property
    def chatkit_supported_models(self) -> list[ChatKitSupportedModel] | None:
        """The models of the chat settings, None without any."""
        return None if self.chatkit is None else self.chatkit.supported_models


class WorkflowSummary(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a list page shows of a workflow and its latest version, without any graph.

    Nothing has a default: a query that forgets a column is found when its decoder is built.
    """

    id: UUID
    handle: str | None
    slug: str
    name: str
    description: str | None
    tags: list[str]
    draft_access: WorkflowDraftAccess
    is_archived: bool
    is_public: bool
    created_at: datetime
    updated_at: datetime
    latest_version: int | None
    latest_version_id: UUID | None
    latest_version_created_at: datetime | None


class WorkflowVersion(AuditedEntity, frozen=True, kw_only=True):
    """One numbered graph of a workflow; only its `runnable_config` may change later."""

    workflow_id: UUID
    version: int
    graph: dict[str, Any] = msgspec.field(default_factory=dict)
    mermaid: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    runnable_config: dict[str, Any] | None = None
    created_by: str
    notes: str | None = None

    def compute_checksum(self) -> str:
        """Return the SHA-256 of the graph as hex; the order of its keys does not matter."""
        canonical = json.dumps(self.graph, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class WorkflowRun(AuditedEntity, frozen=True, kw_only=True):
    """One execution of a version.

    `tags`, `callbacks`, `metadata` and `run_name` repeat what `runnable_config` says: they are
    read from it whenever a run is made, whatever is passed for them, so they never disagree.
    """

    derived_fields: ClassVar[frozenset[str]] = frozenset(
        {"tags", "callbacks", "metadata", "run_name"}
    )

    workflow_version_id: UUID
    status: WorkflowRunStatus = WorkflowRunStatus.PENDING
    triggered_by: str
    input_payload: dict[str, Any] = msgspec.field(default_factory=dict)
    runnable_config: dict[str, Any] = msgspec.field(default_factory=dict)
    tags: list[str] = msgspec.field(default_factory=list)
    callbacks: list[Any] = msgspec.field(default_factory=list)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    run_name: str | None = None
    output_payload: dict[str, Any] | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        config = self.runnable_config
        # Most runs have no config, and rows never bring a mirror: the defaults are right already.
        if config or self.tags or self.callbacks or self.metadata or self.run_name is not None:
            force_setattr(self, "tags", config.get("tags") or [])
            force_setattr(self, "callbacks", config.get("callbacks") or [])
            force_setattr(self, "metadata", config.get("metadata") or {})
            force_setattr(self, "run_name", config.get("run_name"))


class VersionDiff(Record, frozen=True):
    """How the graph of one version differs from another's, as lines of a unified diff."""

    base_version: int
    target_version: int
    diff: list[str]


class RunStatusCounts(Record, frozen=True, kw_only=True):
    """How many runs are in each status."""

    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """The number of runs in any status."""
        return self.pending + self.running + self.succeeded + self.failed + self.cancelled
