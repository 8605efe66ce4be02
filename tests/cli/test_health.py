from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.cli.conftest import Cli, configure
from tests.fixtures.databases import postgres_settings

from orcheo_sql._database import SUBSYSTEMS
from orcheo_sql.cli import health as module


def test_healthy(cli: Cli, configured: dict[str, Any], dialect: str) -> None:
    done = cli("health")
    assert done.status == 0
    assert "workflows" in done.out
    [document] = cli("health", "--json").json
    assert document["ok"] is True
    assert document["dialect"] == dialect
    assert document["parts"] == [part.value for part in SUBSYSTEMS]
    assert document["schema_version"] >= 1
    assert document["latency_seconds"] > 0
    assert document["pool"]["size"] >= 1


def test_schema_behind(cli: Cli, unmigrated: dict[str, Any]) -> None:
    done = cli("health", "--json")
    assert done.status == 1
    assert done.json[0]["ok"] is False
    assert "orcheo-sql migrate up" in done.json[0]["error"]


def test_missing_database(cli: Cli, monkeypatch: pytest.MonkeyPatch, postgres_server: Any) -> None:
    dsn = postgres_server.create_database()
    postgres_server.drop_database(dsn)
    configure(monkeypatch, postgres_settings(dsn))
    [document] = cli("health", "--json").json
    assert document["reachable"] is False
    assert "CREATE DATABASE" in document["error"]
    done = cli("demo")
    assert done.status == 2
    assert "CREATE DATABASE" in done.err
    assert done.is_quiet


def test_server_that_never_answers(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> dict[str, Any]:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            dsn = f"postgresql://ada:hunter2@127.0.0.1:{port}/orcheo"
            configure(monkeypatch, postgres_settings(dsn))
            [(_, found)] = await module._reports(0.2)
            return {"reachable": found.reachable, "error": found.error}

    found = asyncio.run(run())
    assert found["reachable"] is False
    assert "hunter2" not in found["error"]
