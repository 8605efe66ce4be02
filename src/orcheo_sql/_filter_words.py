"""What SQLite's search index can look for on behalf of a JSON filter.

A document that contains a text has the words of it in its token stream (`_search`), side by side. So an FTS5
expression over those words finds every run that meets the filter, and others: the documents are compared then.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ._search import search_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_PHRASES = 16
MAX_WORDS = 32
EXACT_INTEGER = 10**15
"""Whole numbers below it are written with the same digits whether they are stored as 7 or as 7.0."""

EVERY_RUN = "owner_text : w *"

# How FTS5 splits what no tokenizer of ours has seen (tokenize = 'ascii').
_RAW_WORD = re.compile("[0-9A-Za-z\x80-\U0010ffff]+")


def filter_words(
    input_contains: str | None, output_contains: str | None, metadata_contains: str | None
) -> str:
    """Return an FTS5 expression that finds the runs whose documents may contain these, or every run.

    Args:
        input_contains: what the input must contain, as JSON text (`JsonFilter`).
        output_contains: the same for the output.
        metadata_contains: the same for the metadata of the config, whose words are in a column of their own.
    """
    phrases = _phrases(input_contains, output_contains, metadata_contains)
    return " AND ".join(islice(phrases, MAX_PHRASES)) or EVERY_RUN


def has_words(
    input_contains: str | None, output_contains: str | None, metadata_contains: str | None
) -> bool:
    """Say whether the documents name anything that an index finds: a text with a letter or digit, or a whole number."""
    return any(_phrases(input_contains, output_contains, metadata_contains))


def _phrases(
    input_contains: str | None, output_contains: str | None, metadata_contains: str | None
) -> Iterator[str]:
    columns: tuple[tuple[str, str | None, Callable[[str], list[str]]], ...] = (
        ("search_text", input_contains, _folded),
        ("search_text", output_contains, _folded),
        ("metadata_text", metadata_contains, _RAW_WORD.findall),
    )
    for column, contained, split in columns:
        if contained is not None:
            for text in _texts(msgspec.json.decode(contained.encode())):
                words = split(text)[:MAX_WORDS]
                if words:
                    yield f'{column} : "{" ".join(words)}"'


def _folded(text: str) -> list[str]:
    return search_text(text).split()


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts and whole numbers in a document."""
    match value:
        case dict():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
        case str() if "\0" not in value:
            yield value
        case bool():
            pass
        case int() | float() if abs(value) < EXACT_INTEGER and value == int(value):
            yield str(int(value))
        case _:
            pass
