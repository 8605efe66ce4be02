"""Every error this library raises, in one tree.

::

    OrcheoSqlError
    ├─ ConfigError                    ValueError    a setting is wrong; names variable, value, what is allowed
    ├─ ValidationError                ValueError    an argument breaks a rule of the domain
    │  ├─ InvalidCursorError          a page cursor that this list did not hand out
    │  ├─ SearchQueryError            a search text without anything to look for
    │  ├─ JsonFilterError             a JSON filter that is not one
    │  ├─ EncodingError               TypeError     a value of a type that has no JSON form
    │  ├─ CronValidationError         a schedule that can't be kept
    │  ├─ ManualDispatchValidationError
    │  ├─ RetryPolicyValidationError
    │  └─ WebhookValidationError      a webhook config, or a call that is refused; .status_code is HTTP's
    │     ├─ WebhookNotConfiguredError        404
    │     ├─ MethodNotAllowedError            405
    │     ├─ WebhookAuthenticationError       401
    │     └─ RateLimitExceededError           429
    ├─ QueryError                     load time; names file and line
    │  ├─ DuplicateQueryError
    │  ├─ ContractMismatchError       a query does not fit its contract (parameters, operator, columns, struct)
    │  └─ UnknownQueryError
    ├─ MigrationError                 names what to do next
    │  ├─ PendingMigrationsError      auto-migrate is off and the schema is behind
    │  ├─ ChecksumMismatchError       an applied migration was edited
    │  ├─ NewerSchemaError            the database was written by a newer library
    │  ├─ ForeignSchemaError          a database in the layout of the older product
    │  └─ MigrationFailedError        one migration failed and was rolled back; names file and line
    ├─ AuthenticationError            a bearer token is refused; .code, .status_code and .websocket_code say how
    │  └─ AuthorizationError          it is good, but not for this
    ├─ DatabaseClosedError            it is not open, or open in another event loop
    ├─ TransactionError               a unit of work was used in a way that can't be kept
    │  └─ CrossDatabaseError          one unit of work, two databases
    ├─ StoreError                     run time; carries .query and .dialect, the driver error is __cause__
    │  ├─ ConflictError               .constraint names it
    │  │  ├─ UniqueViolationError
    │  │  ├─ ForeignKeyViolationError
    │  │  ├─ CheckViolationError
    │  │  └─ NotNullViolationError
    │  ├─ TransientError              safe to try again
    │  │  ├─ DatabaseBusyError        the database did not answer within its lock timeout
    │  │  ├─ DeadlockError
    │  │  ├─ SerializationError
    │  │  ├─ PoolTimeoutError         no connection became free in time
    │  │  └─ ConnectionLostError
    │  ├─ StatementTimeoutError
    │  └─ DecodeError                 a stored value does not fit its struct; never shows the value
    └─ RepositoryError                RuntimeError  a rule of one subsystem
       ├─ WorkflowNotFoundError
       ├─ WorkflowVersionNotFoundError
       ├─ WorkflowRunNotFoundError
       ├─ WorkflowPublishStateError
       ├─ WorkflowNotArchivedError    only an archived workflow can be deleted
       ├─ WorkflowHandleConflictError
       ├─ RunTransitionError          also ValueError
       ├─ CredentialHealthError
       ├─ RunHistoryError             a history begun twice
       │  ├─ RunHistoryNotFoundError
       │  ├─ RunHistoryTransitionError   the execution has ended already
       │  └─ RunHistoryPayloadTooLargeError
       ├─ AgentensorCheckpointNotFoundError
       ├─ AgentensorVersionConflictError  the version given is taken
       ├─ CronTriggerNotFoundError
       ├─ CronOverlapError            the schedule's last run has not ended
       ├─ ServiceTokenNotFoundError   also KeyError
       ├─ ServiceTokenExistsError     its identifier, or its hash, is taken
       ├─ ServiceTokenStateError      it is revoked, expired or rotated, so this can't be done to it
       ├─ ListenerNotCurrentError     a subscription that a newer version has replaced
       └─ ListenerLeaseLostError      a runtime acted on a lease that it no longer holds

Names, bases and texts below `RepositoryError` are those that clients of the workflow repository already handle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID


class OrcheoSqlError(Exception):
    """Root of every error raised by this library."""


class ConfigError(OrcheoSqlError, ValueError):
    """A setting has a value that can't be used."""


class ValidationError(OrcheoSqlError, ValueError):
    """An argument breaks a rule of the domain."""


class InvalidCursorError(ValidationError):
    """A page cursor that the list it was given to did not hand out."""


class SearchQueryError(ValidationError):
    """A search text that names nothing to look for."""


class JsonFilterError(ValidationError):
    """A JSON filter that is malformed."""


class EncodingError(ValidationError, TypeError):
    """A value of a type that has no JSON form."""


class CronValidationError(ValidationError):
    """A cron trigger that can't be scheduled."""


