"""Retry policies: which are accepted, how long they wait, and when they give up."""

from __future__ import annotations

from datetime import timedelta
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import RetryPolicyValidationError
from orcheo_sql.rules._configs import MAX_INT, at_least, parse_config, require_number
from orcheo_sql.rules._zones import to_utc
from orcheo_sql.structs.triggers import RetryDecision, RetryPolicyConfig
from orcheo_sql.structs.workflows import WorkflowRunStatus

if TYPE_CHECKING:
    from datetime import datetime

MAX_DELAY_SECONDS = 366 * 86_400.0
"""The longest delay of any policy, also of one without `max_delay_seconds`."""

_NEVER_RETRIED = frozenset({WorkflowRunStatus.SUCCEEDED, WorkflowRunStatus.CANCELLED})


def parse_retry_policy(value: object, field: str = "retry policy") -> RetryPolicyConfig:
    """Return a retry policy from itself, a mapping, or a model that offers ``model_dump``."""
    return parse_config(value, field, RetryPolicyConfig)


def checked_retry_policy(config: RetryPolicyConfig) -> dict[str, Any]:
    """Return the fields of a policy, checked."""
    longest = config.max_delay_seconds
    return {
        "max_attempts": at_least(config.max_attempts, "max_attempts", 1),
        "initial_delay_seconds": require_number(
            config.initial_delay_seconds, "initial_delay_seconds", 0
        ),
        "backoff_factor": require_number(config.backoff_factor, "backoff_factor", 1),
        "max_delay_seconds": (
            None if longest is None else require_number(longest, "max_delay_seconds", 0)
        ),
        "jitter_factor": require_number(config.jitter_factor, "jitter_factor", 0, 1),
    }


def retry_delay_seconds(
    config: RetryPolicyConfig, attempt_index: int, random_state: Random | None = None
) -> float:
    """Return the delay after the failure with this index; never more than the policy's maximum.

    The delay is capped before jitter too, so that delays at the cap still differ.
    """
    if isinstance(attempt_index, bool) or not isinstance(attempt_index, int) or attempt_index < 0:
        raise RetryPolicyValidationError("attempt_index must be non-negative")
    cap = MAX_DELAY_SECONDS
    if config.max_delay_seconds is not None:
        cap = min(cap, config.max_delay_seconds)
    delay = min(_grown(config, attempt_index), cap)
    spread = delay * config.jitter_factor
    if spread:
        delay += (random_state or SystemRandom()).uniform(-spread, spread)
    return min(max(delay, 0.0), cap)


def decide_retry(
    config: RetryPolicyConfig,
    *,
    decisions: int,
    failed_at: datetime,
    status: WorkflowRunStatus = WorkflowRunStatus.FAILED,
    random_state: Random | None = None,
) -> RetryDecision | None:
    """Return the next retry of a run that had this many decisions; None when there is none.

    A run that succeeded or was cancelled has none. One that has not ended has, because clients
    ask before they mark a run as failed.
    """
    if status in _NEVER_RETRIED or decisions >= config.max_attempts - 1:
        return None
    delay = retry_delay_seconds(config, decisions, random_state)
    try:
        scheduled_for = to_utc(failed_at) + timedelta(seconds=delay)
    except OverflowError:
        raise RetryPolicyValidationError("failed_at is too far from now to add a delay") from None
    return RetryDecision(
        retry_number=decisions + 1, scheduled_for=scheduled_for, delay_seconds=delay
    )


def _grown(config: RetryPolicyConfig, attempt_index: int) -> float:
    if not config.initial_delay_seconds:
        return 0.0
    try:
        growth = config.backoff_factor ** min(attempt_index, MAX_INT)
    except OverflowError:
        return MAX_DELAY_SECONDS
    return config.initial_delay_seconds * growth
