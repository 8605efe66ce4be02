"""Render ``docs/settings.md``; run as a module, write it to standard output."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Any

from orcheo_sql._errors import ConfigError
from orcheo_sql.settings._location import HOMES
from orcheo_sql.settings._model import RULES, SECRETS, Settings, as_text
from orcheo_sql.settings._sources import ALIASES, collect, variable_of

_PAGE = """\
# Settings

<!-- Generated from the fields of `Settings`. Write it anew with
     python -m orcheo_sql.settings._settings_docs > docs/settings.md -->

Nothing has to be set. Without a single variable, all data is kept in one SQLite file,
`~/.orcheo/orcheo.sqlite`.

## Where data lives

By default all parts of the library share one SQLite file (`ORCHEO_DATABASE_PATH`), so that one
transaction can span them. A part whose own path is set gets a file of its own; its writes then
wait for nobody else's, but it can't share a transaction with the others: that is refused, not
half kept. Parts with the same path share that file.

Each part can move to PostgreSQL by its backend. All parts on PostgreSQL share one database
(`ORCHEO_POSTGRES_DSN`) and one pool. `inmemory` is SQLite in memory: all such parts share one
database, which is gone when it is closed. `ORCHEO_DATABASE_PATH=:memory:` keeps everything there.

{homes}

The default file names of the older product (`workflows.sqlite`, `vault.sqlite`, …) are never
opened unless a path names them.

## Where values come from

The first place that has a value wins:

1. an argument: `load_settings(database_path="data/app.sqlite")`; `None` counts as not given
2. the environment
3. the file `.env` in the working directory
4. an alias, in the same three places
5. the default

`orcheo-sql settings` prints every value in force and its source, secrets masked; `--json` is for
scripts. These rules hold everywhere:

- A blank value counts as not set. Names and backends may be written in any letter case.
- In a path `~` is the home directory, and a relative path starts from the working directory. The
  one exception, kept from the older product: a relative `ORCHEO_GRAPH_STORE_SQLITE_PATH` is
  refused while that backend is `sqlite`. Unlike there, `~` is welcome.
- Connection strings and keys are taken as text, never parsed as numbers. No error and no listing
  shows them: a key reads `***`, a connection string has `***` for its password.

Other variables that begin with `ORCHEO_` belong to other parts of the product and are ignored. One
that looks like a misspelt key of this page is named by `orcheo-sql settings`.

## Keys

{keys}

## Aliases

Names of another client. They count only where no `ORCHEO_` value is given. As arguments they are
written in lower case.

{aliases}

## Examples

One file in the project, one for credentials, a smaller set of readers:

```sh
ORCHEO_DATABASE_PATH=data/app.sqlite
ORCHEO_VAULT_LOCAL_PATH=~/.orcheo/vault-only.sqlite
ORCHEO_SQLITE_READERS=2
```

Everything on PostgreSQL, behind a pooler in transaction mode:

```sh
{postgres}
```

In code, with the values of the environment below the arguments:

```python
from orcheo_sql.settings import Subsystem, load_settings

settings = load_settings(database_path="data/app.sqlite", auto_migrate=False)
print(settings.location(Subsystem.WORKFLOWS))
for item in settings.explain():
    print(item.name, item.value, item.source)
```

## When a value is wrong

All problems are reported together, in one `ConfigError` (a `ValueError`) that shows no secret. With

```sh
{wrong}
```

it reads:

```text
{error}
```
"""

_POSTGRES = {
    "repository_backend": "postgres",
    "chatkit_backend": "postgres",
    "checkpoint_backend": "postgres",
    "graph_store_backend": "postgres",
    "vault_backend": "postgres",
    "auth_service_token_backend": "postgres",
    "postgres_dsn": "postgresql://orcheo:secret@pooler:6432/orcheo",
    "postgres_migration_dsn": "postgresql://orcheo:secret@database:5432/orcheo",
    "postgres_pooler": "transaction",
    "vault_encryption_key": "<at least 32 random bytes, e.g. openssl rand -hex 32>",
}
_WRONG = {
    "repository_backend": "mysql",
    "checkpoint_backend": "postgres",
    "vault_backend": "aws_kms",
    "postgres_migration_dsn": "postgresql+asyncpg://orcheo:secret@database/orcheo",
    "postgres_pool_min_size": "20",
    "chatkit_retention_days": "a month",
}


def render_settings_page() -> str:
    """Return the text of ``docs/settings.md``."""
    return _PAGE.format(
        homes=_homes(),
        keys=_keys(),
        aliases=_table(
            ["alias", "key"], [[f"`{alias}`", _code(name)] for alias, name in ALIASES.items()]
        ),
        postgres=_lines(_POSTGRES),
        wrong=_lines(_WRONG),
        error=_error_of(_WRONG),
    )


def _homes() -> str:
    rows = [[f"`{part}`", _code(backend), _code(path)] for part, (backend, path) in HOMES.items()]
    return _table(["part", "backend", "own file"], rows)


def _keys() -> str:
    sections = []
    for group, names in groupby(Settings.model_fields, key=_group):
        rows = [_row(name) for name in names]
        sections.append(f"### {group}\n\n{_table(['key', 'default', 'allowed', 'meaning'], rows)}")
    return "\n\n".join(sections)


def _row(name: str) -> list[str]:
    field = Settings.model_fields[name]
    default = as_text(name, field.default)
    shown = "not set" if default is None else f"`{default}`"
    return [_code(name), shown, RULES[name].allowed, field.description or ""]


def _group(name: str) -> str:
    extra: Any = Settings.model_fields[name].json_schema_extra
    return str(extra["group"])


def _error_of(values: dict[str, str]) -> str:
    variables = {variable_of(name).lower(): value for name, value in values.items()}
    findings = collect(Settings.model_fields, SECRETS, {}, {"environment": variables})
    try:
        Settings(_findings=findings)
    except ConfigError as error:
        return str(error)
    raise AssertionError("the example of the page is not wrong any more")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _lines(values: dict[str, str]) -> str:
    return "\n".join(f"{variable_of(name)}={value}" for name, value in values.items())


def _code(name: str) -> str:
    return f"`{variable_of(name)}`"


if __name__ == "__main__":
    sys.stdout.write(render_settings_page())
