"""The statistics of SQLite databases that have grown since ANALYZE: plans must not get worse by them.

Nothing keeps them up to date. What was small then is read from end to end still, and joins begin there; and of a table
that was empty nothing is known, so that it is taken for the largest of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

SMALLER = 20
"""How many times as large the filled database is. Of tables with a few rows SQLite reads all, whatever the query."""


def old_statistics(raw: sqlite3.Connection) -> Iterator[tuple[str, frozenset[str]]]:
    """Give an analyzed database statistics of smaller ones, in turn, and then its own again.

    Yields what to say of them, and the tables that were empty: all queries are concerned if there are none.
    """
    own = raw.execute("SELECT tbl, idx, stat FROM sqlite_stat1").fetchall()
    small = [(table, index, _smaller(stat)) for table, index, stat in own]
    try:
        _put(raw, small)
        yield " with the statistics of a smaller database", frozenset()
        for table in sorted({table for table, _, _ in own}):
            empty = _with_dependents(raw, table)
            _put(raw, [row for row in small if row[0] not in empty])
            yield f" with the statistics of a smaller database without {table}", empty
    finally:
        _put(raw, own)


def _smaller(stat: str) -> str:
    """Return ``rows, rows of a key, ...`` of so many fewer rows; never none."""
    return " ".join(str(-(-int(n) // SMALLER)) for n in stat.split() if n.isdecimal())


def _put(raw: sqlite3.Connection, rows: list[tuple[str, str | None, str]]) -> None:
    raw.execute("BEGIN")
    raw.execute("DELETE FROM sqlite_stat1")
    raw.executemany("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", rows)
    raw.execute("COMMIT")
    # Let the connection read the schema anew: ANALYZE sqlite_schema keeps the size of tables that are not in there.
    raw.execute("PRAGMA writable_schema = RESET")


def _with_dependents(raw: sqlite3.Connection, table: str) -> frozenset[str]:
    """Return a table with those that can't have rows without it."""
    found = raw.execute(
        """
        WITH RECURSIVE emptied (name) AS (
            SELECT ?
            UNION
            SELECT t.name
            FROM emptied
            INNER JOIN pragma_table_list AS t
            INNER JOIN pragma_foreign_key_list(t.name) AS f ON lower(f."table") = lower(emptied.name)
            WHERE t.schema = 'main' AND t.type = 'table'
        )
        SELECT name FROM emptied
        """,
        (table,),
    )
    return frozenset(name for (name,) in found)
