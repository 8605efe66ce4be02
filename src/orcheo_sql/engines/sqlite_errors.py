"""SQLite's errors, turned into ours by their code."""

from __future__ import annotations

import sqlite3

from .._errors import (
    CheckViolationError,
    ConflictError,
    DatabaseBusyError,
    ForeignKeyViolationError,
    NotNullViolationError,
    OrcheoSqlError,
    StatementTimeoutError,
    StoreError,
    UniqueViolationError,
)

_CONSTRAINTS: dict[int, type[ConflictError]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_ROWID: UniqueViolationError,
    # Our triggers raise nothing but broken uniqueness rules, with the rule's name as the message.
    sqlite3.SQLITE_CONSTRAINT_TRIGGER: UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: ForeignKeyViolationError,
    sqlite3.SQLITE_CONSTRAINT_CHECK: CheckViolationError,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: NotNullViolationError,
}
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_ADVICE = {
    sqlite3.SQLITE_FULL: "no space is left for the database",
    sqlite3.SQLITE_READONLY: "the database, or the disk it is on, is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database file, or its -wal file beside it, can't be opened",
    sqlite3.SQLITE_IOERR: "reading or writing the database file failed",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is not a database, or its first page is damaged",
    sqlite3.SQLITE_PERM: "access to the database file is denied",
    sqlite3.SQLITE_AUTH: "access to the database file is denied",
}


def code_of(error: sqlite3.Error) -> int:
    """Return the extended result code; 0 for errors of the Python module itself."""
    return getattr(error, "sqlite_errorcode", None) or 0


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds a lock that was asked for."""
    return code_of(error) & 0xFF in _BUSY


def translate(error: sqlite3.Error, *, query: str | None) -> OrcheoSqlError:
    """Turn a driver error into ours, by its code."""
    code = code_of(error)
    where = f"{query}: " if query else ""
    constraint = _CONSTRAINTS.get(code)
    if constraint is None and code & 0xFF == sqlite3.SQLITE_CONSTRAINT:
        constraint = ConflictError
    if constraint is not None:
        # The text names table and columns, or our rule; it never holds a value.
        rule = str(error).rpartition(": ")[2]
        return constraint(f"{where}{error}", query=query, dialect="sqlite", constraint=rule)
    kind: type[StoreError] = StoreError
    if is_busy(error):
        kind = DatabaseBusyError
        message = (
            "the database file stayed locked; another process holds a long transaction "
            "(raise ORCHEO_SQLITE_BUSY_TIMEOUT_SECONDS, or shorten it)"
        )
    elif code == sqlite3.SQLITE_INTERRUPT:
        kind = StatementTimeoutError
        message = "took longer than ORCHEO_STATEMENT_TIMEOUT_SECONDS"
    else:
        advice = _ADVICE.get(code & 0xFF)
        message = f"{advice} ({error})" if advice else str(error)
    return kind(f"{where}{message}", query=query, dialect="sqlite")
