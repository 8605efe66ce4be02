from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from orcheo_sql.cli import main

SOURCES = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed where."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def is_quiet(self) -> bool:
        """No traceback anywhere, and nothing that calls itself unexpected."""
        text = self.out + self.err
        return "Traceback" not in text and "should not happen" not in text


class Cli(Protocol):
    def __call__(self, *args: str | Path) -> Outcome: ...


def environment(overrides: dict[str, Any]) -> dict[str, str]:
    """Return settings, named as in Python, as variables."""
    return {f"ORCHEO_{name.upper()}": str(value) for name, value in overrides.items()}


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, with the settings of the environment."""

    def run(*args: str | Path) -> Outcome:
        capfd.readouterr()
        status = main([str(arg) for arg in args])
        return Outcome(status, *capfd.readouterr())

    return run


@pytest.fixture
def shell() -> Cli:
    """Run a command in a process of its own, with the settings of the environment."""

    def run(*args: str | Path) -> Outcome:
        child = subprocess.run(command(*args), env=child_environment(), capture_output=True)
        return Outcome(child.returncode, child.stdout.decode(), child.stderr.decode())

    return run


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "orcheo_sql", *map(str, args)]


def child_environment(**more: str) -> dict[str, str]:
    paths = [str(SOURCES), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def configure(monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any]) -> None:
    for name, value in environment(overrides).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, settings_of: dict[str, Any]) -> dict[str, Any]:
    """Put the settings of an empty, migrated database into the environment."""
    configure(monkeypatch, settings_of)
    return settings_of


@pytest.fixture
def unmigrated(monkeypatch: pytest.MonkeyPatch, empty_settings: dict[str, Any]) -> dict[str, Any]:
    """Put the settings of a database without any table into the environment."""
    configure(monkeypatch, empty_settings)
    return empty_settings