class ManualDispatchValidationError(ValidationError):
    """A manual dispatch that breaks a rule."""


class RetryPolicyValidationError(ValidationError):
    """A retry policy, or a question to it, that breaks a rule."""


class WebhookValidationError(ValidationError):
    """A webhook config or call that breaks a rule; `status_code` is 400 unless a subclass says so."""

    def __init__(self, message: str, *, status_code: int = 400):
        super().__init__(message)
        self.status_code = status_code


class WebhookNotConfiguredError(WebhookValidationError):
    """The workflow has no webhook: one is off until it is configured."""

    def __init__(self, workflow_id: UUID | str):
        super().__init__(
            f"No webhook trigger configured for workflow {workflow_id}", status_code=404
        )


class MethodNotAllowedError(WebhookValidationError):
    """The webhook does not take calls with this HTTP method."""

    def __init__(self, method: str, allowed: Iterable[str]):
        names = ", ".join(sorted(allowed)) or "none"
        super().__init__(
            f"Method {method.upper()} not allowed. Allowed methods: {names}", status_code=405
        )


class WebhookAuthenticationError(WebhookValidationError):
    """The call did not prove who sent it; the text never says what was wrong."""

    def __init__(self) -> None:
        super().__init__("Invalid webhook authentication credentials", status_code=401)


class RateLimitExceededError(WebhookValidationError):
    """The webhook has accepted as many calls as its rate limit allows."""

    def __init__(self, limit: int, interval_seconds: int):
        super().__init__(
            f"Webhook rate limit exceeded. Limit: {limit} requests per {interval_seconds} seconds",
            status_code=429,
        )


class QueryError(OrcheoSqlError):
    """A problem in the SQL trees, found while they are loaded; the text begins with ``file:line``."""


class DuplicateQueryError(QueryError):
    """Two queries of one folder have the same name."""


class ContractMismatchError(QueryError):
    """A query does not have the parameters, operator, columns or types that its callers rely on."""


class UnknownQueryError(QueryError):
    """No query has this name."""


class MigrationError(OrcheoSqlError):
    """The schema can't be brought to, or trusted at, the version this library needs."""


class PendingMigrationsError(MigrationError):
    """The schema is older than the library and ``ORCHEO_AUTO_MIGRATE`` is off."""


class ChecksumMismatchError(MigrationError):
    """A migration that was already applied has been edited since."""


class NewerSchemaError(MigrationError):
    """The database has migrations that this library does not know."""


class ForeignSchemaError(MigrationError):
    """The database is in the layout of the older product, which is never altered."""


class MigrationFailedError(MigrationError):
    """A migration failed; nothing of it was kept. Earlier ones of the same call stay applied."""


class AuthenticationError(OrcheoSqlError):
    """A bearer token was refused; `code` says why to programs, `status_code` and `websocket_code` to protocols."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "auth.invalid_token",
        status_code: int = 401,
        headers: Mapping[str, str] | None = None,
        websocket_code: int = 4401,
    ):
        super().__init__(message)
        self.message = message
        self.code = code
        self.status_code = status_code
        self.headers = headers
        self.websocket_code = websocket_code


class AuthorizationError(AuthenticationError):
    """The bearer is known and may not do this."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "auth.forbidden",
        status_code: int = 403,
        headers: Mapping[str, str] | None = None,
        websocket_code: int = 4403,
    ):
        super().__init__(
            message,
            code=code,
            status_code=status_code,
            headers=headers,
            websocket_code=websocket_code,
        )


class DatabaseClosedError(OrcheoSqlError):
    """The database is not open: not yet, not any more, or in another event loop only."""


class TransactionError(OrcheoSqlError):
    """A unit of work was used in a way that can't be kept."""


class CrossDatabaseError(TransactionError):
    """One unit of work touched subsystems that live in two databases."""


class StoreError(OrcheoSqlError):
    """A statement failed. `query` is its dotted name, `dialect` where it ran."""

    def __init__(self, message: str, *, query: str | None = None, dialect: str | None = None):
        super().__init__(message)
        self.query = query
        self.dialect = dialect


class ConflictError(StoreError):
    """A constraint of the schema refused the write; `constraint` is its name where the engine tells it."""

    def __init__(
        self,
        message: str,
        *,
        query: str | None = None,
        dialect: str | None = None,
        constraint: str | None = None,
    ):
        super().__init__(message, query=query, dialect=dialect)
        self.constraint = constraint


class UniqueViolationError(ConflictError):
    """A value that must be unique is already there."""


class ForeignKeyViolationError(ConflictError):
    """A row refers to one that does not exist, or is still referred to."""


class CheckViolationError(ConflictError):
    """A value breaks a CHECK of the schema."""


class NotNullViolationError(ConflictError):
    """A required value is missing."""


class TransientError(StoreError):
    """The statement failed for a passing reason; the unit of work may be tried again."""


class DatabaseBusyError(TransientError):
    """The database stayed locked longer than the lock timeout."""


