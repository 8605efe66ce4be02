"""Full-text search: one tokenizer for documents and queries, and what users may type.

Both databases index the same *token stream*, made here: the tokens of a document in reading order,
separated by single spaces, with `BOUNDARY` between separate values so that no phrase spans two of
them. A token is a run of letters, digits and marks after folding: compatibility forms (full width,
ligatures, circled digits), case and, in Latin, Greek and Cyrillic, accents make no difference. It
is cut after 64 characters.

Chinese characters and kana are written without spaces, so a run of them becomes its overlapping
pairs and its last character: ``東京都`` is ``東京 京都 都``. Any two neighbours are then a token to
find, a longer word is a phrase of pairs, and a single character is the prefix of some token.

A search text is a list of words that must all occur, in any order:

==================  =============================================================================
``retry policy``    both words
``"retry policy"``  the words side by side, in one value (``foo-bar`` also means that)
``retr*``           words that begin so; ``"retry pol*"`` and ``foo-ba*`` begin the last word so
``-draft``          not this word; also ``-"first draft"`` and ``-draf*``
==================  =============================================================================

Everything else that looks like a query language (``AND``, ``title:``, ``^``, parentheses) is text.
"""

from __future__ import annotations

import functools
import operator
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from ._documents import MAX_DEPTH, JsonText, encode_record
from ._errors import SearchQueryError, ValidationError

BOUNDARY = "\ue000"
"""Stands between two values in a token stream; no text has it as a token."""

MAX_TOKEN = 64
MAX_UNITS = 32
MAX_QUERY = 2000

# Latin, Greek and Cyrillic accents; marks around symbols; soft hyphens; variation selectors.
_DROPPED = re.compile("[\u0300-\u036f\u20d0-\u20ff\u00ad\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Voicing marks that have no composed form with the kana before them.
_LOOSE_VOICING = re.compile("[\u3099\u309a]")
# Han and kana, their iteration and length marks included.
_UNSPACED = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001aff0-\U0001b16f\U00020000-\U0003fffd"
)
_UNSPACED_RUN = re.compile(rf"(?:(?!\W)[{_UNSPACED}])+")
# What becomes of each byte of an ASCII text: small letters and digits, NULs, and a space for the rest.
_FOLDED_ASCII = re.sub(rb"[^a-z0-9\0]", b" ", bytes(range(256)).lower())

_UNIT = re.compile(
    r"""(?P<minus>-?)(?: "(?P<phrase>[^"]*)(?:"(?P<star>\*?)|$) | (?P<word>[^\s"]+) )""", re.VERBOSE
)
_TYPED_FORMS = str.maketrans({**dict.fromkeys("“”„‟«»＂", '"'), "－": "-", "＊": "*"})


def search_text(*values: Any) -> str:
    """Return the token stream of texts and documents; keys of objects are not part of it.

    Streams can be joined with `BOUNDARY` between them. An empty one means nothing to be found by.
    """
    parts = _texts(values)
    text = "\0".join(parts)
    if text.count("\0") >= len(parts):  # some are in the texts
        text = "\0".join(part.replace("\0", " ") for part in parts)
    stream = " ".join(_tokens(text))
    while "\0 \0" in stream:
        stream = stream.replace("\0 \0", "\0")
    return stream.replace("\0", BOUNDARY).strip(f" {BOUNDARY}")


class SearchTerm(msgspec.Struct, frozen=True):
    """Tokens that stand side by side; with `prefix` the last one need only begin so."""

    tokens: tuple[str, ...]
    prefix: bool = False

    @property
    def pattern(self) -> str:
        """What occurs in ``' ' || stream || ' '`` where the term does."""
        return f" {' '.join(self.tokens)}{'' if self.prefix else ' '}"

    @property
    def is_phrase(self) -> bool:
        return len(self.tokens) > 1


class SearchQuery(msgspec.Struct, frozen=True):
    """What a search text asks for; see `parse_search`."""

    required: tuple[SearchTerm, ...]
    excluded: tuple[SearchTerm, ...] = ()

    def matches(self, stream: str) -> bool:
        """Say whether a document with this token stream is found: what both databases compute."""
        padded = f" {stream} "
        return all(term.pattern in padded for term in self.required) and not any(
            term.pattern in padded for term in self.excluded
        )

    def render(self, dialect: Literal["sqlite", "postgres"]) -> str:
        """Return the JSON text of the ``:search`` parameter.

        ``match`` is for the index: an FTS5 expression, which decides alone, or the text of a
        tsquery, which knows no positions: what it finds must also have all ``phrases`` and none of
        ``excluded`` in ``' ' || stream || ' '``. ``patterns`` are those of all required terms.
        """
        rendered = {
            "match": _fts5(self) if dialect == "sqlite" else _tsquery(self),
            "patterns": [term.pattern for term in self.required],
            "phrases": [term.pattern for term in self.required if term.is_phrase],
            "excluded": [term.pattern for term in self.excluded],
        }
        return msgspec.json.encode(rendered).decode()


