"""Webhooks: accepted configs, accepted calls, what runs keep, and what hostile calls get."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.pretty import pretty_repr

from orcheo_sql._errors import (
    MethodNotAllowedError,
    RateLimitExceededError,
    ValidationError,
    WebhookAuthenticationError,
    WebhookValidationError,
)
from orcheo_sql.rules._webhook_signature import HMAC_ALGORITHMS
from orcheo_sql.rules.webhooks import (
    KEPT_HEADERS,
    KEPT_QUERY_PARAMS,
    WebhookAcceptance,
    check_webhook_history,
    parse_webhook_config,
    validate_webhook,
)
from orcheo_sql.structs.triggers import RateLimitConfig, WebhookRequest, WebhookTriggerConfig
from orcheo_sql.structs.webhook_rows import StoredWebhook

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
SECRET = "s3cret-ß"
SIGNED = WebhookTriggerConfig(hmac_header="X-Signature", hmac_secret=SECRET)
TIMED = WebhookTriggerConfig(
    hmac_header="X-Signature", hmac_secret=SECRET, hmac_timestamp_header="X-Timestamp"
)
SHARED = WebhookTriggerConfig(shared_secret_header="X-Token", shared_secret=SECRET)


def call(method: str = "POST", **fields: Any) -> WebhookRequest:
    return WebhookRequest(method=method, **fields)


def accept(config: WebhookTriggerConfig, request: WebhookRequest) -> WebhookAcceptance:
    return validate_webhook(config, request, received_at=NOW)


def sign(body: bytes, *, algorithm: str = "sha256", epoch: int | None = None) -> str:
    signed = body if epoch is None else f"{epoch}.".encode() + body
    return hmac.new(SECRET.encode(), signed, algorithm).hexdigest()


def signed_call(**headers: str) -> WebhookRequest:
    body = b"{}"
    return call(headers={"X-Signature": sign(body)} | headers, raw_body=body, payload={})


# ---- configs ------------------------------------------------------------------------------------


def test_fields_are_normalised() -> None:
    made = WebhookTriggerConfig(
        allowed_methods={"put", "Post", "POST"},  # type: ignore[arg-type]
        required_headers={"X-Kind": "Push"},
        required_query_params={"Kind": "a"},
        shared_secret_header="X-Token",
        shared_secret="t",
        hmac_header="X-Sig",
        hmac_secret="h",
        hmac_algorithm=" SHA512 ",
        hmac_timestamp_header="X-Time",
        rate_limit={"limit": 2},  # type: ignore[arg-type]
        kept_headers=["X-B", "x-a", "X-A"],
        kept_query_params=["b", "A", "b"],
    )
    assert made.allowed_methods == ["POST", "PUT"]
    assert made.required_headers == {"x-kind": "Push"}
    assert made.required_query_params == {"Kind": "a"}
    assert (made.shared_secret_header, made.hmac_header) == ("x-token", "x-sig")
    assert (made.hmac_algorithm, made.hmac_timestamp_header) == ("sha512", "x-time")
    assert made.rate_limit == RateLimitConfig(limit=2, interval_seconds=60)
    assert made.kept_headers == ["x-a", "x-b"]
    assert made.kept_query_params == ["A", "b"]
    assert made.has_shared_secret
    assert made.has_hmac_secret


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"allowed_methods": []}, "At least one HTTP method must be allowed"),
        (
            {"shared_secret_header": "x-token"},
            "^shared_secret must be provided when shared_secret_header is set$",
        ),
        (
            {"shared_secret_header": "x-token", "shared_secret": ""},
            "^shared_secret must be provided when shared_secret_header is set$",
        ),
        (
            {"shared_secret": "t"},
            "^shared_secret_header is required when shared_secret is provided$",
        ),
        (
            {"has_shared_secret": True},
            "^shared_secret_header is required when shared_secret is provided$",
        ),
        ({"hmac_header": "x"}, "^hmac_header and hmac_secret must be configured together$"),
        ({"hmac_secret": "x"}, "^hmac_header and hmac_secret must be configured together$"),
        ({"has_hmac_secret": True}, "^hmac_header and hmac_secret must be configured together$"),
        ({"hmac_algorithm": "rot13"}, "^Unsupported HMAC algorithm: rot13$"),
    ],
)
def test_configs_that_protect_nothing_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(WebhookValidationError, match=text) as caught:
        WebhookTriggerConfig(**fields)
    assert caught.value.status_code == 400
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", ["sha512_256", "ripemd160", "sm3", "md5-sha1", "shake_128", "md5"])
def test_algorithms_that_some_platforms_lack_are_refused(name: str) -> None:
    with pytest.raises(WebhookValidationError, match="Unsupported HMAC algorithm"):
        WebhookTriggerConfig(hmac_algorithm=name)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"allowed_methods": "POST"}, "allowed_methods must be a list"),
        ({"allowed_methods": [1]}, r"allowed_methods\[0\] must be text"),
        ({"required_headers": ["a"]}, "required_headers must be a mapping"),
        ({"required_headers": {"a": 1}}, "required_headers.a must be text"),
        ({"required_query_params": {1: "a"}}, "required_query_params key must be text"),
        ({"hmac_algorithm": None}, "hmac_algorithm must be text"),
        ({"hmac_tolerance_seconds": -1}, "hmac_tolerance_seconds must be a whole number from 0"),
        ({"rate_limit": {"limit": 0}}, "limit must be a whole number from 1"),
        ({"rate_limit": {"interval_seconds": 0}}, "interval_seconds must be a whole number from 1"),
        ({"rate_limit": {"per": 1}}, "rate_limit has unknown fields: 'per'"),
        ({"rate_limit": 5}, "rate_limit must be a mapping"),
        ({"kept_headers": "all"}, "kept_headers must be a list"),
        ({"shared_secret": "a\0"}, "shared_secret must not contain NUL"),
        ({"has_hmac_secret": 1}, "has_hmac_secret must be true or false"),
    ],
)
def test_fields_have_their_types(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        WebhookTriggerConfig(**fields)


def test_configs_come_as_mappings_models_or_themselves() -> None:
    class Model(BaseModel):
        secret_header: str | None = None
        shared_secret: str | None = None
        hmac_header: str | None = None

    assert parse_webhook_config(SHARED) is SHARED
    assert parse_webhook_config({"secret_header": "X-Token", "shared_secret": SECRET}) == SHARED
    model = Model(secret_header="X-Token", shared_secret=SECRET)
    assert parse_webhook_config(model) == SHARED
    with pytest.raises(ValidationError, match="has both shared_secret_header and its other name"):
        parse_webhook_config({"secret_header": "a", "shared_secret_header": "a"})
    with pytest.raises(ValidationError, match="webhook trigger has unknown fields: 'secret'"):
        parse_webhook_config({"secret": "a"})


# ---- calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"method": b"POST"},
        {"headers": [("a", "b")]},
        {"headers": {"a": b"b"}},
        {"headers": {1: "b"}},
        {"query_params": {"a": ["b"]}},
        {"query_params": None},
        {"source_ip": 127},
        {"raw_body": "text"},
    ],
)
def test_calls_of_the_wrong_types_are_bad_requests(fields: dict[str, Any]) -> None:
    with pytest.raises(WebhookValidationError) as caught:
        WebhookRequest(**({"method": "POST"} | fields))
    assert caught.value.status_code == 400


def test_the_method_comes_first() -> None:
    with pytest.raises(
        MethodNotAllowedError, match=r"^Method PUT not allowed. Allowed methods: GET, POST$"
    ) as caught:
        accept(SHARED, call("put"))
    assert caught.value.status_code == 405
    assert str(MethodNotAllowedError("get", [])).endswith("Allowed methods: none")
    assert accept(WebhookTriggerConfig(), call("get")).signature_digest is None


def test_required_headers_then_query_parameters_then_credentials() -> None:
    config = WebhookTriggerConfig(
        required_headers={"X-Kind": "Push-ß"},
        required_query_params={"Kind": "a"},
        shared_secret_header="X-Token",
        shared_secret=SECRET,
    )
    header, param = {"X-KIND": "Push-ß"}, {"Kind": "a"}
    for headers in ({}, {"x-kind": "push-ß"}):
        with pytest.raises(WebhookValidationError, match=r"invalid required header: x-kind$"):
            accept(config, call(headers=headers))
    for params in ({}, {"kind": "a"}, {"Kind": "b"}):
        with pytest.raises(WebhookValidationError, match=r"required query parameter: Kind$"):
            accept(config, call(headers=header, query_params=params))
    with pytest.raises(WebhookAuthenticationError, match=r"^Invalid webhook authentication cred"):
        accept(config, call(headers=header, query_params=param))
    accept(config, call(headers=header | {"x-token": SECRET}, query_params=param))


@pytest.mark.parametrize("secret", ["", "S3cret-ß", "s3cret", "\ud800", "é" * 100, SECRET + " "])
def test_a_wrong_shared_secret_is_not_let_in(secret: str) -> None:
    with pytest.raises(WebhookAuthenticationError) as caught:
        accept(SHARED, call(headers={"x-token": secret}))
    assert caught.value.status_code == 401
    assert secret not in str(caught.value) or not secret


def test_a_config_without_its_secrets_lets_nobody_in() -> None:
    for config in (SHARED.without_secrets(), SIGNED.without_secrets()):
        with pytest.raises(WebhookAuthenticationError):
            accept(config, signed_call(**{"x-token": ""}))


def test_both_credentials_are_needed_when_both_are_configured() -> None:
    config = WebhookTriggerConfig(
        hmac_header="X-Signature",
        hmac_secret=SECRET,
        shared_secret_header="X-Token",
        shared_secret=SECRET,
    )
    accept(config, signed_call(**{"x-token": SECRET}))
    for request in (
        signed_call(),
        signed_call(**{"x-token": "no"}),
        call(headers={"x-token": SECRET}),
    ):
        with pytest.raises(WebhookAuthenticationError):
            accept(config, request)


# ---- signatures ---------------------------------------------------------------------------------


def test_signatures_are_of_the_raw_bytes() -> None:
    body = b'{ "b": 1,\n  "a": 2 }'
    payload = json.loads(body)
    headers = {"X-Signature": sign(body)}
    accept(SIGNED, call(headers=headers, payload=payload, raw_body=body))
    accept(SIGNED, call(headers=headers, payload=payload, raw_body=bytearray(body)))
    # The same document in other bytes is another message.
    canonical = b'{"a":2,"b":1}'
    headers = {"X-Signature": sign(canonical)}
    with pytest.raises(WebhookAuthenticationError):
        accept(SIGNED, call(headers=headers, payload=payload, raw_body=body))
    accept(SIGNED, call(headers=headers, payload=payload))


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (None, b""),
        (b"\xff", b"\xff"),
        (memoryview(b"ab"), b"ab"),
        ("ß", b"\xc3\x9f"),
        ("\ud800", b"\xed\xa0\x80"),
        ({"b": [1, "é"], "a": None}, b'{"a":null,"b":[1,"\\u00e9"]}'),
        ([], b"[]"),
    ],
)
def test_without_raw_bytes_the_payload_is_encoded(payload: Any, body: bytes) -> None:
    accept(SIGNED, call(headers={"x-signature": sign(body)}, payload=payload))


def test_payloads_without_an_encoding_are_bad_requests() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for payload in ({1: 1, "a": 2}, {"a": {1, 2}}, deep, 10**5000):
        with pytest.raises(WebhookValidationError, match="can't be encoded") as caught:
            accept(SIGNED, call(headers={"x-signature": "ab"}, payload=payload))
        assert caught.value.status_code == 400


@pytest.mark.parametrize("algorithm", sorted(HMAC_ALGORITHMS))
def test_every_algorithm_works(algorithm: str) -> None:
    config = WebhookTriggerConfig(
        hmac_header="X-Signature", hmac_secret=SECRET, hmac_algorithm=algorithm
    )
    digest = sign(b"x", algorithm=algorithm)
    for header in (digest, digest.upper(), f"{algorithm}={digest}", f"v1={digest}"):
        accept(config, call(headers={"x-signature": header}, raw_body=b"x"))


@pytest.mark.parametrize(
    "template",
    [
        "{}",
        " {} ",
        "sha256={}",
        "SHA256 = {}",
        "t=1,v1={}",
        "v1=bad,v1={}",
        "signature={},k=v",
        "sha512=bad, sha256={}",
        "x,sha256={}",
    ],
)
def test_spellings_of_a_signature(template: str) -> None:
    header = template.format(sign(b"x"))
    accept(SIGNED, call(headers={"x-signature": header}, raw_body=b"x"))


@pytest.mark.parametrize(
    "template",
    [
        "",
        " ",
        "v1=",
        "sha256= ",
        "{},v1=bad",
        "v1={},v1=bad",
        "sha1={}",
        "k={}",
        "{}{}",
        "ſ{}",
        "²",
        "é" * 64,
        "\ud800",
        "=" * 50,
        "," * 50,
        "\0",
    ],
)
def test_other_signatures_are_not_let_in(template: str) -> None:
    digest = sign(b"x")
    for headers in ({"x-signature": template.format(digest, digest)}, {}):
        with pytest.raises(WebhookAuthenticationError):
            accept(SIGNED, call(headers=headers, raw_body=b"x"))


def timed_call(stamp: str, epoch: int = EPOCH) -> WebhookRequest:
    headers = {"x-signature": sign(b"x", epoch=epoch), "x-timestamp": stamp}
    return call(headers=headers, raw_body=b"x")


@pytest.mark.parametrize(
    ("stamp", "epoch"),
    [
        (str(EPOCH), EPOCH),
        (f" {EPOCH} ", EPOCH),
        (f"00{EPOCH}", EPOCH),
        (str(EPOCH - 300), EPOCH - 300),
        (str(EPOCH + 300), EPOCH + 300),
        ("2026-01-01T12:00:00Z", EPOCH),
        ("2026-01-01T14:00:00.9+02:00", EPOCH),
    ],
)
def test_times_within_the_tolerance(stamp: str, epoch: int) -> None:
    acceptance = accept(TIMED, timed_call(stamp, epoch))
    expires_at = acceptance.signature_expires_at
    assert expires_at is not None
    # Not forgotten while another process, with a clock behind, would still take it.
    assert expires_at >= datetime.fromtimestamp(epoch, UTC) + timedelta(seconds=305)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "²",
        "1" * 30,
        "9" * 12,
        "-1",
        "1e9",
        "soon",
        "2026-01-01T12:00:00",
        "\ud800",
        "1_0",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1969-12-31T00:00:00Z",
        "٣",
        str(EPOCH - 301),
        str(EPOCH + 301),
        "2026-01-01",
        "2026-W01-1T12:00:00Z",
        "0",
    ],
)
def test_other_times_are_not_let_in(stamp: str) -> None:
    with pytest.raises(WebhookAuthenticationError):
        accept(TIMED, timed_call(stamp))
    with pytest.raises(WebhookAuthenticationError):
        accept(TIMED, call(headers={"x-signature": sign(b"x", epoch=EPOCH)}, raw_body=b"x"))


def test_the_time_is_signed() -> None:
    with pytest.raises(WebhookAuthenticationError):
        accept(TIMED, timed_call(str(EPOCH + 1)))


def test_without_tolerance_any_time_is_right_and_remembered_for_ever() -> None:
    config = WebhookTriggerConfig(
        hmac_header="X-Signature",
        hmac_secret=SECRET,
        hmac_timestamp_header="X-Timestamp",
        hmac_tolerance_seconds=0,
    )
    acceptance = accept(config, timed_call("1000", 1000))
    assert acceptance.signature_digest is not None
    assert acceptance.signature_expires_at is None
    with pytest.raises(WebhookAuthenticationError):
        accept(config, timed_call("9" * 30))


def test_a_signature_is_remembered_whatever_its_spelling() -> None:
    digest = sign(b"x")
    spelled = [digest, digest.upper(), f"sha256={digest}", f"t=1,v1={digest}"]
    remembered = {
        accept(SIGNED, call(headers={"x-signature": each}, raw_body=b"x")).signature_digest
        for each in spelled
    }
    # What is stored is no signature itself.
    assert remembered == {hashlib.sha256(bytes.fromhex(digest)).hexdigest()}


@pytest.mark.parametrize("tolerance", [300, 1, 0])
def test_without_a_time_signatures_are_remembered_for_good(tolerance: int) -> None:
    """W-40: nothing tells a captured call from a new one, so it must not work after the tolerance."""
    config = WebhookTriggerConfig(
        hmac_header="X-Signature", hmac_secret=SECRET, hmac_tolerance_seconds=tolerance
    )
    acceptance = accept(config, signed_call())
    assert acceptance.signature_digest is not None
    assert acceptance.signature_expires_at is None


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["x-signature", "x-timestamp", "x-token", "cookie", "é"]) | st.text(),
        st.text(st.characters(codec=None, exclude_categories=())) | st.text("0123456789=,:.TZ-+v"),
    ),
    st.none() | st.text() | st.binary() | st.dictionaries(st.text(), st.floats()),
    st.sampled_from([SIGNED, TIMED, SHARED]),
)
def test_whatever_is_sent_gives_400_or_401(
    headers: dict[str, str], payload: Any, config: WebhookTriggerConfig
) -> None:
    with pytest.raises(WebhookValidationError) as caught:
        accept(config, call(headers=headers, payload=payload))
    assert caught.value.status_code in (400, 401)


# ---- what is left to look up --------------------------------------------------------------------


def test_the_acceptance_says_what_to_look_up() -> None:
    config = WebhookTriggerConfig(rate_limit=RateLimitConfig(limit=2, interval_seconds=30))
    acceptance = validate_webhook(config, call(), received_at=NOW.replace(tzinfo=None))
    assert acceptance.received_at == NOW
    assert acceptance.counted_from == NOW - timedelta(seconds=30)
    assert acceptance.rate_limit == config.rate_limit
    check_webhook_history(acceptance, signature_seen=True, accepted_calls=1)
    with pytest.raises(
        RateLimitExceededError,
        match=r"^Webhook rate limit exceeded. Limit: 2 requests per 30 seconds$",
    ) as caught:
        check_webhook_history(acceptance, signature_seen=False, accepted_calls=2)
    assert caught.value.status_code == 429


def test_a_used_signature_is_no_credential() -> None:
    acceptance = accept(SIGNED, signed_call())
    assert acceptance.counted_from is None
    check_webhook_history(acceptance, signature_seen=False, accepted_calls=10**6)
    with pytest.raises(WebhookAuthenticationError):
        check_webhook_history(acceptance, signature_seen=True, accepted_calls=0)


# ---- what a run keeps ---------------------------------------------------------------------------

HEADERS = {
    "Content-Type": "application/json",
    "X-Event": "push",
    "X-Author": "ada",
    "CE-Id": "1",
    "Kind": "a",
    "Other": "b",
    "Authorization": "Bearer 1",
    "Cookie": "a=b",
    "X-Api-Key": "k",
    "X-Auth": "k",
    "X-Hub-Signature": "s",
    "X-Session-Id": "s",
    "Proxy-Authorization": "b",
    "X-Time": "1",
}


def test_a_run_keeps_the_call_without_its_credentials() -> None:
    config = WebhookTriggerConfig(
        shared_secret_header="X-Time", shared_secret="1", required_headers={"Kind": "a"}
    )
    query = {"page": "1", "author": "ada", "api_key": "k", "Access_Token": "t", "pass word": "p"}
    request = call(headers=HEADERS, query_params=query, payload={"a": [1]}, source_ip="::1")
    assert accept(config, request).input_payload == {
        "body": {"a": [1]},
        "headers": {
            "content-type": "application/json",
            "x-event": "push",
            "ce-id": "1",
        },
        "query_params": {"page": "1"},
        "source_ip": "::1",
    }


SECRETS_BY_NAME = [
    "access_token", "api", "api-key", "api_key", "apikey", "app-key", "auth", "authority",
    "bearer", "client_secret", "code", "credentials", "csrf", "functions-key", "hash", "hmac",
    "id-tok", "jwt", "key", "login", "master-key", "ms-client-principal", "otp", "pass", "pin",
    "pwd", "secret", "service-key", "session", "session_id", "sid", "sig", "signature", "sso",
    "state", "subscription-key", "tok", "token", "verify", "webhook-key",
]  # fmt: skip


def test_no_header_or_parameter_is_kept_for_its_prefix_or_for_being_required() -> None:
    """W-42: what a sender calls its secret can't be guessed, so only names that are listed are kept."""
    names = [*SECRETS_BY_NAME, *(f"x-{name}" for name in SECRETS_BY_NAME), "author", "x-anything"]
    names += ["ocp-apim-subscription-key", "ce-key", "ce-anything"]
    config = WebhookTriggerConfig(
        required_headers={"X-Verify": "leak", "Content-Type": "a"},
        required_query_params={"k": "leak", "page": "1"},
    )
    leaks = dict.fromkeys(names, "leak")
    request = call(
        headers=leaks | {"Content-Type": "a"}, query_params=leaks | {"k": "leak", "page": "1"}
    )
    kept = accept(config, request).input_payload
    assert kept["headers"] == {"content-type": "a"}
    assert kept["query_params"] == {"page": "1"}


