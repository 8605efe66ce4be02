"""Note which rows a query touches on PostgreSQL: triggers that are dropped again, and temporary tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .effects import Key, Recorder, Row, names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .schema import Schema
    from .scratch import PostgresConnection

_LOG = "orcheo_touched_"
# Once for a statement and not once for a row: deleting everything touches a hundred thousand of them.
_FUNCTION = f"""
CREATE FUNCTION pg_temp.{_LOG}note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        EXECUTE format('INSERT INTO pg_temp.%I SELECT %s FROM old_rows', TG_ARGV[0], TG_ARGV[1]);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        EXECUTE format('INSERT INTO pg_temp.%I SELECT %s FROM new_rows', TG_ARGV[0], TG_ARGV[1]);
    END IF;
    RETURN NULL;
END
$$
"""
_ROWS = {
    "INSERT": "NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
}


# The columns that draw numbers, each with its sequence. A number that was drawn is not given back.
_NUMBERED = """
SELECT table_name, column_name, pg_get_serial_sequence(quote_ident(table_name), column_name)
FROM information_schema.columns
WHERE table_schema = current_schema() AND is_identity = 'YES'
"""


class PostgresRecorder(Recorder):
    """Notes touched rows on one connection."""

    def __init__(self, connection: PostgresConnection, schema: Schema):
        super().__init__(schema)
        self._connection = connection
        self._numbered: list[tuple[str, str, str]] = []

    def __enter__(self) -> PostgresRecorder:
        with self._connection.transaction():
            self._run(_FUNCTION)
            for table, key in self.keys.items():
                columns = names_of(key)
                self._run(
                    f'CREATE TEMP TABLE {_LOG}{table} AS SELECT {columns} FROM "{table}" WITH NO DATA'
                )
                for event, rows in _ROWS.items():
                    self._run(
                        f'CREATE TRIGGER {_LOG}{event.lower()} AFTER {event} ON "{table}" '
                        f"REFERENCING {rows} FOR EACH STATEMENT "
                        f"EXECUTE FUNCTION pg_temp.{_LOG}note('{_LOG}{table}', '{columns}')"
                    )
            self._numbered = self._run(_NUMBERED)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._connection.closed:
            return
        with self._connection.transaction():
            for table in self.keys:
                for event in _ROWS:
                    self._run(f'DROP TRIGGER {_LOG}{event.lower()} ON "{table}"')
                self._run(f"DROP TABLE pg_temp.{_LOG}{table}")
            self._run(f"DROP FUNCTION pg_temp.{_LOG}note()")

    def noted(self) -> list[str]:
        """Return the tables with touched rows."""
        sql = " UNION ALL ".join(
            f"SELECT '{t}' WHERE EXISTS (SELECT 1 FROM pg_temp.{_LOG}{t})" for t in self.keys
        )
        return [name for (name,) in self._run(sql)] if sql else []

    def first_keys(self, table: str, limit: int) -> list[Key]:
        """Return the keys of touched rows, each once, in the order of their texts."""
        columns = names_of(self.keys[table])
        order = ", ".join(f'"{c}"::text COLLATE "C"' for c in self.keys[table])
        return self._run(
            f"SELECT {columns} FROM (SELECT DISTINCT {columns} FROM pg_temp.{_LOG}{table}) AS touched "
            f"ORDER BY {order} LIMIT {limit}"
        )

    def read(self, table: str, keys: Sequence[Key]) -> dict[Key, Row]:
        """Return the rows with these keys, as they are."""
        columns, key = self.tables[table].columns, self.keys[table]
        names = [c.name for c in columns.values() if not c.generated]
        arrays = ", ".join(f"${i}::{columns[c].type}[]" for i, c in enumerate(key, 1))
        same = " AND ".join(f't."{c}" = k.k{i}' for i, c in enumerate(key, 1))
        given = ", ".join(f"k{i}" for i in range(1, len(key) + 1))
        rows = self._run(
            f'SELECT {names_of(names, "t.")} FROM "{table}" AS t '
            f"INNER JOIN unnest({arrays}) AS k ({given}) ON {same}",
            [[k[i] for k in keys] for i in range(len(key))],
        )
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return {tuple(row[c] for c in key): row for row in found}

    def count_anew(self) -> None:
        """Let the next write draw the numbers after those that are there, as SQLite does, whatever was drawn before."""
        for table, column, sequence in self._numbered:
            highest = f'(SELECT coalesce(max("{column}"), 0) + 1 FROM "{table}")'
            self._run(f"SELECT setval('{sequence}', {highest}, FALSE)")

    def _run(self, sql: str, arguments: Sequence[Any] | None = None) -> list[Any]:
        cursor = self._connection.execute(sql.encode(), arguments, prepare=False)
        return cursor.fetchall() if cursor.description else []
