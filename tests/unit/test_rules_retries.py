"""Retry policies: accepted configs, delays, decisions."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcheo_sql._errors import RetryPolicyValidationError, ValidationError
from orcheo_sql.rules.retries import MAX_DELAY_SECONDS, decide_retry, parse_retry_policy
from orcheo_sql.structs.triggers import RetryDecision, RetryPolicyConfig
from orcheo_sql.structs.workflows import WorkflowRunStatus

FAILED_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def policy(**fields: Any) -> RetryPolicyConfig:
    return RetryPolicyConfig(**({"jitter_factor": 0} | fields))


def test_the_reference_value() -> None:
    config = RetryPolicyConfig(initial_delay_seconds=8.0, jitter_factor=0.5)
    delay = config.compute_delay_seconds(attempt_index=0, random_state=Random(7))
    assert delay == 6.590662118665299


def test_delays_grow_up_to_the_cap() -> None:
    delays = [policy().compute_delay_seconds(attempt_index=index) for index in range(6)]
    assert delays == [30, 60, 120, 240, 300, 300]
    uncapped = policy(max_delay_seconds=None)
    assert uncapped.compute_delay_seconds(attempt_index=5) == 960


@pytest.mark.parametrize("index", [1000, 100_000, 10**400])
def test_a_large_index_is_only_late(index: int) -> None:
    assert policy().compute_delay_seconds(attempt_index=index) == 300
    uncapped = policy(max_delay_seconds=None)
    assert uncapped.compute_delay_seconds(attempt_index=index) == MAX_DELAY_SECONDS
    constant = policy(backoff_factor=1)
    assert constant.compute_delay_seconds(attempt_index=index) == 30
    assert policy(initial_delay_seconds=0).compute_delay_seconds(attempt_index=index) == 0


@settings(deadline=None)
@given(
    st.floats(0, 1e308),
    st.floats(1, 1e308),
    st.none() | st.floats(0, 1e308),
    st.floats(0, 1),
    st.integers(0, 10**9),
    st.integers(),
)
def test_delays_stay_within_the_cap_whatever_the_jitter(
    initial: float, factor: float, cap: float | None, jitter: float, index: int, seed: int
) -> None:
    config = RetryPolicyConfig(
        initial_delay_seconds=initial,
        backoff_factor=factor,
        max_delay_seconds=cap,
        jitter_factor=jitter,
    )
    for random_state in (Random(seed), None):
        delay = config.compute_delay_seconds(attempt_index=index, random_state=random_state)
        assert 0 <= delay <= (MAX_DELAY_SECONDS if cap is None else cap)


def test_delays_at_the_cap_still_differ() -> None:
    config, random_state = RetryPolicyConfig(), Random(1)
    delays = {
        config.compute_delay_seconds(attempt_index=9, random_state=random_state) for _ in range(20)
    }
    assert len(delays) > 5
    assert 270 <= min(delays) <= max(delays) == 300


@pytest.mark.parametrize("index", [-1, True, 1.0, None])
def test_an_index_counts_from_zero(index: Any) -> None:
    with pytest.raises(RetryPolicyValidationError, match="attempt_index must be non-negative"):
        policy().compute_delay_seconds(attempt_index=index)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"max_attempts": 0}, "max_attempts must be a whole number from 1"),
        ({"max_attempts": True}, "max_attempts must be a whole number"),
        (
            {"initial_delay_seconds": -1},
            "initial_delay_seconds must be a finite number of at least 0",
        ),
        ({"initial_delay_seconds": math.nan}, "initial_delay_seconds must be a finite number"),
        ({"initial_delay_seconds": math.inf}, "initial_delay_seconds must be a finite number"),
        ({"initial_delay_seconds": 10**400}, "initial_delay_seconds must be a finite number"),
        ({"backoff_factor": 0.99}, "backoff_factor must be a finite number of at least 1"),
        ({"backoff_factor": "2"}, "backoff_factor must be a finite number"),
        ({"max_delay_seconds": -0.1}, "max_delay_seconds must be a finite number"),
        ({"jitter_factor": 1.1}, "jitter_factor must be a finite number from 0 to 1"),
        ({"jitter_factor": True}, "jitter_factor must be a finite number"),
    ],
)
def test_policies_are_checked(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        RetryPolicyConfig(**fields)


def test_policies_come_as_mappings_or_themselves() -> None:
    config = RetryPolicyConfig(max_attempts=5, initial_delay_seconds=1)
    assert isinstance(config.initial_delay_seconds, float)
    assert parse_retry_policy(config) is config
    assert parse_retry_policy({"max_attempts": 5, "initial_delay_seconds": 1}) == config
    assert parse_retry_policy({}) == RetryPolicyConfig()
    with pytest.raises(ValidationError, match="retry policy has unknown fields: 'tries'"):
        parse_retry_policy({"tries": 5})


def test_decisions_end_with_the_attempts() -> None:
    config = policy()
    first = decide_retry(config, decisions=0, failed_at=FAILED_AT)
    assert first == RetryDecision(1, FAILED_AT + timedelta(seconds=30), 30.0)
    second = decide_retry(config, decisions=1, failed_at=FAILED_AT.replace(tzinfo=None))
    assert second == RetryDecision(2, FAILED_AT + timedelta(seconds=60), 60.0)
    assert decide_retry(config, decisions=2, failed_at=FAILED_AT) is None
    assert decide_retry(policy(max_attempts=1), decisions=0, failed_at=FAILED_AT) is None


def test_decisions_are_for_runs_that_did_not_end_well() -> None:
    given_to = {
        status
        for status in WorkflowRunStatus
        if decide_retry(policy(), decisions=0, failed_at=FAILED_AT, status=status)
    }
    assert given_to == {"pending", "running", "failed"}


def test_a_failure_at_the_end_of_time_is_refused() -> None:
    with pytest.raises(RetryPolicyValidationError, match="failed_at is too far"):
        decide_retry(policy(), decisions=0, failed_at=datetime.max)  # noqa: DTZ901
