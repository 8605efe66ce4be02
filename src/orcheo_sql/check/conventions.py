"""How SQL is written here, as far as a reader of text can tell: the rules of docs/editing-sql.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .findings import Finding
from .sqltext import Token, block, code, lines_of, tag_line, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orcheo_sql._catalog import Query

LONGEST_LINE = 120


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS = _words(
    """
    abort add after all alter and as asc autoincrement before begin between by cascade case cast check collate
    column commit conflict constraint create cross default deferrable delete desc distinct do drop each else end
    escape except execute exists explain filter for foreign from full function generated group having if ilike
    immutable in index inner insert instead intersect into is isnull join lateral left like limit materialized
    natural not nothing notnull null of offset on or order outer over partition primary procedure
    recursive references replace restrict returning returns right rollback select set similar some stored strict
    table temporary then to transaction trigger union unique update using values view virtual when where window
    with without
    """
)
# Words of the list that are also names of functions: left(x, 1), replace(x, y, z).
_ALSO_FUNCTIONS = frozenset({"left", "right", "replace", "if", "format", "like", "index"})

CLOCKS = _words(
    """
    now clock_timestamp statement_timestamp transaction_timestamp timeofday current_timestamp current_date
    current_time localtime localtimestamp random randomblob gen_random_uuid uuid_generate_v4
    """
)
# Functions of SQLite that convert a time they are given, and tell the time when they are given none.
_CLOCKS_OF_NOTHING = frozenset({"date", "time", "datetime", "strftime", "unixepoch", "julianday"})
_SERIAL = re.compile(r"(?:small|big)?serial[248]?")
_SMALL_IDENTITY = frozenset({"int", "integer", "int4", "smallint", "int2"})


_LOCK = re.compile(
    r"FOR (NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)\b(?: OF \w+(?:, \w+)*)?( SKIP LOCKED| NOWAIT)?"
)


def check_queries(queries: Sequence[Query]) -> Iterator[Finding]:
    """Check the queries of one dialect."""
    for query in queries:
        yield from _hazards(query)
        yield from _locks(query)
        yield from _comments(query)
        yield from _keywords(query.path, _code_of(query))


def check_overrides(queries: Sequence[Query]) -> Iterator[Finding]:
    """Check a user's queries for what would break them; how they are laid out is the user's business."""
    for query in queries:
        yield from _hazards(query)


def check_layout(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check lines: their length, their ends, and that comments have a line of their own."""
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        if not text.endswith("\n") or text.endswith("\n\n"):
            yield Finding(
                path, max(len(text.splitlines()), 1), "the file does not end with one newline"
            )
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > LONGEST_LINE and not re.match(r"--\s*(name:|sample:)", line):
                message = f"the line has {len(line)} characters, {LONGEST_LINE} are allowed"
                yield Finding(path, number, message)
            if line != line.rstrip():
                yield Finding(path, number, "the line ends with blanks")
            if "\t" in line:
                yield Finding(path, number, "a tab; indent with four blanks")
        yield from _comment_places(path, text)