class DeadlockError(TransientError):
    """The server ended this transaction to resolve a deadlock."""


class SerializationError(TransientError):
    """The transaction could not be ordered among concurrent ones."""


class PoolTimeoutError(TransientError):
    """No pooled connection became free within the pool timeout."""


class ConnectionLostError(TransientError):
    """The connection to the server was lost, or could not be made."""


class StatementTimeoutError(StoreError):
    """The statement ran longer than the statement timeout."""


class DecodeError(StoreError):
    """A stored value does not fit the struct it fills. Names query and column, never the value."""


class RepositoryError(OrcheoSqlError, RuntimeError):
    """A rule of one subsystem was broken."""


class WorkflowNotFoundError(RepositoryError):
    """No such workflow; the text is its id, or the normalised reference."""


class WorkflowVersionNotFoundError(RepositoryError):
    """No such version; the text is its id, ``v{n}`` or ``latest``."""


class WorkflowRunNotFoundError(RepositoryError):
    """No such run; the text is its id."""


class WorkflowNotArchivedError(RepositoryError):
    """The workflow is not archived, and only then can be deleted; the text is its id."""


class WorkflowPublishStateError(RepositoryError):
    """Publishing what is public, or revoking what is not."""


class WorkflowHandleConflictError(RepositoryError):
    """The handle belongs to another workflow."""


class RunTransitionError(RepositoryError, ValueError):
    """The run is not in a state from which this transition is allowed."""


class CredentialHealthError(RepositoryError):
    """The workflow's credentials are unhealthy; `report` says why."""

    def __init__(self, report: Any):
        failures: Sequence[str] = report.failures
        reason = "; ".join(failures) if failures else "unknown reason"
        super().__init__(f"Workflow {report.workflow_id} has unhealthy credentials: {reason}")
        self.report = report


class CronTriggerNotFoundError(RepositoryError):
    """The workflow has no cron trigger."""

    def __init__(self, workflow_id: UUID | str):
        super().__init__(f"No cron trigger configured for workflow {workflow_id}")


class CronOverlapError(RepositoryError):
    """The schedule forbids overlap and its last run has not ended."""

    def __init__(self, message: str = "Cron trigger already has an active run"):
        super().__init__(message)


class ServiceTokenNotFoundError(RepositoryError, KeyError):
    """No service token has this identifier."""

    def __init__(self, identifier: str):
        super().__init__(identifier)
        self.identifier = identifier

    def __str__(self) -> str:
        """Return a sentence, where a KeyError would show its bare key."""
        return f"Service token {self.identifier!r} not found"


class ServiceTokenExistsError(RepositoryError):
    """There is a service token with this identifier, or with this very hash."""

    def __init__(self, identifier: str, *, by_hash: bool = False):
        super().__init__(
            f"The hash of service token {identifier!r} is another token's already"
            if by_hash
            else f"Service token {identifier!r} exists already"
        )
        self.identifier = identifier


class ServiceTokenStateError(RepositoryError):
    """The service token is revoked, expired or rotated, so this can't be done to it."""


class ListenerNotCurrentError(RepositoryError):
    """The subscription is not its listener's any more: a newer version has replaced it, or its workflow is archived."""


class ListenerLeaseLostError(RepositoryError):
    """The lease has expired or was taken over; nothing was changed."""


class RunHistoryError(RepositoryError):
    """The history of an execution can't be written so; begun twice, if it is no subclass."""


class RunHistoryNotFoundError(RunHistoryError):
    """No such history."""

    def __init__(self, execution_id: str):
        super().__init__(f"History not found for execution_id={execution_id}")


class RunHistoryTransitionError(RunHistoryError):
    """The execution has ended already, in another way."""

    def __init__(self, execution_id: str, status: str):
        super().__init__(f"History has ended already for execution_id={execution_id}: {status}")


class RunHistoryPayloadTooLargeError(RunHistoryError):
    """A document of a history is larger than ``ORCHEO_HISTORY_MAX_PAYLOAD_BYTES``."""

    def __init__(self, name: str, max_bytes: int):
        super().__init__(
            f"{name} is larger than {max_bytes} bytes, the limit set by ORCHEO_HISTORY_MAX_PAYLOAD_BYTES"
        )


class AgentensorCheckpointNotFoundError(RepositoryError):
    """No such training checkpoint."""

    def __init__(self, checkpoint_id: object):
        super().__init__(f"Checkpoint {str(checkpoint_id)!r} not found.")


class AgentensorVersionConflictError(RepositoryError):
    """The workflow has a training checkpoint with this version."""

    def __init__(self, workflow_id: str, version: int | None):
        super().__init__(
            f"Workflow {workflow_id!r} has a checkpoint with version {version} already."
        )


# Tracebacks and logs show the names under which clients import them.
for _error in [kind for kind in globals().values() if isinstance(kind, type)]:
    if issubclass(_error, OrcheoSqlError):
        _error.__module__ = "orcheo_sql"
del _error