def test_what_is_kept_by_default_has_no_name_of_a_secret() -> None:
    for name in KEPT_HEADERS | KEPT_QUERY_PARAMS:
        words = set(re.split("[-_]", name))
        assert name == "idempotency-key" or not words & set(SECRETS_BY_NAME), name
        assert name == name.lower()


def test_the_documentation_lists_what_is_kept() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "scheduling.md").read_text(encoding="utf-8")
    _, _, listed = page.partition("### What a run keeps")
    headers, _, params = listed.partition("- Headers:")[2].partition("- Query parameters:")
    params = params.partition("\n## ")[0]
    assert set(re.findall("`([^`]+)`", headers)) == KEPT_HEADERS
    assert set(re.findall("`([^`]+)`", params)) == KEPT_QUERY_PARAMS


def test_a_list_may_name_what_is_required() -> None:
    config = WebhookTriggerConfig(
        required_headers={"X-Kind": "a"}, required_query_params={"K": "b"},
        kept_headers=["X-Kind"], kept_query_params=["K"],
    )  # fmt: skip
    kept = accept(config, call(headers={"x-kind": "a"}, query_params={"K": "b"})).input_payload
    assert (kept["headers"], kept["query_params"]) == ({"x-kind": "a"}, {"K": "b"})


def test_a_call_is_shown_without_its_values() -> None:
    request = WebhookRequest(
        method="post",
        headers={"Authorization": SECRET, "X-Token": SECRET},
        query_params={"token": SECRET},
        payload={"password": SECRET},
        raw_body=SECRET.encode(),
        source_ip="::1",
    )
    for shown in (repr(request), str(request), f"{request}", pretty_repr(request)):
        assert SECRET not in shown
        assert repr(SECRET.encode())[2:-1] not in shown
        assert "authorization" in shown
        assert "POST" in shown
    stored = StoredWebhook(
        is_archived=False, workflow_version_id=None, config={}, shared_secret=f"plain:{SECRET}",
        hmac_secret=None, revision=None,
    )  # fmt: skip
    assert SECRET not in repr(stored) + pretty_repr(stored)


def test_lists_of_what_is_kept_say_all() -> None:
    config = WebhookTriggerConfig(
        shared_secret_header="X-Time",
        shared_secret="1",
        kept_headers=["Other", "Authorization", "X-Time"],
        kept_query_params=["token"],
    )
    request = call(headers=HEADERS, query_params={"token": "t", "page": "1"})
    kept = accept(config, request).input_payload
    # The headers that let a call in are never kept.
    assert kept["headers"] == {"other": "b", "authorization": "Bearer 1"}
    assert kept["query_params"] == {"token": "t"}


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (b"a\xffb", {"raw": "a\ufffdb"}),
        (bytearray(b"a"), {"raw": "a"}),
        (memoryview(b"a"), {"raw": "a"}),
        ({}, {}),
        (None, None),
        ("text", "text"),
    ],
)
def test_the_body_of_a_run(payload: Any, body: Any) -> None:
    kept = accept(WebhookTriggerConfig(), call(payload=payload)).input_payload
    assert kept == {"body": body, "headers": {}, "query_params": {}, "source_ip": None}
