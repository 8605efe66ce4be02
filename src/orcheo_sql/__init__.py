"""Persistence for agent-workflow backends: the same answers on SQLite and PostgreSQL, every query a named .sql file.

::

    from orcheo_sql import Database

    async with Database() as db:
        workflow = await db.workflows.create_workflow(
            name="Support triage", slug=None, description=None, tags=["support"],
            draft_access="personal", actor="ada",
        )

Importing this package loads no driver and no settings library: every name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "._database": ("Database",),
    "._transaction": ("Transaction",),
    "._adapters": ("load_queries", "sqlite_connection", "postgres_connection"),
    "._filters": ("JsonFilter",),
    "._pages": ("Page",),
    ".engines.base": ("DatabaseHealth", "PoolFigures", "QueryTiming"),
    ".credentials": ("CredentialHealthReport", "CredentialHealthService"),
    ".repositories.agentensor": ("AgentensorRepository",),
    ".repositories.history": ("HistoryRepository",),
    ".repositories.snapshots": ("RunSnapshotRepository",),
    ".repositories.tokens": ("ServiceTokenRepository",),
    ".repositories.workflows": ("WorkflowRepository",),
    ".tokens._manager": ("ServiceTokenManager",),
    ".settings": ("Settings", "Subsystem", "load_settings"),
    ".structs": (
        "AgentensorCheckpoint",
        "AuditEntry",
        "AuditRecord",
        "ChatKitStartScreenPrompt",
        "ChatKitSupportedModel",
        "CronMisfirePolicy",
        "CronSchedule",
        "CronScheduleState",
        "CronTriggerConfig",
        "ListenerCursor",
        "ListenerDedupeRecord",
        "ListenerDispatchMessage",
        "ListenerDispatchPayload",
        "ListenerHealthSnapshot",
        "ListenerLease",
        "ListenerSubscription",
        "ListenerSubscriptionStatus",
        "ManualDispatchItem",
        "ManualDispatchRequest",
        "OutboxCounts",
        "OutboxEntry",
        "RateLimitConfig",
        "RetryDecision",
        "RetryPolicyConfig",
        "RunHistoryHit",
        "RunHistoryRecord",
        "RunHistoryStatus",
        "RunHistoryStep",
        "RunRetry",
        "RunRetryStatus",
        "RunSnapshot",
        "RunStatusCounts",
        "RunSummary",
        "SavedRun",
        "ServiceTokenAuditEntry",
        "ServiceTokenRecord",
        "ServiceTokenStatus",
        "VersionDiff",
        "WebhookRequest",
        "WebhookTriggerConfig",
        "Workflow",
        "WorkflowChatKitConfig",
        "WorkflowDraftAccess",
        "WorkflowRun",
        "WorkflowRunStatus",
        "WorkflowSummary",
        "WorkflowVersion",
    ),
    "._errors": (
        "AgentensorCheckpointNotFoundError",
        "AgentensorVersionConflictError",
        "AuthenticationError",
        "AuthorizationError",
        "CheckViolationError",
        "ChecksumMismatchError",
        "ConfigError",
        "ConflictError",
        "ConnectionLostError",
        "ContractMismatchError",
        "CredentialHealthError",
        "CronOverlapError",
        "CronTriggerNotFoundError",
        "CronValidationError",
        "CrossDatabaseError",
        "DatabaseBusyError",
        "DatabaseClosedError",
        "DeadlockError",
        "DecodeError",
        "DuplicateQueryError",
        "EncodingError",
        "ForeignKeyViolationError",
        "ForeignSchemaError",
        "InvalidCursorError",
        "JsonFilterError",
        "ListenerLeaseLostError",
        "ListenerNotCurrentError",
        "ManualDispatchValidationError",
        "MethodNotAllowedError",
        "MigrationError",
        "MigrationFailedError",
        "NewerSchemaError",
        "NotNullViolationError",
        "OrcheoSqlError",
        "PendingMigrationsError",
        "PoolTimeoutError",
        "QueryError",
        "RateLimitExceededError",
        "RepositoryError",
        "RetryPolicyValidationError",
        "RunHistoryError",
        "RunHistoryNotFoundError",
        "RunHistoryPayloadTooLargeError",
        "RunHistoryTransitionError",
        "RunTransitionError",
        "SearchQueryError",
        "SerializationError",
        "ServiceTokenExistsError",
        "ServiceTokenNotFoundError",
        "ServiceTokenStateError",
        "StatementTimeoutError",
        "StoreError",
        "TransactionError",
        "TransientError",
        "UniqueViolationError",
        "UnknownQueryError",
        "ValidationError",
        "WebhookAuthenticationError",
        "WebhookNotConfiguredError",
        "WebhookValidationError",
        "WorkflowHandleConflictError",
        "WorkflowNotArchivedError",
        "WorkflowNotFoundError",
        "WorkflowPublishStateError",
        "WorkflowRunNotFoundError",
        "WorkflowVersionNotFoundError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from ._adapters import load_queries as load_queries
    from ._adapters import postgres_connection as postgres_connection
    from ._adapters import sqlite_connection as sqlite_connection
    from ._database import Database as Database
    from ._errors import AgentensorCheckpointNotFoundError as AgentensorCheckpointNotFoundError
    from ._errors import AgentensorVersionConflictError as AgentensorVersionConflictError
    from ._errors import AuthenticationError as AuthenticationError
    from ._errors import AuthorizationError as AuthorizationError
    from ._errors import ChecksumMismatchError as ChecksumMismatchError
    from ._errors import CheckViolationError as CheckViolationError
    from ._errors import ConfigError as ConfigError
    from ._errors import ConflictError as ConflictError
    from ._errors import ConnectionLostError as ConnectionLostError
    from ._errors import ContractMismatchError as ContractMismatchError
    from ._errors import CredentialHealthError as CredentialHealthError
    from ._errors import CronOverlapError as CronOverlapError
    from ._errors import CronTriggerNotFoundError as CronTriggerNotFoundError
    from ._errors import CronValidationError as CronValidationError
    from ._errors import CrossDatabaseError as CrossDatabaseError
    from ._errors import DatabaseBusyError as DatabaseBusyError
    from ._errors import DatabaseClosedError as DatabaseClosedError
    from ._errors import DeadlockError as DeadlockError
    from ._errors import DecodeError as DecodeError
    from ._errors import DuplicateQueryError as DuplicateQueryError
    from ._errors import EncodingError as EncodingError
    from ._errors import ForeignKeyViolationError as ForeignKeyViolationError
    from ._errors import ForeignSchemaError as ForeignSchemaError
    from ._errors import InvalidCursorError as InvalidCursorError
    from ._errors import JsonFilterError as JsonFilterError
    from ._errors import ListenerLeaseLostError as ListenerLeaseLostError
    from ._errors import ListenerNotCurrentError as ListenerNotCurrentError
    from ._errors import ManualDispatchValidationError as ManualDispatchValidationError
    from ._errors import MethodNotAllowedError as MethodNotAllowedError
    from ._errors import MigrationError as MigrationError
    from ._errors import MigrationFailedError as MigrationFailedError
    from ._errors import NewerSchemaError as NewerSchemaError
    from ._errors import NotNullViolationError as NotNullViolationError
    from ._errors import OrcheoSqlError as OrcheoSqlError
    from ._errors import PendingMigrationsError as PendingMigrationsError
    from ._errors import PoolTimeoutError as PoolTimeoutError
    from ._errors import QueryError as QueryError
    from ._errors import RateLimitExceededError as RateLimitExceededError
    from ._errors import RepositoryError as RepositoryError
    from ._errors import RetryPolicyValidationError as RetryPolicyValidationError
    from ._errors import RunHistoryError as RunHistoryError
    from ._errors import RunHistoryNotFoundError as RunHistoryNotFoundError
    from ._errors import RunHistoryPayloadTooLargeError as RunHistoryPayloadTooLargeError
    from ._errors import RunHistoryTransitionError as RunHistoryTransitionError
    from ._errors import RunTransitionError as RunTransitionError
    from ._errors import SearchQueryError as SearchQueryError
    from ._errors import SerializationError as SerializationError
    from ._errors import ServiceTokenExistsError as ServiceTokenExistsError
    from ._errors import ServiceTokenNotFoundError as ServiceTokenNotFoundError
    from ._errors import ServiceTokenStateError as ServiceTokenStateError
    from ._errors import StatementTimeoutError as StatementTimeoutError
    from ._errors import StoreError as StoreError
    from ._errors import TransactionError as TransactionError
    from ._errors import TransientError as TransientError
    from ._errors import UniqueViolationError as UniqueViolationError
    from ._errors import UnknownQueryError as UnknownQueryError
    from ._errors import ValidationError as ValidationError
    from ._errors import WebhookAuthenticationError as WebhookAuthenticationError
    from ._errors import WebhookNotConfiguredError as WebhookNotConfiguredError
    from ._errors import WebhookValidationError as WebhookValidationError
    from ._errors import WorkflowHandleConflictError as WorkflowHandleConflictError
    from ._errors import WorkflowNotArchivedError as WorkflowNotArchivedError
    from ._errors import WorkflowNotFoundError as WorkflowNotFoundError
    from ._errors import WorkflowPublishStateError as WorkflowPublishStateError
    from ._errors import WorkflowRunNotFoundError as WorkflowRunNotFoundError
    from ._errors import WorkflowVersionNotFoundError as WorkflowVersionNotFoundError
    from ._filters import JsonFilter as JsonFilter
    from ._pages import Page as Page
    from ._transaction import Transaction as Transaction
    from .credentials import CredentialHealthReport as CredentialHealthReport
    from .credentials import CredentialHealthService as CredentialHealthService
    from .engines.base import DatabaseHealth as DatabaseHealth
    from .engines.base import PoolFigures as PoolFigures
    from .engines.base import QueryTiming as QueryTiming
    from .repositories.agentensor import AgentensorRepository as AgentensorRepository
    from .repositories.history import HistoryRepository as HistoryRepository
    from .repositories.snapshots import RunSnapshotRepository as RunSnapshotRepository
    from .repositories.tokens import ServiceTokenRepository as ServiceTokenRepository
    from .repositories.workflows import WorkflowRepository as WorkflowRepository
    from .settings import Settings as Settings
    from .settings import Subsystem as Subsystem
    from .settings import load_settings as load_settings
    from .structs import AgentensorCheckpoint as AgentensorCheckpoint
    from .structs import AuditEntry as AuditEntry
    from .structs import AuditRecord as AuditRecord
    from .structs import ChatKitStartScreenPrompt as ChatKitStartScreenPrompt
    from .structs import ChatKitSupportedModel as ChatKitSupportedModel
    from .structs import CronMisfirePolicy as CronMisfirePolicy
    from .structs import CronSchedule as CronSchedule
    from .structs import CronScheduleState as CronScheduleState
    from .structs import CronTriggerConfig as CronTriggerConfig
    from .structs import ListenerCursor as ListenerCursor
    from .structs import ListenerDedupeRecord as ListenerDedupeRecord
    from .structs import ListenerDispatchMessage as ListenerDispatchMessage
    from .structs import ListenerDispatchPayload as ListenerDispatchPayload
    from .structs import ListenerHealthSnapshot as ListenerHealthSnapshot
    from .structs import ListenerLease as ListenerLease
    from .structs import ListenerSubscription as ListenerSubscription
    from .structs import ListenerSubscriptionStatus as ListenerSubscriptionStatus
    from .structs import ManualDispatchItem as ManualDispatchItem
    from .structs import ManualDispatchRequest as ManualDispatchRequest
    from .structs import OutboxCounts as OutboxCounts
    from .structs import OutboxEntry as OutboxEntry
    from .structs import RateLimitConfig as RateLimitConfig
    from .structs import RetryDecision as RetryDecision
    from .structs import RetryPolicyConfig as RetryPolicyConfig
    from .structs import RunHistoryHit as RunHistoryHit
    from .structs import RunHistoryRecord as RunHistoryRecord
    from .structs import RunHistoryStatus as RunHistoryStatus
    from .structs import RunHistoryStep as RunHistoryStep
    from .structs import RunRetry as RunRetry
    from .structs import RunRetryStatus as RunRetryStatus
    from .structs import RunSnapshot as RunSnapshot
    from .structs import RunStatusCounts as RunStatusCounts
    from .structs import RunSummary as RunSummary
    from .structs import SavedRun as SavedRun
    from .structs import ServiceTokenAuditEntry as ServiceTokenAuditEntry
    from .structs import ServiceTokenRecord as ServiceTokenRecord
    from .structs import ServiceTokenStatus as ServiceTokenStatus
    from .structs import VersionDiff as VersionDiff
    from .structs import WebhookRequest as WebhookRequest
    from .structs import WebhookTriggerConfig as WebhookTriggerConfig
    from .structs import Workflow as Workflow
    from .structs import WorkflowChatKitConfig as WorkflowChatKitConfig
    from .structs import WorkflowDraftAccess as WorkflowDraftAccess
    from .structs import WorkflowRun as WorkflowRun
    from .structs import WorkflowRunStatus as WorkflowRunStatus
    from .structs import WorkflowSummary as WorkflowSummary
    from .structs import WorkflowVersion as WorkflowVersion
    from .tokens._manager import ServiceTokenManager as ServiceTokenManager
