"""Triggers and retry policies: what a client configures, and what it dispatches.

A config checks and normalises itself when it is made, so one that exists is valid. What was
stored by another release is read back by `from_stored`, which trusts it: rules bind writes.
"""

import functools
from collections.abc import Mapping
from copy import copy
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import Any, Self, cast, get_args
from uuid import UUID

import msgspec
from msgspec.structs import force_setattr

from orcheo_sql._errors import DecodeError
from orcheo_sql.structs.base import Record


class CronMisfirePolicy(StrEnum):
    """What to do about occurrences that came while nothing dispatched them."""

    SKIP = "skip"
    """Only the newest may fire, and only within `misfire_grace_seconds` of its time."""
    FIRE_ONCE = "fire_once"
    """The newest one fires, however late."""
    CATCH_UP = "catch_up"
    """The newest `max_catch_up` fire, in order."""


class _Checked(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A struct that replaces what it was given by what its rules make of it."""

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            force_setattr(self, name, value)

    def _checked(self) -> dict[str, Any]:
        raise NotImplementedError


class _Config(_Checked, frozen=True, kw_only=True):
    """A checked struct that is stored, with a default for every field."""

    @classmethod
    def from_stored(cls, fields: Mapping[str, Any]) -> Self:
        """Return a config with these values, of the right types but bound by no rule.

        Fields that this release does not know are ignored, missing ones have their default.
        """
        known = {name: fields[name] for name in cls.__struct_fields__ if name in fields}
        return cls._of(_stored_form(cls)(**known))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return a config from the JSON document that was stored, bound by no rule.

        Raises:
            DecodeError: a value is of another type.
        """
        try:
            stored = msgspec.convert(document, _stored_form(cls))
        except msgspec.ValidationError:
            return cls._from_doubtful(document)
        for name, inner in _inner_configs(cls):
            found = getattr(stored, name)
            if found is not None:
                setattr(stored, name, inner._of(found))  # noqa: SLF001 - one of these
        return cls._of(stored)

    @classmethod
    def _from_doubtful(cls, document: Mapping[str, Any]) -> Self:
        """Return a config from a document that does not fit as a whole: find the value that is to blame."""
        kinds, inner = _kinds(cls), dict(_inner_configs(cls))
        values = {}
        for name, value in document.items():
            if name not in kinds:
                continue
            try:
                if name in inner and isinstance(value, Mapping):
                    values[name] = inner[name].from_document(value)
                else:
                    values[name] = msgspec.convert(value, kinds[name])
            except msgspec.ValidationError as error:
                raise DecodeError(f"{cls.__name__}.{name}: {error}") from None
        return cls.from_stored(values)

    @classmethod
    def _of(cls, stored: msgspec.Struct) -> Self:
        config = cast("Self", copy(_default(cls)))  # rules look at what is made, not at copies
        for name in cls.__struct_fields__:
            force_setattr(config, name, getattr(stored, name))
        return config

    def _with(self, **values: Any) -> Self:
        """Return a copy with other values, bound by no rule."""
        config = copy(self)
        for name, value in values.items():
            force_setattr(config, name, value)
        return config


# What follows is the same for all configs of a class, and to find it out takes longer than to read one.


@functools.cache
def _default(cls: type[_Config]) -> _Config:
    return cls()


@functools.cache
def _kinds(cls: type[_Config]) -> dict[str, Any]:
    return {each.name: each.type for each in msgspec.structs.fields(cls)}


@functools.cache
def _inner_configs(cls: type[_Config]) -> tuple[tuple[str, type[_Config]], ...]:
    """Return the fields that are configs themselves, or None."""
    return tuple(
        (name, each)
        for name, kind in _kinds(cls).items()
        for each in get_args(kind)
        if isinstance(each, type) and issubclass(each, _Config)
    )


@functools.cache
def _stored_form(cls: type[_Config]) -> type[msgspec.Struct]:
    """Return a struct with the fields of a config and without its rules; what is missing has its default there."""
    kinds: dict[str, Any] = dict(_kinds(cls))
    kinds |= {name: _stored_form(inner) | None for name, inner in _inner_configs(cls)}
    defaults = msgspec.structs.asdict(_default(cls))
    return msgspec.defstruct(
        cls.__name__, [(name, kind, _own(defaults[name])) for name, kind in kinds.items()]
    )


def _own(default: Any) -> Any:
    """Return the default of a field; lists and dicts belong to one config alone."""
    if isinstance(default, list | dict):
        return msgspec.field(default_factory=lambda: copy(default))
    return default


class RateLimitConfig(_Config, frozen=True, kw_only=True):
    """How many calls of a webhook are accepted within any interval of this length."""

    limit: int = 60
    interval_seconds: int = 60

    def _checked(self) -> dict[str, Any]:
        from orcheo_sql.rules.webhooks import checked_rate_limit

        return checked_rate_limit(self)


class WebhookTriggerConfig(_Config, frozen=True, kw_only=True):
    """Which calls of a workflow's webhook are accepted, and what a run keeps of them.

    Secrets go in, and never come out: what a repository hands out has `has_shared_secret` and
    `has_hmac_secret` in their place. A config with such a flag but without the secret, which is
    what changing one that was handed out gives, means the secret that is already stored.
    """

    allowed_methods: list[str] = msgspec.field(default_factory=lambda: ["GET", "POST"])
    required_headers: dict[str, str] = msgspec.field(default_factory=dict)
    required_query_params: dict[str, str] = msgspec.field(default_factory=dict)
    shared_secret_header: str | None = None
    shared_secret: str | None = None
    hmac_header: str | None = None
    hmac_secret: str | None = None
    hmac_algorithm: str = "sha256"
    hmac_timestamp_header: str | None = None
    hmac_tolerance_seconds: int = 300
    rate_limit: RateLimitConfig | None = None
    kept_headers: list[str] | None = None
    """Names of the headers that a run keeps, and no others; None means those that
    docs/scheduling.md lists."""
    kept_query_params: list[str] | None = None
    """Names of the query parameters that a run keeps, and no others; None means those
    that docs/scheduling.md lists."""
    has_shared_secret: bool = False
    has_hmac_secret: bool = False

    def _checked(self) -> dict[str, Any]:
        from orcheo_sql.rules.webhooks import checked_webhook

        return checked_webhook(self)

    def without_secrets(self) -> Self:
        """Return the config as it is handed out."""
        return self._with(shared_secret=None, hmac_secret=None)

    def with_secrets(self, *, shared_secret: str | None, hmac_secret: str | None) -> Self:
        """Return the config with the stored secrets put back, as verification needs it."""
        return self._with(shared_secret=shared_secret, hmac_secret=hmac_secret)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = msgspec.structs.asdict(self)
        for name in ("shared_secret", "hmac_secret"):
            if fields[name] is not None:
                fields[name] = "***"
        return list(fields.items())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class WebhookRequest(_Checked, frozen=True, kw_only=True):
    """One call of a webhook, as received.

    `raw_body` is the body before anything decoded it: with it, signatures are verified over the
    very bytes that were signed. Without it they are verified over a re-encoding of `payload`.
    """

    method: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query_params: dict[str, str] = msgspec.field(default_factory=dict)
    payload: Any = None
    source_ip: str | None = None
    raw_body: bytes | None = None

    def _checked(self) -> dict[str, Any]:
        from orcheo_sql.rules.webhooks import checked_request

        return checked_request(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Any value may be a secret, and here nobody knows which; so names only, and no body.
        shown = [("method", self.method), ("headers", [*self.headers])]
        return [*shown, ("query_params", [*self.query_params]), ("source_ip", self.source_ip)]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class CronTriggerConfig(_Config, frozen=True, kw_only=True):
    """When a workflow runs by the clock.

    The random fields of an expression (``R``) are drawn here, once: `expression` then has what
    was drawn, since a schedule that every process draws anew names no occurrence.
    """

    expression: str = "0 * * * *"
    timezone: str = "UTC"
    allow_overlapping: bool = False
    start_at: datetime | None = None
    end_at: datetime | None = None
    misfire_policy: CronMisfirePolicy = CronMisfirePolicy.FIRE_ONCE
    misfire_grace_seconds: int = 300
    max_catch_up: int = 10

    def _checked(self) -> dict[str, Any]:
        from orcheo_sql.rules.cron import checked_cron

        return checked_cron(self)


class RetryPolicyConfig(_Config, frozen=True, kw_only=True):
    """How often and how soon a failed run is tried again; `max_attempts` counts the first try."""

    max_attempts: int = 3
    initial_delay_seconds: float = 30.0
    backoff_factor: float = 2.0
    max_delay_seconds: float | None = 300.0
    jitter_factor: float = 0.1

    def _checked(self) -> dict[str, Any]:
        from orcheo_sql.rules.retries import checked_retry_policy

        return checked_retry_policy(self)

    def compute_delay_seconds(
        self, *, attempt_index: int, random_state: Random | None = None
    ) -> float:
        """Return how long to wait after the failure with this index; the first one has 0."""
        from orcheo_sql.rules.retries import retry_delay_seconds

        return retry_delay_seconds(self, attempt_index, random_state)


class RetryDecision(Record, frozen=True):
    """That a run is to be tried again, and when."""

    retry_number: int
    scheduled_for: datetime
    delay_seconds: float


class ManualDispatchItem(_Checked, frozen=True, kw_only=True):
    """One run of a manual dispatch; without a version it is of the latest one."""

    workflow_version_id: UUID | None = None
    input_payload: dict[str, Any] = msgspec.field(default_factory=dict)

    def _checked(self) -> dict[str, Any]:
        from orcheo_sql.rules.manual import checked_item

        return checked_item(self)


class ManualDispatchRun(Record, frozen=True, kw_only=True):
    """One run of a manual dispatch, with the version it is of."""

    workflow_version_id: UUID
    input_payload: dict[str, Any]


class ManualDispatchRequest(_Checked, frozen=True, kw_only=True):
    """Runs of one workflow that somebody asks for: all of them are made, or none."""

    workflow_id: UUID
    actor: str = "manual"
    runs: list[ManualDispatchItem]
    label: str | None = None

    def _checked(self) -> dict[str, Any]:
        from orcheo_sql.rules.manual import checked_request

        return checked_request(self)

    def trigger_label(self) -> str:
        """Return what the runs have as `triggered_by`."""
        return self.label or ("manual" if len(self.runs) == 1 else "manual_batch")

    def resolve_runs(self, *, default_workflow_version_id: UUID) -> list[ManualDispatchRun]:
        """Return the runs in order, those without a version with the given one."""
        return [
            ManualDispatchRun(
                workflow_version_id=item.workflow_version_id or default_workflow_version_id,
                input_payload=item.input_payload,
            )
            for item in self.runs
        ]
