from __future__ import annotations

import datetime as dt
import random
import sqlite3
import unicodedata
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql._documents import JsonText
from orcheo_sql._errors import SearchQueryError, ValidationError
from orcheo_sql._search import (
    _UNSPACED_RUN,
    BOUNDARY,
    MAX_TOKEN,
    MAX_UNITS,
    SearchQuery,
    SearchTerm,
    parse_search,
    search_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fts5:
    """A real FTS5 table, told what to find as the repositories do."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("CREATE VIRTUAL TABLE t USING fts5(stream, tokenize='ascii')")

    def found(self, query: SearchQuery, streams: list[str]) -> list[str]:
        self.connection.execute("DELETE FROM t")
        self.connection.executemany("INSERT INTO t VALUES (?)", [(stream,) for stream in streams])
        match = msgspec.json.decode(query.render("sqlite"))["match"]
        rows = self.connection.execute(
            "SELECT stream FROM t WHERE t MATCH ? ORDER BY rowid", (match,)
        )
        return [stream for (stream,) in rows]


@pytest.fixture(scope="module")
def fts5() -> Iterator[Fts5]:
    table = Fts5()
    yield table
    table.connection.close()


def values_of(*streams: str) -> str:
    return f" {BOUNDARY} ".join(streams)


@pytest.mark.parametrize(
    ("values", "stream"),
    [
        (["Hello, World!"], "hello world"),
        (["Größe STRASSE straße"], "grosse strasse strasse"),
        (["Crème Brûlée Ωμέγα Ёлка Й"], "creme brulee ωμεγα елка и"),
        (["eﬀect ﬁne ⅷ ½ ① ２０２６ Ｆｕｌｌ"], "effect fine viii 1 2 1 2026 full"),
        (["İstanbul ISTANBUL"], "istanbul istanbul"),
        (["snake_case foo-bar it's a.b@c.d"], "snake case foo bar it s a b c d"),
        (["co\u00adoperate 葛\U000e0100城 a\ufe0fb"], "cooperate 葛城 城 ab"),
        (["東\u3097京"], "東 京"),  # a code point among the kana that is no character
        (["東京都"], "東京 京都 都"),
        (["東京tower2020。京"], "東京 京 tower2020 京"),
        (["スーパー ｽｰﾊﾟｰ 時々"], "スー ーパ パー ー スー ーパ パー ー 時々 々"),
        (["がぎ か\u3099き\u3099 あ゙"], "がぎ ぎ がぎ ぎ あ"),
        (["데이터 데이터".replace("데", "\u1103\u1166")], "데이터 데이터"),
        (["हिन्दी ภาษาไทย עִבְרִית"], "हिन्दी ภาษาไทย עִבְרִית"),
        (["🔥 ❤️ — …"], ""),
        ([], ""),
        (["one two", "three"], f"one two {BOUNDARY} three"),
        (["", "a", "!", "b", ""], f"a {BOUNDARY} b"),
        ([{"key": ["x y", {"other": "z"}], "k2": ("w",)}, "t"], values_of("x y", "z", "w", "t")),
        ([[1, -2.5, 1e30, True, None]], values_of("1", "2 5", "1e30")),
        ([2**70, float("nan")], values_of("1180591620717411303424", "nan")),
        ([JsonText('{"a":["b",{"c":"d"}]}')], f"b {BOUNDARY} d"),
        ([dt.date(2026, 1, 2), {"b"}], f"2026 01 02 {BOUNDARY} b"),
        ([f"a {BOUNDARY} b \0 c\ud800d"], "a b c d"),
        (["x" * 70, "é" * 65], f"{'x' * MAX_TOKEN} {BOUNDARY} {'e' * MAX_TOKEN}"),
    ],
)  # fmt: skip
def test_token_streams(values: list[Any], stream: str) -> None:
    assert search_text(*values) == stream


@given(st.lists(st.text(st.characters() | st.sampled_from("\0\ud800 \"'\\\ue000"))))
def test_any_text_has_a_safe_stream(values: list[str]) -> None:
    stream = search_text(*values)
    tokens = stream.split(" ") if stream else []
    for token in tokens:
        assert token == BOUNDARY or (token[0].isalnum() and len(token) <= MAX_TOKEN)
        assert not set(token) & set(" \0'\"\\\t\n*:")
        assert token == "".join(c.lower() if c.isascii() else c for c in token)
    stream.encode()
    assert BOUNDARY not in (*tokens[:1], *tokens[-1:])
    assert f"{BOUNDARY} {BOUNDARY}" not in stream


@given(st.text())
def test_a_stream_is_folded_already(text: str) -> None:
    stream = search_text(text)
    if not _UNSPACED_RUN.search(stream):
        assert search_text(stream) == stream


@given(st.text())
def test_a_word_is_found_in_any_spelling(text: str) -> None:
    stream = search_text(text)
    assert search_text(unicodedata.normalize("NFC", text)) == stream
    assert search_text(unicodedata.normalize("NFD", text)) == stream
    for other in (text.upper(), text.lower()):
        # Not every letter has a pair of cases; a Greek iota below a vowel is an accent to us.
        if other.casefold() == text.casefold() and "\u0345" not in unicodedata.normalize(
            "NFD", text
        ):
            assert search_text(other) == stream


def test_what_contains_itself_is_refused() -> None:
    document: list[Any] = ["a"]
    document.append(document)
    with pytest.raises(ValidationError):
        search_text(document)


@pytest.mark.parametrize(
    "unit", ["lorem ipsum, ", "Größe dé", "東京都の", "ภาษาไทย ", "\ud800\0\"'"]
)
def test_two_megabytes_are_found_by_their_last_word(unit: str) -> None:
    text = unit * (2_000_000 // len(unit.encode(errors="replace")))
    assert parse_search("needle").matches(search_text(f"{text} needle"))


def test_streams_can_be_joined() -> None:
    assert search_text("a b", "c") == f"{search_text('a b')} {BOUNDARY} {search_text('c')}"


W = SearchTerm


@pytest.mark.parametrize(
    ("text", "required", "excluded"),
    [
        ("Foo  bar", [W(("foo",)), W(("bar",))], []),
        ("foo foo FOO", [W(("foo",))], []),
        ('"foo bar" baz', [W(("foo", "bar")), W(("baz",))], []),
        ("foo-bar a_b it's", [W(("foo", "bar")), W(("a", "b")), W(("it", "s"))], []),
        ("foo*", [W(("foo",), prefix=True)], []),
        ('"foo ba*" "foo ba"* foo-ba*', [W(("foo", "ba"), prefix=True)], []),
        ("c++* foo_* *foo f*o", [W(("c",)), W(("foo",)), W(("f", "o"))], []),
        ('"foo *" ภาษี*', [W(("foo",)), W(("ภาษี",), prefix=True)], []),
        ('a -b -"c d"', [W(("a",))], [W(("b",)), W(("c", "d"))]),
        ('a -e* -"f g*"', [W(("a",))], [W(("e",), prefix=True), W(("f", "g"), prefix=True)]),
        ("a --b - -- -!", [W(("a",))], [W(("b",))]),
        ("a-b", [W(("a", "b"))], []),
        ('foo "bar baz', [W(("foo",)), W(("bar", "baz"))], []),
        ('foo "', [W(("foo",))], []),
        ("“foo bar” －baz qux＊", [W(("foo", "bar")), W(("qux",), prefix=True)], [W(("baz",))]),
        ("AND OR NOT NEAR", [W(("and",)), W(("or",)), W(("not",)), W(("near",))], []),
        ("title:x ^y (z) {a}", [W(("title", "x")), W(("y",)), W(("z",)), W(("a",))], []),
        ("東京 東京都 東京*", [W(("東京",)), W(("東京", "京都"))], []),
        ("京 -京*", [W(("京",), prefix=True)], [W(("京",), prefix=True)]),
        ('"東京 tower"', [W(("東京", "京", "tower"))], []),
        ('"tower 東京" "tower 京"', [W(("tower", "東京")), W(("tower", "京"), prefix=True)], []),
        ("東京tower", [W(("東京", "京", "tower"))], []),
        ("x" * 99, [W(("x" * MAX_TOKEN,))], []),
        ("a\0b", [W(("a", "b"))], []),
        ("🔥 fire", [W(("fire",))], []),
    ],
)  # fmt: skip
def test_what_may_be_typed(text: str, required: list[W], excluded: list[W]) -> None:
    assert parse_search(text) == SearchQuery(tuple(required), tuple(excluded))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no word to look for"),
        ("  - * \"\" 🔥 \ud800", "no word to look for"),
        ("-foo", "only excludes"),
        (" ".join(f"w{i}" for i in range(MAX_UNITS)) + " -x", f"more than {MAX_UNITS} words"),
        ("x" * 2001, "longer than 2000 characters"),
        (5, "must be text, not int"),
    ],
)  # fmt: skip
def test_searches_without_an_answer(text: Any, message: str) -> None:
    with pytest.raises(SearchQueryError, match=message):
        parse_search(text)


@pytest.mark.parametrize(
    ("query", "text", "is_found"),
    [
        ("京都", "東京都", True),
        ("東京都", "東京 京都", False),
        ("東京都", "日本の東京都です", True),
        ("京", "東京", True),
        ("東", "東京", True),
        ("東京", "東の京", False),
        ("検索", "全文検索エンジン", True),
        ('"東京 tower"', "東京、tower", True),
        ('"東京 tower"', "東京都 tower", False),
        ('"京 tower"', "東京 tower", True),
        ("resume", "Mon résumé", True),
        ("RÉSUMÉ", "resume", True),
        ("strasse", "Straße", True),
        ("tokyo -京", "tokyo 東京", False),
        ("err*", "an Error", True),
        ("err", "an error", False),
        ('"b c"', "a b c d", True),
        ('"b c"', "b x c", False),
        ('"b c*"', "a b cd", True),
        ("0.5", "costs 0.5", True),
    ],
)
def test_what_is_found(fts5: Fts5, query: str, text: str, is_found: bool) -> None:
    parsed, stream = parse_search(query), search_text(text)
    assert parsed.matches(stream) is is_found
    assert fts5.found(parsed, [stream]) == ([stream] if is_found else [])


def test_no_phrase_spans_two_values() -> None:
    stream = search_text({"a": "one two", "b": "three"})
    assert parse_search('"one two"').matches(stream)
    assert not parse_search('"two three"').matches(stream)


# Few letters, so that queries and texts meet; the rest is what the grammars of queries are made of.
alphabet = st.sampled_from("abAé\u0301ß東京カー゛1 *-\"'()^:\0\ud800\ue000_")
words = st.sampled_from(
    ["a", "ab", "AND", "OR", "NOT", "NEAR", "a*", "-b", '"a b"', "東京", "京都府"]
)
texts = st.text(alphabet, max_size=14) | st.lists(words, max_size=5).map(" ".join)


@given(texts, st.lists(st.lists(texts, max_size=3), min_size=1, max_size=6))
def test_fts5_finds_what_the_reference_finds(
    fts5: Fts5, text: str, values: list[list[str]]
) -> None:
    try:
        query = parse_search(text)
    except SearchQueryError:
        return
    streams = [search_text(*each) for each in values]
    assert fts5.found(query, streams) == [stream for stream in streams if query.matches(stream)]


@given(texts)
def test_a_text_is_found_by_itself(text: str) -> None:
    """Typed between quotes, every text that has a token finds itself."""
    try:
        query = parse_search('"' + text.replace('"', " ") + '"')
    except SearchQueryError:
        return
    assert query.matches(search_text(text.replace('"', " ")))


def test_the_parameter_for_postgres() -> None:
    query = parse_search('one tw* "a b*" -x -y* -"c d"')
    assert msgspec.json.decode(query.render("postgres")) == {
        "match": "'one' & 'tw':* & 'a' & 'b':* & !'x' & !'y':*",
        "patterns": [" one ", " tw", " a b"],
        "phrases": [" a b"],
        "excluded": [" x ", " y", " c d "],
    }


def test_the_largest_query_is_within_the_limits_of_fts5(fts5: Fts5) -> None:
    text = " ".join(f"-w{i}" if i % 2 else f'"w{i} w{i}"' for i in range(MAX_UNITS))
    stream = search_text(" ".join(f"w{i} w{i}" for i in range(0, MAX_UNITS, 2)))
    assert fts5.found(parse_search(text), [stream]) == [stream]
    phrase = " ".join(random.Random(1).choices("abcdefgh", k=990))
    assert fts5.found(parse_search(f'"{phrase}"'), [search_text(phrase)])
