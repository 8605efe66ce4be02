"""Note which rows a query touches on SQLite: temporary triggers, which leave the file's own schema alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .effects import Key, Recorder, Row, names_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from .schema import Schema

_LOG = "orcheo_touched_"


class SqliteRecorder(Recorder):
    """Notes touched rows on one connection."""

    def __init__(self, raw: sqlite3.Connection, schema: Schema):
        super().__init__(schema)
        self._raw = raw

    def __enter__(self) -> SqliteRecorder:
        for table, key in self.keys.items():
            columns = names_of(key)
            self._raw.execute(f"CREATE TEMP TABLE {_LOG}{table} ({columns})")
            new, old = names_of(key, "NEW."), names_of(key, "OLD.")
            for event, rows in (("INSERT", [new]), ("DELETE", [old]), ("UPDATE", [old, new])):
                notes = "".join(f"INSERT INTO {_LOG}{table} VALUES ({row}); " for row in rows)
                self._raw.execute(
                    f"CREATE TEMP TRIGGER {_LOG}{table}_{event.lower()} "
                    f'AFTER {event} ON main."{table}" BEGIN {notes}END'
                )
        return self

    def __exit__(self, *exc: object) -> None:
        for table in self.keys:
            for event in ("insert", "delete", "update"):
                self._raw.execute(f"DROP TRIGGER IF EXISTS temp.{_LOG}{table}_{event}")
            self._raw.execute(f"DROP TABLE IF EXISTS temp.{_LOG}{table}")

    def noted(self) -> list[str]:
        """Return the tables with touched rows."""
        sql = " UNION ALL ".join(
            f"SELECT '{t}' WHERE EXISTS (SELECT 1 FROM temp.{_LOG}{t})" for t in self.keys
        )
        return [name for (name,) in self._raw.execute(sql)] if sql else []

    def first_keys(self, table: str, limit: int) -> list[Key]:
        """Return the keys of touched rows, each once, in the order of their texts."""
        columns = names_of(self.keys[table])
        order = ", ".join(f'CAST("{c}" AS TEXT)' for c in self.keys[table])
        sql = f"SELECT DISTINCT {columns} FROM temp.{_LOG}{table} ORDER BY {order} LIMIT {limit}"
        return list(self._raw.execute(sql))

    def read(self, table: str, keys: Sequence[Key]) -> dict[Key, Row]:
        """Return the rows with these keys, as they are."""
        names = [c.name for c in self.tables[table].columns.values() if not c.generated]
        where = " AND ".join(f'"{c}" = ?' for c in self.keys[table])
        sql = f'SELECT {names_of(names)} FROM main."{table}" WHERE {where}'
        found = {}
        for key in keys:
            row = self._raw.execute(sql, key).fetchone()
            if row is not None:
                found[key] = dict(zip(names, row, strict=True))
        return found
