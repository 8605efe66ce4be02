"""Find the values of settings in arguments, environment and ``.env``, and remember where."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from orcheo_sql._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from pydantic_settings import BaseSettings

PREFIX = "ORCHEO_"

# Names of another client of this library. They count only where no ORCHEO_ value is given.
ALIASES = {"CHECKPOINT_MODE": "checkpoint_backend", "POSTGRES_URI": "postgres_dsn"}

_ARGUMENT_ALIASES = frozenset(alias.lower() for alias in ALIASES)

# High enough to let the product's other keys pass, e.g. POSTGRES_DB beside POSTGRES_DSN.
_NEAR = 0.9


@dataclass(frozen=True, slots=True)
class Found:
    """A value that was set somewhere; text of a secret is wrapped so that no traceback shows it."""

    value: object
    variable: str
    source: str


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A variable that looks like one of ours, misspelt. Its value is not kept: maybe a secret."""

    variable: str
    source: str
    meant: str


@dataclass(slots=True)
class Findings:
    """All that was found: values by field, misspelt variables, arguments that are no setting."""

    values: dict[str, Found] = field(default_factory=dict)
    near_misses: list[NearMiss] = field(default_factory=list)
    unknown_arguments: list[str] = field(default_factory=list)


def variable_of(name: str) -> str:
    """Return the full environment name of a field."""
    return f"{PREFIX}{name.upper()}"


def closest(name: str, names: Collection[str]) -> str | None:
    """Return the field that a misspelt name most likely means."""
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)), None)


def shielded(values: Mapping[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """Drop what counts as not given (None, blank text), trim text, wrap secrets untouched."""
    kept = {}
    for name, value in values.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if isinstance(value, str):
            value = SecretStr(value) if name in secrets else value.strip()
        kept[name] = value
    return kept


def read_environment(settings_cls: type[BaseSettings]) -> Mapping[str, str | None]:
    """Return the environment variables by lower-case name."""
    return EnvSettingsSource(settings_cls).env_vars


def read_dotenv(
    settings_cls: type[BaseSettings], path: str | Path | None
) -> Mapping[str, str | None]:
    """Return the variables of a ``.env`` file by lower-case name; none if there is no file."""
    if path is None:
        return {}
    try:
        return DotEnvSettingsSource(settings_cls, env_file=path, env_file_encoding="utf-8").env_vars
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except RuntimeError:
        problem = "its ~ can't be expanded"
    # Raised here, not above: the decoder's error holds the content of the file.
    raise ConfigError(f"The settings file {path} can't be read: {problem}.")


def collect(
    fields: Collection[str],
    secrets: Collection[str],
    arguments: Mapping[str, Any],
    variables: Mapping[str, Mapping[str, str | None]],
) -> Findings:
    """Merge the sources, the strongest first; `variables` holds the outer ones by their label."""
    findings = Findings()
    for name, value in shielded(arguments, secrets).items():
        if name in fields:
            findings.values[name] = Found(value, variable_of(name), "argument")
        elif name not in _ARGUMENT_ALIASES:
            findings.unknown_arguments.append(name)
    for source, texts in variables.items():
        _take_variables(findings, fields, secrets, texts, source)
    _take_aliases(findings, secrets, arguments, "argument", str.lower)
    for source, texts in variables.items():
        _take_aliases(findings, secrets, texts, source, str.upper)
    return findings


def _take_variables(
    findings: Findings,
    fields: Collection[str],
    secrets: Collection[str],
    texts: Mapping[str, str | None],
    source: str,
) -> None:
    prefix = PREFIX.lower()
    ours = {name[len(prefix) :]: text for name, text in texts.items() if name.startswith(prefix)}
    for name, value in shielded(ours, secrets).items():
        if name in fields:
            findings.values.setdefault(name, Found(value, variable_of(name), source))
        elif meant := closest(name, fields):
            miss = NearMiss(variable_of(name), source, variable_of(meant))
            findings.near_misses.append(miss)


def _take_aliases(
    findings: Findings,
    secrets: Collection[str],
    texts: Mapping[str, Any],
    source: str,
    spelt: Callable[[str], str],
) -> None:
    for alias, name in ALIASES.items():
        value = shielded({name: texts.get(alias.lower())}, secrets).get(name)
        if value is not None:
            label = f"alias {spelt(alias)} ({source})"
            findings.values.setdefault(name, Found(value, spelt(alias), label))
