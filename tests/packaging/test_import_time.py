from __future__ import annotations

import os
import subprocess
import sys

# What only some users need, or what takes long to load: imported on first use.
LAZY = (
    "aiosql.",
    "aiosqlite.",
    "argon2.",
    "cryptography.",
    "psycopg.",
    "pydantic.",
    "rich.",
    "sqlite3.",
    "typer.",
    "orcheo_sql.check.",
    "orcheo_sql.cli.",
)

PROGRAM = """
import sys
before = set(sys.modules)
import orcheo_sql
print(*sorted(set(sys.modules) - before), sep="\\n")
"""


def test_import_loads_no_driver_and_no_cli() -> None:
    loaded = run(PROGRAM).split()
    assert "orcheo_sql" in loaded
    assert [name for name in loaded if f"{name}.".startswith(LAZY)] == []


def test_all_public_names_can_be_imported() -> None:
    program = "from orcheo_sql import *; import orcheo_sql; print(len(orcheo_sql.__all__))"
    assert int(run(program)) > 0


def run(program: str) -> str:
    # Coverage would start in the child, and it loads sqlite3.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=env, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    return child.stdout
