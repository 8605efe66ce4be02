"""PostgreSQL's errors, turned into ours by SQLSTATE; and what of them may be shown."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from .._errors import (
    CheckViolationError,
    ConfigError,
    ConflictError,
    ConnectionLostError,
    DatabaseBusyError,
    DeadlockError,
    ForeignKeyViolationError,
    NotNullViolationError,
    OrcheoSqlError,
    SerializationError,
    StatementTimeoutError,
    StoreError,
    UniqueViolationError,
)

_BY_STATE: dict[str, type[StoreError]] = {
    "23505": UniqueViolationError,
    "23503": ForeignKeyViolationError,
    "23001": ForeignKeyViolationError,
    "23514": CheckViolationError,
    "23502": NotNullViolationError,
    "40001": SerializationError,
    "40P01": DeadlockError,
    "55P03": DatabaseBusyError,
    "57014": StatementTimeoutError,
    "25P03": ConnectionLostError,
    "25P04": ConnectionLostError,
    "53300": ConnectionLostError,
    # A server that became a standby; a new connection may find the one that writes.
    "25006": ConnectionLostError,
}
_BY_CLASS: dict[str, type[StoreError]] = {
    "08": ConnectionLostError,
    "23": ConflictError,
    # The server is being stopped or started.
    "57P": ConnectionLostError,
}
_HINTS: dict[type[StoreError], str] = {
    DatabaseBusyError: "a row stayed locked longer than ORCHEO_LOCK_TIMEOUT_SECONDS",
    StatementTimeoutError: (
        "took longer than ORCHEO_STATEMENT_TIMEOUT_SECONDS, or was cancelled on the server"
    ),
}
# Answers that will not change by asking again; libpq does not give the SQLSTATE of a refused connection.
_HOPELESS = re.compile(
    r"password authentication failed|authentication failed for user|no password supplied|does not exist"
    r"|no pg_hba\.conf entry|permission denied for database|is not permitted to log in"
    r"|is not currently accepting connections|does not support SSL|invalid \w+ value|invalid integer value"
    r"|definition of service|bad value for"
)
# By whether it is a URL.
_HOW_TO_WRITE = {
    True: "write special characters of user and password as %40 (for @), %2F (for /), %3A (for :), %25 (for %)",
    False: "write key='value' pairs with names that libpq knows, \\' for ' and \\\\ for \\ within a value",
}
_PIECES = re.compile(r"[@:/?#&\s]+")
_SHORTEST_SECRET = 3


def translate(error: psycopg.Error, *, query: str | None) -> OrcheoSqlError:
    """Turn a driver error into ours: by SQLSTATE where there is one, else by class."""
    where = f"{query}: " if query else ""
    kind = _kind_of(error)
    primary = error.diag.message_primary
    if issubclass(kind, ConflictError):
        # DETAIL would show the offending value; the primary message names table and constraint only.
        return kind(
            f"{where}{primary}",
            query=query,
            dialect="postgres",
            constraint=error.diag.constraint_name,
        )
    if (error.sqlstate or "").startswith("22"):
        # "invalid input syntax for type uuid: …" shows the value.
        message = f"a value was refused ({type(error).__name__}, {error.sqlstate})"
    else:
        message = _HINTS.get(kind) or primary or first_line(error)
    return kind(f"{where}{message}", query=query, dialect="postgres")


def _kind_of(error: psycopg.Error) -> type[StoreError]:
    state = error.sqlstate or ""
    kind = _BY_STATE.get(state) or _BY_CLASS.get(state[:3]) or _BY_CLASS.get(state[:2])
    if kind is not None:
        return kind
    lost = not state and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return ConnectionLostError if lost else StoreError


def is_connection_failure(error: psycopg.Error) -> bool:
    """Whether the connection, rather than the statement, is at fault."""
    return issubclass(_kind_of(error), ConnectionLostError)


def worth_retrying(error: BaseException) -> bool:
    """Whether connecting again may succeed without anybody changing anything."""
    return _HOPELESS.search(str(error)) is None


def first_line(error: BaseException) -> str:
    """Return the first line of an error: libpq puts hints and server context below it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Reasons:
    """Says why a server can't be reached, without ever showing a piece of the password.

    libpq names host, role and database in its errors. A password with an unescaped character makes it take a piece of
    the password for one of these.
    """

    def __init__(self, dsn: str, location: str, variable: str = "ORCHEO_POSTGRES_DSN"):
        """Take a DSN apart.

        Args:
            dsn: the connection string.
            location: the same, as it may be shown.
            variable: where it comes from.

        Raises:
            ConfigError: it can't be read.
        """
        self.location = location
        self.variable = variable
        try:
            parts = conninfo_to_dict(dsn)
        except psycopg.Error:
            parts = None
        # Raised out here, so that the driver's error, which quotes the DSN, is not the context of ours.
        if parts is None or "@" in str(parts.get("host") or ""):
            raise ConfigError(
                f"{variable} can't be read ({location}): {_HOW_TO_WRITE['://' in dsn]}"
            )
        self.database = str(parts.get("dbname") or parts.get("user") or "postgres")
        self.given = frozenset(name for name, value in parts.items() if value)
        """The names of the parameters that the DSN has."""
        credentials = dsn.partition("://")[2].rpartition("@")[0].partition(":")[2]
        self._secrets = {
            piece
            for text in (credentials, str(parts.get("password") or ""))
            for piece in (text, *_PIECES.split(text))
            if len(piece) >= _SHORTEST_SECRET
        }
        # A password that is the name of its user is no secret: the location shows it.
        self._secrets -= {str(parts.get(name)) for name in ("user", "dbname", "host")}

    def __repr__(self) -> str:
        return f"<Reasons {self.location}>"

    def of(self, error: BaseException) -> str:
        """Return what an error says, or its class if it may show a piece of the password."""
        text = first_line(error)
        return type(error).__name__ if any(secret in text for secret in self._secrets) else text

    def refusal(self, error: BaseException) -> OrcheoSqlError:
        """Return our error for a server that could not be reached, or would not have us."""
        if f'database "{self.database}" does not exist' in str(error):
            quoted = self.database.replace('"', '""')
            return ConfigError(
                f'the database does not exist ({self.location}); create it with: CREATE DATABASE "{quoted}";'
            )
        message = (
            f"can't connect to PostgreSQL ({self.location}): {self.of(error)} ({self.variable})"
        )
        if not worth_retrying(error):
            return ConfigError(message)
        return ConnectionLostError(message, dialect="postgres")
