from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIALECTS = ("sqlite", "postgres")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what would be uploaded. Not through pip, which would download the build backend."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return target


@pytest.fixture(scope="module")
def wheel(dist: Path) -> dict[str, bytes]:
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(dist: Path) -> dict[str, bytes]:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive]
        # names begin with the folder "orcheo_sql-<version>/"
        return {name.partition("/")[2]: file.read() for name, file in members if file}


def checkout() -> dict[str, bytes]:
    """Return the SQL trees of the checkout: path below ``sql/`` to content."""
    root = ROOT / "sql"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def below(files: dict[str, bytes], prefix: str) -> dict[str, bytes]:
    return {name.removeprefix(prefix): v for name, v in files.items() if name.startswith(prefix)}


def test_wheel_carries_the_sql_of_the_checkout(wheel: dict[str, bytes]) -> None:
    packed = below(wheel, "orcheo_sql/sql/")
    for dialect in DIALECTS:
        assert any(name.startswith(f"{dialect}/") and name.endswith(".sql") for name in packed)
    assert packed == checkout()


def test_wheel_is_typed_and_carries_the_package_alone(wheel: dict[str, bytes]) -> None:
    assert "orcheo_sql/py.typed" in wheel
    tops = {name.partition("/")[0] for name in wheel if ".dist-info/" not in name}
    assert tops == {"orcheo_sql"}
    sources = ROOT / "src" / "orcheo_sql"
    modules = {path.relative_to(sources).as_posix() for path in sources.rglob("*.py")}
    assert {name for name in below(wheel, "orcheo_sql/") if name.endswith(".py")} == modules


def test_wheel_names_its_command_and_licence(wheel: dict[str, bytes]) -> None:
    metadata = {name.partition(".dist-info/")[2]: content for name, content in wheel.items()}
    assert b"orcheo-sql = orcheo_sql.cli:main" in metadata["entry_points.txt"]
    assert metadata["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_sdist_carries_what_a_build_and_its_tests_need(sdist: dict[str, bytes]) -> None:
    assert below(sdist, "sql/") == checkout()
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements-dev.lock",
        "tests/conftest.py",
    ):
        assert name in sdist
