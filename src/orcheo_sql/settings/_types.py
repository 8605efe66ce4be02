"""The types of settings; each says once what it allows, for the errors and for the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from orcheo_sql.settings._masking import looks_like_dsn

MEMORY = Path(":memory:")

_INT32 = 2**31 - 1
# Both databases take timeouts as a 32-bit count of milliseconds.
_LONGEST = _INT32 // 1000
_POSITIVE = f"greater than 0, at most {_LONGEST}"
_DSN = re.compile(r"postgres(ql)?://|[a-z_]+\s*=")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting allows; ``{name}`` in `complaint` stands for the variable that was read."""

    allowed: str
    complaint: str
    secret: bool = False


def refusal(reason: str) -> PydanticCustomError:
    """Return the error for a value that the complaint of its rule would not explain."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


def conflict(reason: str) -> PydanticCustomError:
    """Return the error for settings that don't fit each other; the reason names all of them."""
    return PydanticCustomError("complete", "{reason}", {"reason": reason})


def _lowered(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _vault_backend(value: Any) -> Any:
    backend = _lowered(value)
    if backend == "aws_kms":
        raise refusal(
            "{name}: 'aws_kms' is not supported by this library."
            " Use 'file', 'postgres' or 'inmemory'."
        )
    return backend


def _text(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - pydantic lets a TypeError through
    return str(value)


def _whole(most: int, least: int = 1) -> BeforeValidator:
    """Take any object whose text is an integer from `least` to `most`."""

    def validate(value: Any) -> int:
        number = int(_text(value))
        if not least <= number <= most:
            raise ValueError
        return number

    return BeforeValidator(validate)


def _whole_rule(most: int, complaint: str = "{name} must be an integer.") -> Rule:
    allowed = f"greater than 0, at most {most}"
    return Rule(f"integer {allowed}", f"{complaint} Allowed: {allowed}.")


def _range_rule(least: int, most: int) -> Rule:
    allowed = f"at least {least}, at most {most}"
    return Rule(f"integer, {allowed}", f"{{name}} must be an integer. Allowed: {allowed}.")


def _seconds(*, least: float = 0.0, zero: bool = False) -> BeforeValidator:
    """Take any object whose text is a number above 0 and not below `least`; 0 too if `zero`.

    Where the database counts milliseconds, less than one would become 0: no limit at all.
    """

    def validate(value: Any) -> float:
        number = float(_text(value))
        if number == 0 and zero:
            return 0.0
        if not (number > 0 and least <= number <= _LONGEST):
            raise ValueError
        return number

    return BeforeValidator(validate)


def _seconds_rule(allowed: str, complaint: str = "{name} must be a number of seconds.") -> Rule:
    return Rule(f"seconds, {allowed}", f"{complaint} Allowed: {allowed}.")


def _path(value: Any) -> Path:
    """Make a path absolute: expand ``~``, start from the working directory, follow links.

    Links are followed so that two spellings of one file are one location.
    """
    if not isinstance(value, str | Path):
        raise ValueError  # noqa: TRY004 - pydantic lets a TypeError through
    if looks_like_dsn(str(value)) or str(value).startswith("file:"):
        raise refusal("{name} must be a filesystem path, not a URL or connection string.")
    try:
        return Path(value).expanduser().resolve()
    except (OSError, RuntimeError):
        raise refusal("{name} can't be resolved to an absolute filesystem path.") from None


def _optional_path(value: Any) -> Path | None:
    return None if value is None else _path(value)


def _database_file(value: Any) -> Path | None:
    return MEMORY if str(value) == str(MEMORY) else _optional_path(value)


def _graph_store_file(value: Any, info: ValidationInfo) -> Path | None:
    path = _database_file(value)
    if path in (None, MEMORY) or info.data.get("graph_store_backend") != "sqlite":
        return path
    if not Path(value).is_absolute() and not str(value).startswith("~"):
        raise refusal("{name} must be an absolute filesystem path.")
    return path


def _secret(value: Any) -> SecretStr | None:
    if value is None or isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - pydantic lets a TypeError through
    return SecretStr(value)


def _dsn(value: Any) -> SecretStr | None:
    secret = _secret(value)
    if secret is None:
        return None
    text = secret.get_secret_value().strip()
    if not _DSN.match(text) or "\0" in text:
        raise ValueError
    return SecretStr(text)


Backend = Annotated[
    Literal["sqlite", "postgres"],
    BeforeValidator(_lowered),
    Rule("`sqlite`, `postgres`", "{name} must be either 'sqlite' or 'postgres'."),
]
MemoryBackend = Annotated[
    Literal["inmemory", "sqlite", "postgres"],
    BeforeValidator(_lowered),
    Rule("`inmemory`, `sqlite`, `postgres`", "{name} must be 'inmemory', 'sqlite', or 'postgres'."),
]
VaultBackend = Annotated[
    Literal["inmemory", "file", "postgres"],
    BeforeValidator(_vault_backend),
    Rule(
        "`inmemory`, `file`, `postgres`",
        # The first sentence is the text that operators of the product know.
        "{name} must be one of 'inmemory', 'file', 'aws_kms', or 'postgres'."
        " Of these, 'aws_kms' is not supported by this library.",
    ),
]
Pooler = Annotated[
    Literal["auto", "none", "transaction"],
    BeforeValidator(_lowered),
    Rule(
        "`auto`, `none`, `transaction`", "{name} must be one of 'auto', 'none', or 'transaction'."
    ),
]
Flag = Annotated[
    bool,
    Rule("`true`, `false` (also `1`/`0`, `yes`/`no`, `on`/`off`)", "{name} must be true or false."),
]
DatabaseFile = Annotated[
    Path,
    BeforeValidator(_database_file),
    Rule("file path, or `:memory:`", "{name} must be a filesystem path."),
]
OwnFile = Annotated[
    Path | None,
    BeforeValidator(_database_file),
    Rule("file path, or `:memory:`", "{name} must be a filesystem path."),
]
GraphStoreFile = Annotated[
    Path | None,
    BeforeValidator(_graph_store_file),
    Rule("absolute or `~` file path, or `:memory:`", "{name} must be an absolute filesystem path."),
]
Folder = Annotated[
    Path,
    BeforeValidator(_path),
    Rule("folder path", "{name} must be a filesystem path."),
]
OptionalFolder = Annotated[
    Path | None,
    BeforeValidator(_optional_path),
    Rule("folder path", "{name} must be a filesystem path."),
]
Dsn = Annotated[
    SecretStr | None,
    BeforeValidator(_dsn),
    Rule(
        "`postgresql://…` or `key=value …`",
        "{name} must begin with 'postgresql://' (no '+driver') or be 'key=value' pairs.",
        secret=True,
    ),
]
Key = Annotated[
    SecretStr | None, BeforeValidator(_secret), Rule("text", "{name} must be text.", secret=True)
]
PositiveInt = Annotated[int, _whole(_INT32), _whole_rule(_INT32)]
Bytes = Annotated[int, _whole(2**63 - 1), _whole_rule(2**63 - 1)]
# A thousand years: more can't be subtracted from today's date.
Days = Annotated[int, _whole(365_000), _whole_rule(365_000)]
# Each reader is a thread.
Readers = Annotated[int, _whole(64), _whole_rule(64)]
# The floors are OWASP's minimum for argon2id; more than the ceilings would take minutes, or the machine's memory.
HashMemory = Annotated[int, _whole(4_194_304, 19_456), _range_rule(19_456, 4_194_304)]
HashPasses = Annotated[int, _whole(100, 2), _range_rule(2, 100)]
HashLanes = Annotated[int, _whole(64), _whole_rule(64)]
HashThreads = Annotated[int, _whole(64), _whole_rule(64)]
PoolSize = Annotated[
    int,
    _whole(10_000),
    _whole_rule(10_000, "{name}: PostgreSQL pool size must be a positive integer."),
]
PoolSeconds = Annotated[
    float,
    _seconds(),
    _seconds_rule(_POSITIVE, "{name}: PostgreSQL pool timeout must be a positive number."),
]
PositiveSeconds = Annotated[float, _seconds(), _seconds_rule(_POSITIVE)]
TimeoutSeconds = Annotated[
    float, _seconds(least=0.001), _seconds_rule(f"at least 0.001, at most {_LONGEST}")
]
OptionalTimeoutSeconds = Annotated[
    float,
    _seconds(least=0.001, zero=True),
    _seconds_rule(f"0 (no limit), or at least 0.001, at most {_LONGEST}"),
]
CacheSeconds = Annotated[
    float,
    _seconds(least=0.001, zero=True),
    _seconds_rule(f"0 (nothing is remembered), or at least 0.001, at most {_LONGEST}"),
]
