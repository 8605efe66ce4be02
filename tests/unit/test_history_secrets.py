"""What is left out of run histories: told by keys, pairs, names and types."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from orcheo_sql.rules.history import HistoryDocuments
from orcheo_sql.rules.history_secrets import REDACTED, is_secret_key

ON = HistoryDocuments(100_000, redacts=True)
OFF = HistoryDocuments(100_000, redacts=False)


class Guarded:
    """Keeps its secret as `pydantic.SecretStr` does."""

    def __init__(self, secret: str):
        self._secret_value = secret

    def get_secret_value(self) -> str:
        return self._secret_value

    def __str__(self) -> str:
        return "*" * 10


class Tool:
    def __init__(self) -> None:
        self.name = "search"
        self.auth = Guarded("leak")

    def __str__(self) -> str:
        return "a tool"


class Broken(UserDict[str, Any]):
    """Shows what is in it in its text only."""

    def items(self) -> Any:
        raise RuntimeError("no items")


@dataclass
class Login:
    user: str
    password: str = field(repr=True)


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "clientSecret", "token", "access_token", "refreshToken", "X-API-Key", "apikey",
     "api_keys", "privateKey", "Authorization", "Set-Cookie", "cookies", "credentials", "secret key",
     "dbpassword", "accesstoken", "authtoken", "refreshtoken", "clientsecret", "sessioncookie", "openaiapikey",
     "XAPIKey", "OPENAIApiKey", "AWSSecretAccessKey", "tokens", "access_tokens", "password_hash", "passwordHash",
     "password1", "password_2", "Set-Cookie2", "OPENAI_API_KEY_PROD", "private_key_pem", "gcp_credentials_json",
     "accessToken_v2", "secretValue", "encryptionKey", "x" * 500 + "_token"],
)  # fmt: skip
def test_secrets_are_known_by_a_word_of_their_key(key: str) -> None:
    assert is_secret_key(key)
    stored = ON.mapping({"a": [{key: "a secret of some length"}]}, "it")
    assert msgspec.json.decode(stored.encode()) == {"a": [{key: REDACTED}]}


@pytest.mark.parametrize(
    "key",
    ["max_tokens", "maxOutputTokens", "token_count", "total_tokens", "prompt_tokens", "completionTokens", "tokens_used",
     "passwordless", "keys", "key", "monkey", "secretary", "author", "tokenizer", "eos_token", "stop_tokens", "api_key_id",
     "secret_name", "token_type", "token_url", "password_policy", "client_secret_expires_at", "authorization_endpoint", ""],
)  # fmt: skip
def test_other_keys_are_not_taken_for_secrets(key: str) -> None:
    assert not is_secret_key(key)
    assert ON.normal({key: "text"}, "it") == {key: "text"}


@pytest.mark.parametrize(
    "value",
    [{"tokens": 512}, {"cost_per_token": 0.5}, {"cached_tokens": {"read": 1, "written": None}}, {"tokens": [1, 2]},
     {"token": None}, {"password": False}, {"token": "Hel"}],
)  # fmt: skip
def test_counts_and_pieces_are_kept(value: Any) -> None:
    assert ON.normal(value, "it") == value


def test_secrets_are_left_out_wherever_they_stand() -> None:
    value = {
        "login": Login("ada", "hunter2"),
        "headers": [{"Authorization": ["Bearer x"]}],
        "pin": {"password": 1234, "tokens": ["t1"], "refresh_tokens": {"a": "t2"}},
        "streamed": [{"token": "Hel"}, {"token": "sk-0123456789abcdef"}],
    }
    assert ON.normal(value, "it") == {
        "login": {"user": "ada", "password": REDACTED}, "headers": [{"Authorization": REDACTED}],
        "pin": {"password": REDACTED, "tokens": REDACTED, "refresh_tokens": REDACTED},
        "streamed": [{"token": "Hel"}, {"token": REDACTED}],
    }  # fmt: skip
    assert "hunter2" in OFF.mapping(value, "it")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([("Authorization", "Bearer x"), ("Accept", "*/*")], [["Authorization", REDACTED], ["Accept", "*/*"]]),
        ([[b"authorization", b"Bearer x"]], [["authorization", REDACTED]]),
        ([{"name": "Authorization", "value": "Bearer x"}], [{"name": "Authorization", "value": REDACTED}]),
        ({"key": "X-API-Key", "value": "k"}, {"key": "X-API-Key", "value": REDACTED}),
        ({"Name": "Set-Cookie", "Values": ["a", "b"]}, {"Name": "Set-Cookie", "Values": REDACTED}),
        ({"name": "colour", "value": "red"}, {"name": "colour", "value": "red"}),
        (["a token", "b", "c"], ["a token", "b", "c"]), (["max_tokens", "5"], ["max_tokens", "5"]), ([7, "x"], [7, "x"]),
    ],
)  # fmt: skip
def test_a_key_beside_its_secret_is_recognised(value: Any, kept: Any) -> None:
    assert ON.normal(value, "it") == kept
    assert REDACTED not in OFF.mapping(value, "it")


@dataclass
class Holder:
    anything: Guarded


@pytest.mark.parametrize(
    "value",
    [
        Guarded("leak"),
        {"openai": Guarded("leak")},
        [Tool()],
        Holder(Guarded("leak")),
        {"a": {"b": [Tool()]}},
    ],
)
def test_what_guards_a_secret_keeps_it(value: Any) -> None:
    assert REDACTED in ON.mapping(value, "it")
    for documents in (ON, OFF):
        stored = documents.mapping(value, "it")
        assert "leak" not in stored
    assert "*" * 10 in OFF.mapping(value, "it")


def test_what_raises_is_not_stored_as_its_text() -> None:
    assert "leak" in str(Broken(password="leak"))
    assert ON.normal({"x": Broken(password="leak")}, "it") == {"x": "<Broken>"}
    assert ON.tags(Broken(password="leak"), "it") == []
    assert "leak" in OFF.mapping({"x": Broken(password="leak")}, "it")


def test_tags_are_texts_of_what_was_given() -> None:
    given = [Guarded("leak"), Tool(), {"password": "leak"}, Login("ada", "leak"), b"x", None, [1]]
    assert ON.tags(given, "it") == [
        REDACTED, "a tool", "{'password': '<redacted>'}", "{'user': 'ada', 'password': '<redacted>'}", "b'x'", "None", "[1]",
    ]  # fmt: skip
    assert OFF.tags(given[:2], "it") == ["*" * 10, "a tool"]
    assert ON.tags(Guarded("leak"), "it") == [REDACTED]


def test_tags_of_a_config_are_too() -> None:
    class Odd(UserDict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            raise RuntimeError(key)

    for config, tags in (
        ({"tags": [Tool(), Guarded("leak")]}, f'["a tool","{REDACTED}"]'),
        (Odd(tags=["a"]), '["a"]'),
    ):
        started = ON.start(
            "e",
            inputs=None,
            runnable_config=config,
            tags=None,
            callbacks=None,
            metadata=Guarded("leak"),
            run_name=None,
        )
        assert (started.tags, started.metadata) == (tags, f'{{"value":"{REDACTED}"}}')
        assert "leak" not in str(started)
