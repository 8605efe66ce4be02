"""Errors of triggers and retries.

What a client sent wrongly is a ValidationError; what the state of a workflow forbids is a
RepositoryError. The `status_code` of a webhook error is the HTTP answer that it stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql._errors import RepositoryError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID


class CronValidationError(ValidationError):
    """A cron trigger that can't be scheduled."""


class CronOverlapError(RepositoryError):
    """The schedule forbids overlap and its last run has not ended."""

    def __init__(self, message: str = "Cron trigger already has an active run"):
        super().__init__(message)


class CronTriggerNotFoundError(RepositoryError):
    """The workflow has no cron trigger."""

    def __init__(self, workflow_id: UUID | str):
        super().__init__(f"No cron trigger configured for workflow {workflow_id}")


class ManualDispatchValidationError(ValidationError):
    """A manual dispatch that breaks a rule."""


class RetryPolicyValidationError(ValidationError):
    """A retry policy, or a question to it, that breaks a rule."""


class WebhookValidationError(ValidationError):
    """A webhook config or call that breaks a rule; `status_code` is 400 unless a subclass says so."""

    def __init__(self, message: str, *, status_code: int = 400):
        super().__init__(message)
        self.status_code = status_code


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
