"""Webhooks in plain Python."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.state_machine.model_schedules import Schedules
from tests.state_machine.model_tables import Row
from tests.state_machine.model_values import Refused, record, text_of

if TYPE_CHECKING:
    from uuid import UUID

DEFAULT_WEBHOOK: Row = {
    "allowed_methods": ["GET", "POST"], "required_headers": {}, "required_query_params": {},
    "shared_secret_header": None, "shared_secret": None, "hmac_header": None, "hmac_secret": None,
    "hmac_algorithm": "sha256", "hmac_timestamp_header": None, "hmac_tolerance_seconds": 300, "rate_limit": None,
    "kept_headers": None, "kept_query_params": None, "has_shared_secret": False, "has_hmac_secret": False,
}  # fmt: skip
# Of the names that the machine uses, those that a run keeps unless it is told.
KEPT_HEADERS = ("content-type",)
KEPT_PARAMS = ()


class Webhooks(Schedules):
    """Which calls start runs."""

    def configure_webhook_trigger(
        self, workflow_id: UUID, config: Row, *, actor: str = "system"
    ) -> Row:
        new = _normalised(config)
        text_of(actor, "actor")
        self.get_workflow(workflow_id)
        old = self.tables.webhooks.get(workflow_id)
        for kind in ("shared", "hmac"):
            secret, flag = f"{kind}_secret", f"has_{kind}_secret"
            if new[flag] and new[secret] is None:
                new[secret] = old and old["config"][secret]
                if new[secret] is None:
                    raise _refusal(f"{secret} must be provided: none is stored")
        if old is None or old["config"] != new:
            keeps = old is not None and old["config"]["rate_limit"] == new["rate_limit"]
            places = old["places"] if old and keeps else ()
            self.tables.webhooks[workflow_id] = {"config": new, "places": places}
            self._note(workflow_id, actor, "webhook_trigger_configured")
        return self.get_webhook_trigger_config(workflow_id)

    def get_webhook_trigger_config(self, workflow_id: UUID) -> Row:
        """Secrets go in, and never come out."""
        self.get_workflow(workflow_id)
        stored = self.tables.webhooks.get(workflow_id, {"config": DEFAULT_WEBHOOK})
        return {**stored["config"], "shared_secret": None, "hmac_secret": None}

    def delete_webhook_trigger(self, workflow_id: UUID, *, actor: str = "system") -> None:
        text_of(actor, "actor")
        self.get_workflow(workflow_id)
        if self.tables.webhooks.pop(workflow_id, None):
            signatures = self.tables.signatures.items()
            self.tables.signatures = {k: until for k, until in signatures if k[0] != workflow_id}
            self._note(workflow_id, actor, "webhook_trigger_deleted")

    def handle_webhook_trigger(
        self,
        workflow_id: UUID,
        *,
        method: str,
        headers: dict[str, str],
        query_params: dict[str, str],
        payload: Any,
        source_ip: str | None,
        raw_body: bytes | None = None,
        credentials_checked: bool = False,
    ) -> Row:
        self._active(workflow_id)
        webhook = self.tables.webhooks.get(workflow_id)
        if webhook is None:
            text = f"No webhook trigger configured for workflow {workflow_id}"
            raise Refused("WebhookNotConfiguredError", text)
        version = self._latest(workflow_id)
        if version is None:
            raise Refused("WorkflowVersionNotFoundError", "latest")
        if self.gate and not credentials_checked:
            self._check_credentials(workflow_id)
        config, now = webhook["config"], self.now()
        headers = {name.lower(): value for name, value in headers.items()}
        _check_method(config, method.upper())
        _check_required(config["required_headers"], headers, "header")
        _check_required(config["required_query_params"], query_params, "query parameter")
        signature = None
        if config["hmac_secret"]:
            body = _body(payload) if raw_body is None else raw_body
            signature = _signature(config, headers, body, now)
        secret = headers.get(config["shared_secret_header"])
        if config["shared_secret"] and secret != config["shared_secret"]:
            raise _unauthorised()
        run_id = self.new_id()
        if signature:
            digest, until = signature
            seen_until = self.tables.signatures.get((workflow_id, digest), now)
            if seen_until is None or seen_until > now:
                raise _unauthorised()
        if config["rate_limit"]:
            places = _take_place(webhook["places"], config["rate_limit"], now)
            self.tables.webhooks[workflow_id] = {**webhook, "places": places}
        if signature:
            self.tables.signatures[workflow_id, digest] = until
        if isinstance(payload, bytes):
            payload = {"raw": payload.decode("utf-8", "replace")}
        given = {
            "body": payload,
            "headers": _kept_headers(config, headers),
            "query_params": _kept_params(config, query_params),
            "source_ip": source_ip,
        }
        return self._hand_off(version, "webhook", record(given), run_id=run_id)

    def prune_webhook_signatures(self, *, now: datetime | None = None, limit: int = 1000) -> int:
        until = now or self.now()
        signatures = self.tables.signatures
        gone = [key for key, expiry in signatures.items() if expiry is not None and expiry <= until]
        gone = sorted(gone, key=lambda key: signatures[key] or until)[:limit]
        for key in gone:
            del signatures[key]
        return len(gone)


def _normalised(config: Row) -> Row:
    new = {**DEFAULT_WEBHOOK, **config}
    new["allowed_methods"] = sorted({method.upper() for method in new["allowed_methods"]})
    new["required_headers"] = {k.lower(): v for k, v in new["required_headers"].items()}
    for key in ("shared_secret_header", "hmac_header", "hmac_timestamp_header"):
        new[key] = new[key] and new[key].lower()
    if new["rate_limit"]:
        new["rate_limit"] = {"limit": 60, "interval_seconds": 60, **new["rate_limit"]}
    if new["kept_headers"] is not None:
        new["kept_headers"] = sorted({name.lower() for name in new["kept_headers"]})
    if new["kept_query_params"] is not None:
        new["kept_query_params"] = sorted(set(new["kept_query_params"]))
    for kind in ("shared", "hmac"):
        new[f"has_{kind}_secret"] |= new[f"{kind}_secret"] is not None
    if new["shared_secret_header"] and not new["has_shared_secret"]:
        raise _refusal("shared_secret must be provided when shared_secret_header is set")
    if new["has_shared_secret"] and not new["shared_secret_header"]:
        raise _refusal("shared_secret_header is required when shared_secret is provided")
    if bool(new["hmac_header"]) != new["has_hmac_secret"]:
        raise _refusal("hmac_header and hmac_secret must be configured together")
    return new


def _refusal(text: str) -> Refused:
    return Refused("WebhookValidationError", text)


def _unauthorised() -> Refused:
    return Refused("WebhookAuthenticationError", "Invalid webhook authentication credentials")


def _check_method(config: Row, method: str) -> None:
    if method not in config["allowed_methods"]:
        allowed = ", ".join(config["allowed_methods"])
        text = f"Method {method} not allowed. Allowed methods: {allowed}"
        raise Refused("MethodNotAllowedError", text)


def _check_required(expected: dict[str, str], received: dict[str, str], what: str) -> None:
    for name, value in expected.items():
        if received.get(name) != value:
            raise _refusal(f"Missing or invalid required {what}: {name}")


def _signature(
    config: Row, headers: dict[str, str], body: bytes, now: datetime
) -> tuple[str, datetime | None]:
    """Return what to remember of a signature, and until when."""
    claimed = headers.get(config["hmac_header"], "").strip()
    key, _, value = claimed.partition("=")
    claimed = value if key in ("sha256", "v1") else claimed
    tolerance, until = config["hmac_tolerance_seconds"], None
    if config["hmac_timestamp_header"]:
        text = headers.get(config["hmac_timestamp_header"], "")
        if not text.isdecimal():
            raise _unauthorised()
        body = f"{text}.".encode() + body
        if tolerance and abs(now.timestamp() - int(text)) > tolerance:
            raise _unauthorised()
        if tolerance:
            until = datetime.fromtimestamp(int(text), UTC) + timedelta(seconds=tolerance + 60)
    expected = hmac.new(config["hmac_secret"].encode(), body, config["hmac_algorithm"])
    if claimed.lower() != expected.hexdigest():
        raise _unauthorised()
    return hashlib.sha256(expected.digest()).hexdigest(), until


def _body(payload: Any) -> bytes:
    if payload is None or isinstance(payload, bytes):
        return payload or b""
    if isinstance(payload, str):
        return payload.encode()
    return json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()


def _take_place(places: tuple[datetime, ...], limit: Row, now: datetime) -> tuple[datetime, ...]:
    """Use the place that has been free longest, or another one, if there may be more."""
    counted_from = now - timedelta(seconds=limit["interval_seconds"])
    used = sorted(places)
    if used and used[0] < counted_from:
        return (*used[1:], now)
    if len(used) < limit["limit"]:
        return (*used, now)
    text = "Webhook rate limit exceeded. Limit: {limit} requests per {interval_seconds} seconds"
    raise Refused("RateLimitExceededError", text.format(**limit))


def _kept_headers(config: Row, headers: dict[str, str]) -> dict[str, str]:
    kept = config["kept_headers"]
    kept = KEPT_HEADERS if kept is None else kept
    secret = (config["shared_secret_header"], config["hmac_header"])
    return {name: v for name, v in headers.items() if name in kept and name not in secret}


def _kept_params(config: Row, params: dict[str, str]) -> dict[str, str]:
    kept = config["kept_query_params"]
    kept = KEPT_PARAMS if kept is None else kept
    return {name: value for name, value in params.items() if name in kept}
