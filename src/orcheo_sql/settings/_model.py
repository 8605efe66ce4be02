"""The tree of settings: `_sources` finds the values, `_types` judges them, this names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orcheo_sql._errors import ConfigError
from orcheo_sql.settings import _types as t
from orcheo_sql.settings._location import HOMES, Location, Subsystem
from orcheo_sql.settings._masking import MASK, mask_dsn
from orcheo_sql.settings._problems import describe
from orcheo_sql.settings._sources import (
    PREFIX,
    Findings,
    collect,
    read_dotenv,
    read_environment,
    shielded,
    variable_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DATABASE = "~/.orcheo/orcheo.sqlite"

_BACKENDS = (
    "repository_backend",
    "chatkit_backend",
    "checkpoint_backend",
    "graph_store_backend",
    "vault_backend",
    "auth_service_token_backend",
)


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """One setting as it is in force: environment name, value as text, and where it came from.

    A secret's value is masked. Only a variable that looks like a misspelt setting has a `warning`.
    """

    name: str
    value: str | None
    source: str
    secret: bool
    help: str
    warning: str | None = None


def _setting(default: object, group: str, description: str) -> Any:
    return Field(default, description=description, json_schema_extra={"group": group})


def _backend(default: str, description: str) -> Any:
    return _setting(default, "Backends", description)


def _sqlite(default: object, description: str) -> Any:
    return _setting(default, "SQLite", description)


def _own_file(subsystems: str) -> Any:
    return _sqlite(None, f"Own SQLite file of {subsystems}. Not set: `ORCHEO_DATABASE_PATH`.")


def _behaviour(default: object, description: str) -> Any:
    return _setting(default, "Schema, SQL and time limits", description)


def _postgres(default: object, description: str) -> Any:
    return _setting(default, "PostgreSQL", description)


def _history(default: object, description: str) -> Any:
    return _setting(default, "Run history", description)


def _chatkit(default: object, description: str) -> Any:
    return _setting(default, "ChatKit and vault", description)


def _tokens(default: object, description: str) -> Any:
    return _setting(default, "Service tokens", description)


class Settings(BaseSettings):
    """Every setting of this library, checked and frozen.

    The first place that has a value wins: arguments, ``ORCHEO_`` variables of the environment,
    those of ``.env`` in the working directory, aliases, the defaults below.
    """

    # The input is hidden in case a Settings is validated as part of a client's own model.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        validate_default=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    # Backends come first: a field's validator sees the fields above it.
    repository_backend: t.MemoryBackend = _backend(
        "sqlite", "Database of workflows, run history and training checkpoints."
    )
    chatkit_backend: t.Backend = _backend(
        "sqlite", "Database of ChatKit threads, items and attachments."
    )
    checkpoint_backend: t.Backend = _backend(
        "sqlite", "Database of LangGraph checkpoints and run snapshots."
    )
    graph_store_backend: t.Backend = _backend("sqlite", "Database of the LangGraph store.")
    vault_backend: t.VaultBackend = _backend("file", "Database of credentials; `file` is SQLite.")
    auth_service_token_backend: t.MemoryBackend = _backend("sqlite", "Database of service tokens.")

    database_path: t.DatabaseFile = _sqlite(
        Path(DEFAULT_DATABASE), "SQLite file of every subsystem that has no file of its own."
    )
    repository_sqlite_path: t.OwnFile = _own_file("workflows, run history and training checkpoints")
    chatkit_sqlite_path: t.OwnFile = _own_file("ChatKit")
    sqlite_path: t.OwnFile = _own_file("LangGraph checkpoints and run snapshots")
    graph_store_sqlite_path: t.GraphStoreFile = _own_file("the LangGraph store")
    vault_local_path: t.OwnFile = _own_file("credentials")
    auth_service_token_db_path: t.OwnFile = _own_file("service tokens")
    sqlite_readers: t.Readers = _sqlite(4, "Read connections per SQLite database; one more writes.")
    sqlite_busy_timeout_seconds: t.TimeoutSeconds = _sqlite(
        60.0, "How long SQLite waits for another process that is writing."
    )

    postgres_dsn: t.Dsn = _postgres(
        None, "Connection string. Required as soon as one backend is `postgres`."
    )
    postgres_migration_dsn: t.Dsn = _postgres(
        None,
        "Direct connection string for migrations behind a pooler. Not set: `ORCHEO_POSTGRES_DSN`.",
    )
    postgres_pooler: t.Pooler = _postgres(
        "auto",
        "Whether the DSN leads to a pooler in transaction mode, which forbids prepared statements "
        "and session settings; `auto` decides when opening.",
    )
    postgres_pool_min_size: t.PoolSize = _postgres(
        1, "Connections kept open; not above the maximum."
    )
    postgres_pool_max_size: t.PoolSize = _postgres(10, "Most connections of one process.")
    postgres_pool_timeout: t.PoolSeconds = _postgres(
        30.0, "How long a call waits for a free connection."
    )
    postgres_pool_max_idle: t.PoolSeconds = _postgres(
        300.0, "How long a connection above the minimum stays open unused."
    )
    postgres_connect_timeout_seconds: t.TimeoutSeconds = _postgres(
        30.0, "How long opening keeps trying to reach the server."
    )

    auto_migrate: t.Flag = _behaviour(
        True, "Bring the schema up to date when opening; if off, an old schema is refused."
    )
    sql_override_dir: t.OptionalFolder = _behaviour(
        None, "Folder of `.sql` files that replace packaged queries."
    )
    statement_timeout_seconds: t.OptionalTimeoutSeconds = _behaviour(
        30.0, "Longest time one statement may run."
    )
    lock_timeout_seconds: t.TimeoutSeconds = _behaviour(
        10.0, "Longest wait for a lock held by another transaction."
    )
    slow_query_seconds: t.PositiveSeconds = _behaviour(
        0.25, "A statement that takes longer is logged."
    )

    history_max_payload_bytes: t.Bytes = _history(
        16_777_216, "Largest document of a run history, such as the payload of one step."
    )
    history_redact: t.Flag = _history(
        True, "Keep the values of keys such as `password` or `access_token` out of run histories."
    )
    history_search: t.Flag = _history(
        False, "Keep the words of the steps that are appended, to be searched."
    )

    chatkit_storage_path: t.Folder = _chatkit(
        Path("~/.orcheo/chatkit"), "Folder of uploaded files."
    )
    chatkit_max_upload_size_bytes: t.Bytes = _chatkit(5_000_000, "Largest upload.")
    chatkit_retention_days: t.Days = _chatkit(30, "Age at which an unused thread may be pruned.")
    vault_encryption_key: t.Key = _chatkit(
        None,
        "Key of the credentials, taken as it is written. Required for the `postgres` vault; "
        "without it the `file` vault keeps a key file, and the `inmemory` vault makes a key "
        "that lasts as long as itself.",
    )
    vault_token_ttl_seconds: t.PositiveInt = _chatkit(
        3600, "How long before its expiry an OAuth token is refreshed."
    )

    auth_service_token_hash_memory_kib: t.HashMemory = _tokens(
        19_456, "Memory that hashing a new token takes (argon2id), in KiB."
    )
    auth_service_token_hash_passes: t.HashPasses = _tokens(
        2, "How often hashing a new token goes over that memory."
    )
    auth_service_token_hash_lanes: t.HashLanes = _tokens(
        1, "Lanes in which hashing a new token may be split."
    )
    auth_service_token_hash_threads: t.HashThreads = _tokens(
        2, "How many tokens one process hashes at the same time, each in a thread."
    )
    auth_service_token_cache_seconds: t.CacheSeconds = _tokens(
        60.0,
        "How long after its last use a process remembers that a token fits its hash; 0 verifies it anew every time.",
    )
    auth_service_token_usage_seconds: t.TimeoutSeconds = _tokens(
        60.0, "How often a process writes the uses of tokens that it has counted."
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _misspelt: tuple[SettingOrigin, ...] = PrivateAttr(default=())

    def __init__(
        self,
        *,
        _env_file: str | Path | None = ".env",
        _findings: Findings | None = None,
        **overrides: Any,
    ) -> None:
        # Rebound at once: the raw text of a secret stays in no frame of ours.
        overrides = shielded(overrides, SECRETS)
        findings = _findings or _find(overrides, _env_file)
        errors: list[Any] = []
        values: dict[str, Any] = {name: item.value for name, item in findings.values.items()}
        try:
            super().__init__(**values)
        except ValidationError as error:
            errors = list(error.errors(include_url=False, include_input=False))
        # Raised out here, so that pydantic's error is not even the context of ours.
        if problems := describe(errors, findings, RULES):
            raise ConfigError(problems)
        self._origins = {name: found.source for name, found in findings.values.items()}
        self._misspelt = _misspelt(findings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave only the values that `__init__` collected: it has to know where each came from."""
        return (init_settings,)

    @field_validator("postgres_dsn")
    @classmethod
    def _dsn_is_there(cls, dsn: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        consumers = [name for name in _BACKENDS if info.data.get(name) == "postgres"]
        if dsn is None and consumers:
            raise PydanticCustomError("dsn_required", "no DSN", {"consumers": consumers})
        return dsn

    @field_validator("postgres_pool_max_size")
    @classmethod
    def _pool_sizes_fit(cls, largest: int, info: ValidationInfo) -> int:
        smallest = info.data.get("postgres_pool_min_size", largest)
        if smallest > largest:
            raise t.conflict(
                f"ORCHEO_POSTGRES_POOL_MIN_SIZE ({smallest}) must not be above "
                f"ORCHEO_POSTGRES_POOL_MAX_SIZE ({largest})."
            )
        return largest

    @field_validator("vault_encryption_key")
    @classmethod
    def _vault_key_is_there(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("vault_backend") == "postgres":
            raise t.conflict(
                "ORCHEO_VAULT_ENCRYPTION_KEY must be set when using the postgres vault backend."
            )
        return key

    def location(self, subsystem: Subsystem) -> Location:
        """Return the database in which a subsystem lives."""
        backend_field, path_field = HOMES[subsystem]
        backend = getattr(self, backend_field)
        if backend == "postgres":
            return Location("postgres", dsn=self.postgres_dsn)
        path = getattr(self, path_field) or self.database_path
        return Location("sqlite", None if backend == "inmemory" or path == t.MEMORY else path)

    def explain(self) -> list[SettingOrigin]:
        """Return each setting and its source, secrets masked; last, what looks misspelt."""
        origins = [
            SettingOrigin(
                name=variable_of(name),
                value=as_text(name, getattr(self, name)),
                source=self._origins.get(name, "default"),
                secret=RULES[name].secret,
                help=field.description or "",
            )
            for name, field in type(self).model_fields.items()
        ]
        return [*origins, *self._misspelt]


def load_settings(*, env_file: str | Path | None = ".env", **overrides: Any) -> Settings:
    """Read the settings; `overrides`, by field name, win over everything else.

    An override of None counts as not given; `env_file` None reads no file. Whatever is wrong is
    listed in one ConfigError.
    """
    # Rebound for the sake of tracebacks, as in `Settings.__init__`.
    overrides = shielded(overrides, SECRETS)
    return Settings(_env_file=env_file, **overrides)


def as_text(name: str, value: object) -> str | None:
    """Return a value as it would be written in the environment, masked when it is a secret."""
    if isinstance(value, SecretStr):
        return mask_dsn(value.get_secret_value()) if name.endswith("_dsn") else MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else str(value)


def _rule(name: str) -> t.Rule:
    return next(item for item in Settings.model_fields[name].metadata if isinstance(item, t.Rule))


def _find(overrides: Mapping[str, Any], env_file: str | Path | None) -> Findings:
    outer = {
        "environment": read_environment(Settings),
        str(env_file): read_dotenv(Settings, env_file),
    }
    return collect(Settings.model_fields, SECRETS, overrides, outer)


def _misspelt(findings: Findings) -> tuple[SettingOrigin, ...]:
    return tuple(
        SettingOrigin(
            name=miss.variable,
            value=MASK,
            source=miss.source,
            secret=True,
            help="",
            warning=f"{miss.variable} is not a setting; did you mean {miss.meant}?",
        )
        for miss in findings.near_misses
    )


RULES = {name: _rule(name) for name in Settings.model_fields}
SECRETS = frozenset(name for name, rule in RULES.items() if rule.secret)
