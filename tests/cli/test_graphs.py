from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orcheo_sql import ConfigError
from orcheo_sql.cli import _graphs
from orcheo_sql.cli._demo_store import draft_of
from orcheo_sql.cli._graphs import GraphFile, pick_searches, read_graphs
from orcheo_sql.rules import normalize_workflow_handle
from orcheo_sql.rules.listeners import compile_listeners


def write(folder: Path, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / f"{name}.json").write_bytes(data)
    return folder


def only(folder: Path) -> GraphFile:
    graphs = read_graphs(folder)
    assert graphs.bad == []
    [graph] = graphs.good
    return graph


def test_samples_are_varied() -> None:
    graphs = read_graphs(None)
    assert graphs.bad == []
    assert 4 <= len(graphs.good) <= 6
    text = "".join(graph.name + (graph.description or "") for graph in graphs.good)
    assert not text.isascii()
    assert all(graph.labels and graph.examples and graph.description for graph in graphs.good)
    for graph in graphs.good:
        ids = {node["id"] for node in graph.graph["nodes"]}
        assert all({edge["source"], edge["target"]} <= ids for edge in graph.graph["edges"])


def test_one_sample_listens() -> None:
    compiled = [
        (graph, listener)
        for graph in read_graphs(None).good
        for listener in compile_listeners(graph.graph, workflow_id=uuid4(), version_id=uuid4())
    ]
    [(graph, listener)] = compiled
    assert (graph.handle, listener.platform) == ("support-triage", "telegram")
    assert listener.node_name in {node["id"] for node in graph.graph["nodes"]}


def test_what_a_workflow_is_called(tmp_path: Path) -> None:
    graph = only(write(tmp_path / "g", **{"My_sample flow": {"nodes": [], "tags": ["A", 1]}}))
    assert (graph.handle, graph.name) == ("my-sample-flow", "My sample flow")
    assert (graph.description, graph.tags) == (None, ["A"])
    named = only(write(tmp_path / "h", x={"name": " Triage ", "description": "Sorts."}))
    assert (named.name, named.description) == ("Triage", "Sorts.")


@pytest.mark.parametrize(
    "stem",
    [
        "日本",
        "Crème brûlée",
        "x" * 300,
        "0123456789abcdef0123456789abcdef",
        "--",
        "a" * 63 + "-b",
        ".",
    ],
)
def test_handles_of_odd_names(stem: str) -> None:
    handle = _graphs._handle(stem)
    assert normalize_workflow_handle(handle) == handle


def test_accents_are_dropped_in_handles() -> None:
    assert _graphs._handle("Crème brûlée") == "creme-brulee"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"[1]", "this is an array"),
        (b"null", "this is null"),
        (b"3", "this is a number"),
        (b"true", "this is a boolean"),
        (b'"x"', "this is a text"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": ["\\u0000"]}', "graph.a[0]"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested deeper than 200 levels"),
    ],
)
def test_files_that_are_no_graphs(tmp_path: Path, content: bytes, reason: str) -> None:
    graphs = read_graphs(write(tmp_path / "g", bad=content, good={}))
    assert [graph.file for graph in graphs.good] == ["good.json"]
    [(file, why)] = graphs.bad
    assert file == "bad.json"
    assert reason in why


def test_byte_order_mark(tmp_path: Path) -> None:
    assert only(write(tmp_path / "g", x=b'\xef\xbb\xbf{"name": "n"}')).name == "n"


def test_things_that_are_no_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "g", good={})
    (folder / "folder.json").mkdir()
    (folder / "link.json").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.json")
    assert [reason for _, reason in read_graphs(folder).bad] == ["not a regular file"] * 3


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_graphs, "LARGEST_FILE", 2**20)
    folder = write(tmp_path / "g", x={"a": "b" * 2**20})
    assert read_graphs(folder).bad == [("x.json", "larger than 1 MiB")]


def test_two_files_for_one_handle(tmp_path: Path) -> None:
    [(file, reason)] = read_graphs(write(tmp_path / "g", **{"a b": {}, "a-b": {}})).bad
    assert file == "a-b.json"
    assert "a b.json" in reason


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = write(tmp_path / "g")
    (folder / os.fsdecode(b"caf\xe9.json")).write_text("{}")
    graph = only(folder)
    assert graph.file == "caf\\xe9.json"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "g", x={}, y={})
    (folder / "x.json").chmod(0)
    assert "can't be read" in read_graphs(folder).bad[0][1]
    folder.chmod(0)
    with pytest.raises(ConfigError, match="can't be read"):
        read_graphs(folder)
    folder.chmod(0o700)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        read_graphs(tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"no \.json files"):
        read_graphs(write(tmp_path / "empty"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not a folder"):
        read_graphs(tmp_path / "file")


def graph_of(file: str, *labels: Any) -> GraphFile:
    nodes = [{"id": str(i), "label": label} for i, label in enumerate(labels)]
    return GraphFile(file, file, file, None, [], {"nodes": nodes})


def test_searches_are_words_that_some_graphs_have() -> None:
    graphs = [
        graph_of("one", "Vector store", "Prompt template", "Splitter"),
        graph_of("two", "Vector store", "Memory"),
        graph_of("three", "Prompt template", "Vector store"),
        graph_of("four", "Prompt template", "Memory", "Vector store"),
        graph_of("five", "Agent"),
    ]
    picked = pick_searches(graphs)
    assert picked[0] in {"prompt", "template", "memory", "splitter", "vector", "store"}
    assert any("-" in query for query in picked)
    assert any("*" in query for query in picked)
    assert '"Vector store"' in picked


def test_searches_of_graphs_without_words() -> None:
    assert pick_searches([]) == []
    assert pick_searches([graph_of("x", 3, None)]) == []


def test_labels_wherever_they_are() -> None:
    nodes = [{"data": {"label": "a"}}, {"label": "b"}, {"name": "c"}, {"data": 3}, 7, {"label": 1}]
    assert GraphFile("x", "x", "x", None, [], {"nodes": nodes}).labels == ["a", "b", "c"]


def test_draft_lacks_the_last_node_and_its_edges() -> None:
    graph = {
        "nodes": [{"id": "a"}, {"id": "b"}],
        "edges": [{"source": "a", "target": "b"}, {"source": "a", "target": "a"}, 7],
    }
    assert draft_of(graph) == {
        "nodes": [{"id": "a"}],
        "edges": [{"source": "a", "target": "a"}, 7],
    }


@pytest.mark.parametrize("graph", [{}, {"nodes": [{}]}, {"nodes": "ab"}, {"nodes": [1, 2]}])
def test_graphs_too_small_for_a_draft(graph: dict[str, Any]) -> None:
    assert draft_of(graph) is None
