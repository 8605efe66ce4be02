"""What a run history keeps: any value as JSON, without secrets, and not more than fits.

Values are *records of what happened*, so nothing is refused but for its size: `history_walk` turns any object into JSON
types, `history_secrets` knows what is left out, and the policy of `_documents` makes it storable on both databases
(docs/values.md).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from orcheo_sql._documents import JsonText, clean_text, encode_record
from orcheo_sql._errors import RunHistoryPayloadTooLargeError
from orcheo_sql._search import search_text
from orcheo_sql.rules.history_walk import ManyPartsError, NoRoomError, Walk, text_of

LONGEST_ERROR = 65_536
"""Characters of an error or reason that are kept; it comes with every record of a list."""
LONGEST_NAME = 1024
"""Characters of a `run_name` or `trace_id` that are kept."""
AT_ONCE = 10_000
"""Parts of a value that are looked at while everybody else waits: some ten milliseconds."""

_CUT = "…"
_LARGEST = sys.maxsize // 2


def normalize_json_value(value: Any) -> Any:
    """Return any value as JSON types, the first of these rules that fits (docs/history.md has them all).

    What is shared in the value is shared in the result.
    """
    return Walk(_LARGEST, _LARGEST, redacts=False).value(value, 0)


def normalize_json_mapping(value: Any) -> dict[str, Any]:
    """Return any value as a JSON object: None as an empty one, what is no mapping under the key `value`."""
    return _as_mapping(normalize_json_value(value))


class StartDocuments(NamedTuple):
    """What is stored of what an execution was given."""

    inputs: JsonText
    runnable_config: JsonText
    tags: JsonText
    callbacks: JsonText
    metadata: JsonText
    run_name: str | None


class HistoryDocuments:
    """Makes the documents of a history: normalised, redacted if that is on, and within the limit.

    With a limit to the `parts` that are looked at, what has more is a `ManyPartsError`: to be made elsewhere.
    """

    def __init__(self, max_bytes: int, *, redacts: bool, parts: int = _LARGEST):
        self.max_bytes = max_bytes
        self.redacts = redacts
        self.parts = parts

    def at_once(self) -> HistoryDocuments:
        """Return the one that makes what is quickly made."""
        return HistoryDocuments(self.max_bytes, redacts=self.redacts, parts=AT_ONCE)

    def normal(self, value: Any, name: str) -> Any:
        """Return any value as JSON types; `name` is what an error calls the document.

        Raises:
            RunHistoryPayloadTooLargeError: it is so large that its JSON can't be within the limit.
        """
        try:
            return Walk(self.max_bytes, self.parts, redacts=self.redacts).value(value, 0)
        except NoRoomError:
            raise RunHistoryPayloadTooLargeError(name, self.max_bytes) from None

    def stored(self, normal: Any, name: str) -> JsonText:
        """Return JSON types as the text that is stored.

        Raises:
            RunHistoryPayloadTooLargeError: it is larger than the limit.
        """
        text = encode_record(normal, name=name)
        if len(text) > self.max_bytes or len(text.encode()) > self.max_bytes:
            raise RunHistoryPayloadTooLargeError(name, self.max_bytes)
        return text

    def mapping(self, value: Any, name: str) -> JsonText:
        """Return any value as the JSON object that is stored, made as `normalize_json_mapping` does."""
        return self.stored(_as_mapping(self.normal(value, name)), name)

    def words(self, payload: JsonText) -> str | None:
        """Return what a step is found by."""
        if len(payload) > self.parts:
            raise ManyPartsError
        return search_text(msgspec.json.decode(payload.encode())) or None

    def start(
        self,
        execution: str,
        *,
        inputs: Any,
        runnable_config: Any,
        tags: Any,
        callbacks: Any,
        metadata: Any,
        run_name: Any,
    ) -> StartDocuments:
        """Return what is stored of what an execution was given; what is None is taken from the config.

        Raises:
            RunHistoryPayloadTooLargeError: one of the documents is too large.
        """

        def name(field: str) -> str:
            return document_name(field, execution)

        config = self.normal(runnable_config, name("runnable_config"))
        config = config if isinstance(config, dict) else {}
        if tags is None:
            tags = _original(runnable_config, "tags", config)
        callbacks = self.normal(callbacks, name("callbacks"))
        metadata = self.normal(metadata, name("metadata"))
        return StartDocuments(
            inputs=self.mapping(inputs, name("inputs")),
            runnable_config=self.stored(config, name("runnable_config")),
            tags=self.stored(self.tags(tags, name("tags")), name("tags")),
            callbacks=self.stored(history_callbacks(callbacks, config), name("callbacks")),
            metadata=self.stored(history_metadata(metadata, config), name("metadata")),
            run_name=note(run_name or config.get("run_name"), LONGEST_NAME),
        )

    def tags(self, tags: Any, name: str) -> list[str]:
        """Return tags as texts: a mapping or None has none, what is no array is one tag."""
        try:
            return Walk(self.max_bytes, self.parts, redacts=self.redacts).texts(tags)
        except NoRoomError:
            raise RunHistoryPayloadTooLargeError(name, self.max_bytes) from None


def history_callbacks(given: Any, config: Mapping[str, Any]) -> list[Any]:
    """Return an execution's callbacks, from JSON types: those given, else the config's; one alone becomes a list."""
    callbacks = config.get("callbacks") if given is None else given
    if callbacks is None:
        return []
    return callbacks if isinstance(callbacks, list) else [callbacks]


def history_metadata(given: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an execution's metadata, from JSON types: what is given, else the config's if that is a mapping."""
    if given is not None:
        return _as_mapping(given)
    metadata = config.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def document_name(field: str, execution: str) -> str:
    """Return what an error calls a document."""
    return f"{field} of execution_id={execution}"


def note(value: object, longest: int) -> str | None:
    """Return the text of any value, cut to a length: a run that has failed must be able to say so."""
    if value is None:
        return None
    text = text_of(value)
    if len(text) > longest:
        text = text[: longest - len(_CUT)] + _CUT
    # A hostile character is written as six.
    return clean_text(text)


def _original(config: Any, key: str, normal: Mapping[str, Any]) -> Any:
    """Return what a config was given under a key; a model is known by what it dumps only."""
    try:
        return config.get(key) if isinstance(config, Mapping) else normal.get(key)
    except Exception:  # noqa: BLE001 - an object may raise anything
        return normal.get(key)


def _as_mapping(normal: Any) -> dict[str, Any]:
    if normal is None:
        return {}
    return normal if isinstance(normal, dict) else {"value": normal}
