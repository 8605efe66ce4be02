"""The FastAPI example does what docs/fastapi.md says, on both databases."""

from __future__ import annotations

import importlib.util
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from orcheo_sql import ConnectionLostError, CredentialHealthError, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from fastapi import FastAPI

PATH = Path(__file__).parents[2] / "examples" / "fastapi_app.py"
GRAPH = {"nodes": [{"id": "llm", "label": "Answer the customer"}], "edges": []}


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fastapi_app", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test/api") as client,
    ):
        yield client


@pytest.fixture
async def app(example: ModuleType, settings_of: dict[str, Any]) -> FastAPI:
    created: FastAPI = example.create_app(load_settings(**settings_of))
    return created


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


async def add_workflow(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    body = {"name": "Support", "graph": GRAPH, **fields}
    answer = await client.post("/workflows", json=body, headers={"x-actor": "ada"})
    assert answer.status_code == 201, answer.text
    workflow: dict[str, Any] = answer.json()
    return workflow


async def add_run(client: httpx.AsyncClient, ref: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(f"/workflows/{ref}/runs", json=fields)
    assert answer.status_code == 201, answer.text
    run: dict[str, Any] = answer.json()
    return run


async def test_a_workflow_is_created_with_its_first_version(client: httpx.AsyncClient) -> None:
    workflow = await add_workflow(client, handle="support", tags=["Chat"])
    assert workflow["tags"] == ["chat"]
    assert workflow["audit_log"][0]["actor"] == "ada"

    by_handle = await client.get("/workflows/Support")
    assert by_handle.json() == workflow
    listed = (await client.get("/workflows")).json()
    assert [(w["id"], w["latest_version"]) for w in listed["items"]] == [(workflow["id"], 1)]
    assert listed["next_cursor"] is None
    found = (await client.get("/workflows", params={"q": "customer"})).json()
    assert [w["id"] for w in found["items"]] == [workflow["id"]]


async def test_neither_is_created_when_the_version_is_refused(client: httpx.AsyncClient) -> None:
    body = {"name": "Support", "graph": {"nodes": [{"label": "a\0b"}]}}
    answer = await client.post("/workflows", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("graph.nodes[0].label: a NUL character")
    assert (await client.get("/workflows")).json()["items"] == []


async def test_a_run_lives(client: httpx.AsyncClient) -> None:
    await add_workflow(client, handle="support")
    run = await add_run(client, "support", input={"question": "why?"})
    assert (run["status"], run["triggered_by"]) == ("pending", "api")
    assert (await client.post(f"/runs/{run['id']}/start")).json()["status"] == "running"

    twice = await client.post(f"/runs/{run['id']}/start")
    assert twice.status_code == 409
    assert twice.json() == {"detail": "Only pending runs can be started."}

    done = await client.post(f"/runs/{run['id']}/succeed", json={"output": {"answer": "because"}})
    assert done.json()["output_payload"] == {"answer": "because"}
    assert (await client.get(f"/runs/{run['id']}")).json() == done.json()


async def test_runs_fail_and_are_cancelled(client: httpx.AsyncClient) -> None:
    await add_workflow(client, handle="support")
    first, second = [await add_run(client, "support") for _ in range(2)]
    failed = await client.post(f"/runs/{first['id']}/fail", json={"error": "no model"})
    assert failed.json()["error"] == "no model"
    cancelled = await client.post(f"/runs/{second['id']}/cancel", json={})
    assert cancelled.json()["status"] == "cancelled"

    listed = await client.get("/workflows/support/runs", params={"status": "failed"})
    assert [r["id"] for r in listed.json()["items"]] == [first["id"]]
    page = (await client.get("/workflows/support/runs", params={"limit": 1})).json()
    rest = await client.get("/workflows/support/runs", params={"cursor": page["next_cursor"]})
    assert [r["id"] for r in page["items"] + rest.json()["items"]] == [second["id"], first["id"]]


async def test_a_run_of_an_older_version(client: httpx.AsyncClient) -> None:
    await add_workflow(client, handle="support")
    second = await client.post("/workflows/support/versions", json={"graph": {}, "notes": "empty"})
    assert second.json()["version"] == 2
    latest = await add_run(client, "support")
    older = await add_run(client, "support", version=1)
    assert latest["workflow_version_id"] == second.json()["id"] != older["workflow_version_id"]


async def test_what_is_missing_is_404(client: httpx.AsyncClient) -> None:
    await add_workflow(client, handle="support")
    for answer, detail in (
        (await client.get("/workflows/nothing"), "Workflow not found"),
        (await client.get(f"/runs/{uuid4()}"), "Workflow run not found"),
        (
            await client.post("/workflows/support/runs", json={"version": 7}),
            "Workflow version not found",
        ),
    ):
        assert (answer.status_code, answer.json()) == (404, {"detail": detail})


async def test_conflicts_are_409(client: httpx.AsyncClient) -> None:
    await add_workflow(client, handle="support")
    taken = await client.post("/workflows", json={"name": "B", "handle": "support", "graph": {}})
    assert taken.status_code == 409
    assert taken.json()["detail"] == {
        "message": "Workflow handle 'support' is already in use.",
        "code": "workflow.handle.conflict",
    }
    assert (await client.put("/workflows/support/publication")).json()["is_public"] is True
    twice = await client.put("/workflows/support/publication")
    assert twice.status_code == 409
    assert twice.json()["detail"]["code"] == "workflow.publish.invalid_state"
    revoked = await client.delete("/workflows/support/publication")
    assert revoked.json()["is_public"] is False


async def test_archived_workflows_start_no_runs(client: httpx.AsyncClient) -> None:
    await add_workflow(client, handle="support")
    archived = await client.patch("/workflows/support", json={"is_archived": True})
    assert archived.json()["is_archived"] is True
    assert archived.json()["name"] == "Support"
    assert (await client.post("/workflows/support/runs", json={})).status_code == 404


async def test_bad_input_is_422_in_our_words(client: httpx.AsyncClient) -> None:
    blank = await client.post("/workflows", json={"name": " ", "graph": {}})
    assert blank.status_code == 422
    assert blank.json() == {"detail": "Workflow name must not be empty."}
    assert (await client.get("/workflows", params={"cursor": "x"})).status_code == 422
    assert (await client.get("/workflows", params={"q": "-only"})).status_code == 422
    await add_workflow(client, handle="support")
    too_many = await client.get("/workflows/support/runs", params={"limit": 201})
    assert too_many.status_code == 422


async def test_health(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert [database["reachable"] for database in ready.json()] == [True]


async def test_not_ready_without_a_database(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    (reachable,) = await app.state.db.health()

    async def health() -> list[Any]:
        return [type(reachable)(reachable.dialect, reachable.location, reachable=False)]

    monkeypatch.setattr(app.state.db, "health", health)
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/livez")).status_code == 200


def test_errors_of_collaborators_have_answers(example: ModuleType) -> None:
    class Report:
        workflow_id = uuid4()
        failures = ("token expired",)

    unhealthy = example.refusal(CredentialHealthError(Report()))
    assert (unhealthy[0], unhealthy[1]["failures"]) == (422, ("token expired",))
    assert example.refusal(ConnectionLostError("gone"))[0] == 503


async def test_database_errors_are_503(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get_run(_run_id: object) -> None:
        raise ConnectionLostError("gone")

    monkeypatch.setattr(app.state.db.workflows, "get_run", get_run)
    answer = await client.get(f"/runs/{uuid4()}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "gone" not in answer.text


def test_importing_the_example_opens_nothing(example: ModuleType) -> None:
    assert not hasattr(example.app.state, "db")