def parse_search(text: str) -> SearchQuery:
    """Read what a user typed; raise `SearchQueryError` when there is nothing to look for.

    A quote that is not closed reaches to the end. Parts without a letter or digit are ignored.
    """
    if not isinstance(text, str):
        raise SearchQueryError(f"the search must be text, not {type(text).__name__}")
    if len(text) > MAX_QUERY:
        raise SearchQueryError(f"the search is longer than {MAX_QUERY} characters")
    required: dict[SearchTerm, None] = {}
    excluded: dict[SearchTerm, None] = {}
    for unit in _UNIT.finditer(text.translate(_TYPED_FORMS)):
        term = _term(unit)
        if term is not None:
            (excluded if unit["minus"] else required)[term] = None
    if not required:
        raise SearchQueryError(
            "the search only excludes; add a word to look for"
            if excluded
            else "the search has no word to look for: it needs at least one letter or digit"
        )
    if len(required) + len(excluded) > MAX_UNITS:
        raise SearchQueryError(f"the search has more than {MAX_UNITS} words and phrases")
    return SearchQuery(tuple(required), tuple(excluded))


def _term(unit: re.Match[str]) -> SearchTerm | None:
    body = (
        unit["word"] if unit["phrase"] is None else unit["phrase"].rstrip() + (unit["star"] or "")
    )
    stem = body.rstrip("*")
    tokens = _tokens(stem.replace("\0", " "))
    if not tokens:
        return None
    last = tokens[-1]
    if _UNSPACED_RUN.match(last):
        # A run of several characters may go on in the document: what tells its end is left out. One
        # character alone is the beginning of a pair, or the end of a run.
        pairs = len(tokens) > 1 and len(tokens[-2]) == 2 and _UNSPACED_RUN.match(tokens[-2])
        return SearchTerm(tuple(tokens[:-1])) if pairs else SearchTerm(tuple(tokens), prefix=True)
    return SearchTerm(tuple(tokens), prefix=stem != body and _ends_in_token(stem))


def _fts5(query: SearchQuery) -> str:
    def term(each: SearchTerm) -> str:
        return f'"{" ".join(each.tokens)}"{"*" if each.prefix else ""}'

    required = " AND ".join(map(term, query.required))
    if not query.excluded:
        return required
    return f"({required}) NOT ({' OR '.join(map(term, query.excluded))})"


def _tsquery(query: SearchQuery) -> str:
    def term(each: SearchTerm) -> str:
        return " & ".join(f"'{token}'" for token in each.tokens) + (":*" if each.prefix else "")

    required = [term(each) for each in query.required]
    excluded = [f"!{term(each)}" for each in query.excluded if not each.is_phrase]
    return " & ".join(required + excluded)


def _texts(values: Iterable[Any]) -> list[str]:
    """Return the texts and numbers in values, in reading order."""
    found: list[str] = []
    open_containers = [iter(values)]
    while open_containers:
        for value in open_containers[-1]:
            kind = type(value)
            if kind is str:  # first what documents of JSON have most of
                found.append(value)
                continue
            if value is None or kind is bool:
                continue
            if kind is int and value.bit_length() < 64:
                found.append(str(value))
                continue
            match value:
                case dict() | list() | tuple() | Mapping():
                    if len(open_containers) > MAX_DEPTH:
                        raise ValidationError(
                            f"document: nested deeper than {MAX_DEPTH} levels, or contains itself"
                        )
                    items = value.values() if isinstance(value, dict | Mapping) else value
                    open_containers.append(iter(items))
                    break
                case str() if not isinstance(value, JsonText):
                    found.append(value)
                case int() | float():
                    found.append(encode_record(value))
                case _:
                    document = msgspec.json.decode(encode_record(value).encode())
                    open_containers.append(iter([document]))
                    break
        else:
            open_containers.pop()
    return found


def _tokens(text: str) -> list[str]:
    """Split a text into tokens; NULs stay as tokens of their own."""
    if not text.isascii():
        text = _fold(text)
    if text.isascii():
        folded = text.encode().translate(_FOLDED_ASCII)
        tokens = folded.replace(b"\0", b" \0 ").decode().split()
    else:
        text = _UNSPACED_RUN.sub(_spaced_pairs, text)
        tokens = _token_pattern(_marks(text)).findall(text)
    if max(map(len, tokens), default=0) > MAX_TOKEN:
        tokens = [token[:MAX_TOKEN] for token in tokens]
    return tokens


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    text = _DROPPED.sub("", unicodedata.normalize("NFKD", text)).casefold()
    return _LOOSE_VOICING.sub("", unicodedata.normalize("NFC", text))


def _spaced_pairs(run: re.Match[str]) -> str:
    characters = run[0]
    pairs = map(operator.add, characters, characters[1:])
    return f" {' '.join(pairs)} {characters[-1]} "


def _marks(text: str) -> str:
    """Return the marks of other scripts (vowel signs, points) that occur in a text."""
    return "".join(sorted(c for c in set(text) if unicodedata.category(c) in ("Mn", "Mc")))


@functools.lru_cache(maxsize=128)
def _token_pattern(marks: str) -> re.Pattern[str]:
    # Marks have no meaning of their own in a character class, so they need no escape.
    return re.compile(rf"[^\W_](?:[^\W_]|[{marks}])*|\0" if marks else r"[^\W_]+|\0")


def _ends_in_token(text: str) -> bool:
    last = _fold(text)[-1:]
    return last.isalnum() or unicodedata.category(last or " ") in ("Mn", "Mc")
