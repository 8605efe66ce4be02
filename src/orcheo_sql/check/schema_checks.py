"""Compare the CHECK constraints of a table in both dialects, each by what it is about and not by how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .findings import Finding
from .sqltext import Token, code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .schema import Table

_COMPARISONS = {"<": "<", ">": ">", "<=": "<=", ">=": ">=", "like": "like"}


@dataclass(frozen=True)
class Meaning:
    """What a condition says, as far as both engines keep it: columns, literals and inequalities."""

    columns: frozenset[str]
    literals: frozenset[str]
    comparisons: frozenset[str]


def words_of(text: str) -> list[Token]:
    """Return the tokens of a condition, without the casts that PostgreSQL writes into it."""
    found = code(text)
    return [t for i, t in enumerate(found) if "::" not in (t.text, found[i - 1].text if i else "")]


def literal(token: Token) -> str | None:
    """Return the value of a literal, a boolean as the number that SQLite has for it."""
    if token.kind in ("string", "number"):
        return token.text.strip("'")
    return {"true": "1", "false": "0"}.get(token.key)


def meaning(table: Table, text: str) -> Meaning:
    """Read a condition on the rows of a table."""
    words = words_of(text)
    comparisons = {_COMPARISONS[t.key] for t in words if t.key in _COMPARISONS}
    if any(t.key == "between" for t in words):
        comparisons |= {">=", "<="}
    return Meaning(
        frozenset(t.key for t in words if t.kind == "word" and t.key in table.columns),
        frozenset(v for t in words if (v := literal(t)) is not None),
        frozenset(comparisons),
    )


def allowed_values(table: Table) -> dict[str, frozenset[str]]:
    """Return, by column, the texts that a CHECK ... IN lets it have."""
    found: dict[str, frozenset[str]] = {}
    for text in table.checks:
        words = words_of(text)
        about = meaning(table, text)
        keys = {t.key for t in words}
        # PostgreSQL keeps IN as = ANY (ARRAY[...]).
        if (
            len(about.columns) == 1
            and keys & {"in", "any"}
            and not keys & {"not", "or", "and", "all"}
        ):
            values = {t.text[1:-1] for t in words if t.kind == "string"}
            if values:
                found[next(iter(about.columns))] = frozenset(values)
    return found


def compare_checks(
    sqlite: Table,
    postgres: Table,
    sqlite_place: Callable[[str, str], tuple[Path, int]],
    postgres_place: Callable[[str, str], tuple[Path, int]],
) -> Iterator[Finding]:
    """Yield CHECK constraints that one dialect lacks, and booleans that SQLite does not hold to 0 and 1."""
    ours = {meaning(sqlite, text) for text in sqlite.checks if not _is_a_type(text, postgres)}
    theirs = {meaning(postgres, text) for text in postgres.checks}
    booleans = {
        n for n, c in postgres.columns.items() if c.type == "boolean" and n in sqlite.columns
    }
    for name in sorted(booleans):
        wanted = meaning(sqlite, f"{name} IN (0, 1)")
        if wanted not in ours:
            message = f"column {sqlite.name}.{name} has no CHECK ({name} IN (0, 1)); it is boolean on PostgreSQL"
            yield Finding(*sqlite_place(sqlite.name, name), message)
        ours.discard(wanted)
    for check, table, place, other in (
        *((c, sqlite, sqlite_place, "PostgreSQL") for c in ours - theirs),
        *((c, postgres, postgres_place, "SQLite") for c in theirs - ours),
    ):
        column = min(check.columns, default="")
        message = f"the CHECK {_shown(check)} of table {table.name} is not so for {other}"
        yield Finding(*place(table.name, column), message)


def _is_a_type(text: str, postgres: Table) -> bool:
    """Whether a CHECK says on SQLite what on PostgreSQL the type says: that a text is JSON."""
    words = [t.key for t in words_of(text)]
    if len(words) != 4 or words[0] != "json_valid":
        return False
    column = postgres.columns.get(words[2])
    return column is not None and column.type in ("json", "jsonb")


def _shown(check: Meaning) -> str:
    about = ", ".join(sorted(check.columns))
    values = ", ".join(sorted(check.literals))
    return f"on {about} ({values})" if values else f"on {about}"


def quoted(values: Sequence[str]) -> str:
    """Write texts as a list of literals."""
    return ", ".join(f"'{v}'" for v in values)
