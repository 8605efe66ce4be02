"""Prove what a tag `Conflict:` says: the rule it names is there, and refuses the write of a trial made for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orcheo_sql._errors import OrcheoSqlError, UniqueViolationError

from .findings import of_error
from .proof import CONFLICT
from .sqltext import closing, code, tag_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from orcheo_sql._catalog import Query

    from .proof import Proof, Trials
    from .schema import Index, Table

_TAG = re.compile(r"(?P<rule>\w+)(?P<race> in a race)?\b")


@dataclass(frozen=True)
class Rule:
    """The rule that a tag `Conflict:` names."""

    name: str
    in_a_race: bool
    """Whether only another transaction at the same time can make it refuse the write."""


def conflict_rule(query: Query) -> Rule | None:
    """Read the tag: ``uq_x when ...`` or ``uq_x in a race ...``."""
    match = _TAG.match(query.tags.get("Conflict", ""))
    return Rule(match["rule"], match["race"] is not None) if match else None


def check_conflict(
    proof: Proof,
    query: Query,
    trials: Trials,
    attempt: Callable[[Query, Mapping[str, Any]], OrcheoSqlError | None],
) -> None:
    """Report a rule that is not there, that the text goes round, or that lets the trial `conflict` pass."""
    if "Conflict" not in query.tags:
        return
    line = tag_line(query, "Conflict")
    rule = conflict_rule(query)
    if rule is None:
        proof.report(query, "the tag reads `Conflict: name_of_the_rule when ...`", line=line)
        return
    known = _index(proof, rule.name)
    if known is not None and _goes_round(query, *known):
        proof.report(query, f"ON CONFLICT takes the place of {rule.name} (tag Conflict)", line=line)
    if rule.in_a_race:
        is_there = known[1].unique if known is not None else _is_foreign_key(query, rule.name)
        if not is_there:
            proof.report(query, f"no unique index is named {rule.name} (tag Conflict)", line=line)
        return
    try:
        arguments = trials.named(query, CONFLICT)
    except OrcheoSqlError as error:
        proof.findings.append(of_error(error, otherwise=query.path))
        return
    if arguments is None:
        proof.report(
            query,
            f"no trial shows that {rule.name} refuses it; name one in the seeds: "
            f"-- sample: {query.name}/{CONFLICT}.{next(iter(query.parameters), 'parameter')} = ...",
            line=line,
        )
        return
    refusal = attempt(query, arguments)
    if refusal is None:
        proof.report(
            query, f"{rule.name} does not refuse it with the samples of {CONFLICT}", line=line
        )
    elif not isinstance(refusal, UniqueViolationError) or refusal.constraint not in (
        rule.name,
        *_names(known),
    ):
        proof.report(
            query,
            f"{rule.name} should refuse it with the samples of {CONFLICT}: {refusal}",
            line=line,
        )


def _index(proof: Proof, name: str) -> tuple[Table, Index] | None:
    tables = proof.schema.tables.values()
    return next(((t, t.indexes[name]) for t in tables if name in t.indexes), None)


def _is_foreign_key(query: Query, name: str) -> bool:
    """Whether a migration names a foreign key so; SQLite knows their names from that text only."""
    folder = query.path.parents[2] / "migrations"
    words = re.compile(rf"\bCONSTRAINT {name}\s+FOREIGN KEY\b", re.IGNORECASE)
    return any(words.search(path.read_text(encoding="utf-8")) for path in folder.glob("*.sql"))


def _names(known: tuple[Table, Index] | None) -> tuple[str, ...]:
    """Return what SQLite calls a unique index when it refuses a row: its columns, or its name if one is an expression."""
    if known is None:
        return ()
    table, index = known
    return ", ".join(f"{table.name}.{c}" for c in index.columns), f"index '{index.name}'"


def _goes_round(query: Query, table: Table, index: Index) -> bool:
    """Whether an INSERT into the table says what is done instead when the columns of the index are taken."""
    found = code(query.sql)
    into = ""
    for i, token in enumerate(found):
        if token.key == "into":
            into = found[i + 1].key
        elif token.key == "conflict" and into == table.name and found[i + 1].text == "(":
            columns = {t.key for t in found[i + 2 : closing(found, i + 1)] if t.kind == "word"}
            if columns == set(index.columns):
                return True
    return False