def check_migrations(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check migrations: keywords, and what would not hold on a distributed server."""
    for path in paths:
        found = code("\n".join(lines_of(path)))
        yield from _keywords(path, found)
        for i, token in enumerate(found):
            following = [t.key for t in found[i + 1 : i + 5]]
            if token.kind != "word":
                continue
            if _SERIAL.fullmatch(token.key):
                message = f"{token.text}: identity columns are `bigint GENERATED ... AS IDENTITY`"
                yield Finding(path, token.line, message)
            elif (
                token.key in _SMALL_IDENTITY
                and following[:1] == ["generated"]
                and "identity" in (t.key for t in found[i : i + 6])
            ):
                yield Finding(path, token.line, "an identity column that is not bigint")
            elif token.key == "if" and following[:2] == ["not", "exists"]:
                message = "IF NOT EXISTS: what is there already may be something else; a migration runs once"
                yield Finding(path, token.line, message)
            elif token.key == "raise" and following[:2] == ["(", "ignore"]:
                message = "RAISE(IGNORE): the write would be left out without an error; use RAISE(ABORT, 'rule')"
                yield Finding(path, token.line, message)
            elif token.key == "autoincrement":
                yield Finding(path, token.line, "AUTOINCREMENT; ids are uuids made by the library")
            elif _is_clock(found, i):
                yield Finding(
                    path, token.line, f"{token.text}: time and chance come from the library"
                )


def _code_of(query: Query) -> list[Token]:
    """Return a query's tokens with their lines in the file, without comments."""
    lines = block(query)
    text = "\n".join(line for _, line in lines[1:])
    return code(text, first_line=lines[0][0] + 1)


def _hazards(query: Query) -> Iterator[Finding]:
    """Yield what runs today and breaks tomorrow, or on the other server."""
    found = _code_of(query)

    def at(index: int, message: str) -> Finding:
        return Finding(query.path, found[index].line, f"{query.name}: {message}")

    for i, token in enumerate(found):
        previous = found[i - 1].key if i else ""
        if token.text == "*" and previous in ("select", "returning", "distinct", "all", ",", "."):
            yield at(
                i, f"`{found[i - 1].text} *`: write the columns out, in the order of the struct"
            )
        elif token.text == "%":
            yield at(i, "`%`: use mod(a, b), or make the pattern a parameter")
        elif token.kind == "string" and "%" in token.text:
            yield at(i, f"{token.text}: a `%` in a text; make the pattern a parameter")
        elif token.text == "[" and _is_slice(found, i):
            yield at(i, "an array slice `[a:b]` reads like a parameter; use a function")
        elif _is_clock(found, i):
            yield at(i, f"{token.text}: time and chance are parameters, the library gives them")
        elif token.key == "merge" and (not i or previous == ";"):
            yield at(i, "MERGE does not run on a distributed server; use INSERT ... ON CONFLICT")
        elif token.key in ("insert", "update") and [t.key for t in found[i + 1 : i + 2]] == ["or"]:
            yield at(i, f"{token.text} OR ... hides every broken rule, NOT NULL too; {_SAY_WHICH}")
        elif token.key == "replace" and [t.key for t in found[i + 1 : i + 2]] == ["into"]:
            yield at(i, f"REPLACE INTO deletes the rows that are in the way; {_SAY_WHICH}")
        elif token.key == "conflict" and [t.key for t in found[i + 1 : i + 2]] == ["do"]:
            yield at(i, f"ON CONFLICT without columns hides every broken rule; {_SAY_WHICH}")


_SAY_WHICH = "use ON CONFLICT (columns) DO ..."


def _locks(query: Query) -> Iterator[Finding]:
    """Compare the row locks of a text with those that its tag `Locks:` names; SQLite has none."""
    if query.dialect != "postgres":
        return
    taken = _lock_words(" ".join(t.text for t in _code_of(query)).replace(" , ", ", "))
    named = _lock_words(query.tags.get("Locks", ""))
    line = tag_line(query, "Locks")
    for lock in sorted(taken - named):
        message = f"it locks rows {lock}; say so and why: -- Locks: {lock}: ..."
        yield Finding(query.path, line, f"{query.name}: {message}")
    for lock in sorted(named - taken):
        yield Finding(query.path, line, f"{query.name}: nothing is locked {lock} (tag Locks)")
    if "Locks" in query.tags and not named:
        message = "the tag reads `Locks: FOR UPDATE SKIP LOCKED: why`, with the words of the text"
        yield Finding(query.path, line, f"{query.name}: {message}")


def _lock_words(text: str) -> set[str]:
    return {f"FOR {m[1]}{m[2] or ''}" for m in _LOCK.finditer(text)}


def _is_slice(found: Sequence[Token], index: int) -> bool:
    """Whether a bracket holds a colon or what was taken for a parameter after a number or name."""
    end = next((j for j in range(index, len(found)) if found[j].text == "]"), index)
    inside = found[index + 1 : end]
    return any(t.text == ":" for t in inside) or (
        len(inside) > 1 and any(t.kind == "parameter" for t in inside[1:])
    )


def _is_clock(found: Sequence[Token], index: int) -> bool:
    """Whether a token asks the database for the time or for chance."""
    token = found[index]
    if token.kind != "word":
        return False
    is_call = index + 1 < len(found) and found[index + 1].text == "("
    if token.key in CLOCKS:
        return is_call or token.key.startswith(("current_", "local"))
    if is_call and token.key in _CLOCKS_OF_NOTHING:
        inside = [t.text.lower() for t in found[index + 2 : index + 6]]
        return "'now'" in inside or inside[:1] == [")"]
    return False


def _comments(query: Query) -> Iterator[Finding]:
    """Check what stands above a query and what ends it."""
    lines = block(query)
    number, header = lines[0]

    def at(message: str, line: int = number) -> Finding:
        return Finding(query.path, line, f"{query.name}: {message}")

    if not re.fullmatch(r"-- name: [a-z][a-z0-9_]*\([a-z0-9_, ]*\)[\^$!]?", header):
        yield at(
            "the first line reads `-- name: verb_noun(parameter, parameter)^`, all of it on one line"
        )
    if not query.doc:
        yield at("no comment says what it does")
    elif not query.doc.rstrip().endswith("."):
        yield at(
            "the comment that says what it does is no sentence: it has no full stop", number + 1
        )
    last = _code_of(query)[-1:]
    if not last or last[0].text != ";":
        yield at("does not end with a semicolon", last[0].line if last else number)


def _keywords(path: Path, found: Sequence[Token]) -> Iterator[Finding]:
    for i, token in enumerate(found):
        if token.kind != "word" or token.key not in KEYWORDS or token.text.isupper():
            continue
        around = (found[i - 1].text if i else "", found[i + 1].text if i + 1 < len(found) else "")
        is_column = around[0] == "." or around[1] == "."
        is_type = token.key == "trigger" and around[0].lower() == "returns"
        is_function = around[1] == "(" and token.key in _ALSO_FUNCTIONS
        if not is_column and not is_function and not is_type:
            message = f"keyword {token.text} is written {token.text.upper()}"
            yield Finding(path, token.line, message)


def _comment_places(path: Path, text: str) -> Iterator[Finding]:
    lines = text.splitlines()
    for token in tokens(text):
        if token.kind != "comment":
            continue
        if token.text.startswith("/*"):
            yield Finding(path, token.line, "/* */: comments are lines that begin with --")
        elif not lines[token.line - 1].lstrip().startswith("--"):
            yield Finding(path, token.line, "a comment behind code; give it a line of its own")
