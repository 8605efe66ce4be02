"""Which documents a search and a JSON filter find, by their definitions alone: no index, no SQL, no token streams."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.state_machine.model_values import Refused

_UNSPACED = re.compile("[\u3040-\u30ff\u4e00-\u9fff]+")
_PIECE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]+|[^\\W_\u3040-\u30ff\u4e00-\u9fff]+")
_ABSENT = object()


class Term(NamedTuple):
    """One thing a user looks for: words side by side, the last perhaps only begun."""

    words: tuple[str, ...]
    prefix: bool = False
    excluded: bool = False

    def typed(self) -> str:
        body = " ".join(self.words) + ("*" if self.prefix else "")
        quoted = f'"{" ".join(self.words)}"{"*" if self.prefix else ""}'
        return ("-" if self.excluded else "") + (quoted if len(self.words) > 1 else body)


def check_terms(terms: list[Term]) -> None:
    named = [t for t in terms if any(map(_pieces, t.words))]
    if any(not t.excluded for t in named):
        return
    text = (
        "the search only excludes; add a word to look for"
        if named
        else "the search has no word to look for: it needs at least one letter or digit"
    )
    raise Refused("SearchQueryError", text)


def found(values: list[Any], terms: list[Term]) -> bool:
    """Say whether the texts and numbers in these values have all terms and none of the excluded."""
    texts = [_pieces(text) for text in _texts(values)]
    return all(any(_has(t, term) for t in texts) is not term.excluded for term in terms)


def _texts(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list):
            yield from _texts(value)
        elif value is not None and not isinstance(value, bool):
            yield str(value)


def _pieces(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text)
    folded = "".join(c for c in folded if not "\u0300" <= c <= "\u036f").casefold()
    return [piece[:64] for piece in _PIECE.findall(unicodedata.normalize("NFC", folded))]


def _has(pieces: list[str], term: Term) -> bool:
    wanted = [piece for word in term.words for piece in _pieces(word)]
    if not wanted:
        return not term.excluded
    if _UNSPACED.match(wanted[-1]):
        return any(_UNSPACED.match(piece) and wanted[-1] in piece for piece in pieces)
    for start in range(len(pieces) - len(wanted) + 1):
        *first, last = pieces[start : start + len(wanted)]
        ends = last.startswith(wanted[-1]) if term.prefix else last == wanted[-1]
        if first == wanted[:-1] and ends and not _UNSPACED.match(last):
            return True
    return False


class Wanted(NamedTuple):
    """A JSON filter as plain data: what must be contained (or `...` for nothing), and conditions."""

    contains: Any = ...
    where: tuple[tuple[Any, ...], ...] = ()


def meets(document: Any, wanted: Wanted | None) -> bool:
    if wanted is None:
        return True
    if document is None:
        return False
    contained = wanted.contains is ... or _contains(document, wanted.contains)
    return contained and all(_holds(document, *condition) for condition in wanted.where)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and _contains(whole[key], item) for key, item in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(
            any(_contains(item, wanted) for item in whole) for wanted in part
        )
    return _equal(whole, part)


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None or value is _ABSENT:
        return repr(type(value))
    return "number" if isinstance(value, int | float) else type(value).__name__


def _equal(left: Any, right: Any) -> bool:
    if _kind(left) != _kind(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _holds(document: Any, path: tuple[str | int, ...], op: str, value: Any = None) -> bool:
    found_there = document
    for step in path:
        there = (
            isinstance(step, str) and isinstance(found_there, dict) and step in found_there
        ) or (isinstance(step, int) and isinstance(found_there, list) and step < len(found_there))
        found_there = found_there[step] if there else _ABSENT
    match op:
        case "exists":
            return found_there is not _ABSENT
        case "missing":
            return found_there is _ABSENT
        case "==":
            return _equal(found_there, value)
        case "!=":
            return not _equal(found_there, value)
        case "in":
            return any(_equal(found_there, one) for one in value)
    if _kind(found_there) != _kind(value):
        return False
    return bool(
        {"<": found_there < value, "<=": found_there <= value, ">": found_there > value,
         ">=": found_there >= value}[op]
    )  # fmt: skip
