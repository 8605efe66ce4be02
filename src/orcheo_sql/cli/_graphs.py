"""Agent-flow graphs from files: reading them, and what they are about."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

from orcheo_sql._documents import MAX_DEPTH, encode_definition
from orcheo_sql._errors import ConfigError, ValidationError
from orcheo_sql._search import search_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

LARGEST_FILE = 64 * 1024 * 1024
LONGEST_LABEL = 80

SAMPLE_SEARCHES = (
    "refund",
    "ruckerstattung",
    '"human approval"',
    "approval -contract",
    "prüf*",
    "東京",
    "合同",
)


@dataclass(frozen=True)
class GraphFile:
    """One graph, and what a workflow of it is called."""

    file: str
    handle: str
    name: str
    description: str | None
    tags: list[str]
    graph: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """What the nodes are called."""
        return list(_labels(self.graph))

    @property
    def examples(self) -> list[str]:
        """What users might ask of it."""
        return [text for text in _items(self.graph.get("examples")) if isinstance(text, str)]


@dataclass
class Graphs:
    """What a folder held: graphs, and files that are none, each with the reason."""

    good: list[GraphFile] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, file: str, reason: str) -> None:
        """Note a file that can't be used."""
        self.bad.append((file, reason))


def read_graphs(folder: Path | None) -> Graphs:
    """Read the ``*.json`` files of a folder, or the samples that come with the package.

    Raises:
        ConfigError: the folder is missing, can't be read, or has no such file.
    """
    graphs = Graphs()
    handles: dict[str, str] = {}
    for file in _files(folder):
        # A name that is not UTF-8 can't be stored as it is.
        name = os.fsencode(file.name).decode("utf-8", "backslashreplace")
        try:
            found = _graph_file(name, _read(file))
        except ValueError as error:
            graphs.refuse(name, str(error))
            continue
        if other := handles.get(found.handle):
            graphs.refuse(name, f"gives the handle {found.handle}, as {other} does: rename one")
            continue
        handles[found.handle] = name
        graphs.good.append(found)
    return graphs


def pick_searches(graphs: list[GraphFile]) -> list[str]:
    """Return search texts that show what search can do on these graphs: words that some of them have."""
    names = {word for g in graphs for word in search_text(g.name, g.labels).split()}
    about = [set(search_text(g.name, g.graph).split()) for g in graphs]
    spread = Counter(word for words in about for word in words & names if _is_telling(word))
    aim = max(len(graphs) / 3, 1)
    words = sorted(spread, key=lambda word: (abs(spread[word] - aim), word))[:20]
    if not words:
        return []
    first = words[0]
    picked = [first, f"{first[:4]}*"]
    # A second word that some graphs share with the first, and some don't.
    split = {word: sum({first, word} <= have for have in about) for word in words[1:]}
    if other := next((word for word in words[1:] if 0 < split[word] < spread[first]), None):
        picked += [f"{first} {other}", f"{first} -{other}"]
    phrases = Counter(
        label for g in graphs for label in set(g.labels) if 1 < len(label.split()) < 5
    )
    if phrases:
        picked.append('"{}"'.format(phrases.most_common(1)[0][0].replace('"', " ")))
    return picked


def _files(folder: Path | None) -> list[Traversable | Path]:
    if folder is None:
        samples = resources.files("orcheo_sql") / "samples"
        return sorted(samples.iterdir(), key=lambda file: file.name)
    if not folder.exists():
        raise ConfigError(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise ConfigError(f"{folder}: not a folder; name one that holds .json files")
    try:
        files: list[Traversable | Path] = [*sorted(folder.glob("*.json"))]
        next(folder.iterdir(), None)
    except OSError as error:
        raise ConfigError(f"{folder}: can't be read ({error.strerror})") from None
    if not files:
        raise ConfigError(f"{folder}: holds no .json files")
    return files


def _read(file: Traversable | Path) -> dict[str, Any]:
    try:
        if not file.is_file():
            raise ValueError("not a regular file")
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    if len(data) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE // 2**20} MiB")
    try:
        graph = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except RecursionError:  # how deep that is depends on the release of Python
        raise ValueError(f"graph: nested deeper than {MAX_DEPTH} levels") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(graph, dict):
        raise ValueError(f"a graph is a JSON object, this is {_kind(graph)}")  # noqa: TRY004
    try:
        encode_definition(graph, name="graph")  # as create_version will
    except ValidationError as error:
        raise ValueError(str(error)) from None
    return graph


def _graph_file(file: str, graph: dict[str, Any]) -> GraphFile:
    stem = file.removesuffix(".json")
    handle = _handle(stem)
    title = _text(graph.get("name"), 128) or _text(re.sub(r"[\s_-]+", " ", stem), 128) or handle
    listed = [*_items(graph.get("tags")), *_items(graph.get("usecases"))]
    return GraphFile(
        file=file,
        handle=handle,
        name=title,
        description=_text(graph.get("description"), 1024),
        tags=[tag for tag in listed if isinstance(tag, str)],
        graph=graph,
    )


def _handle(stem: str) -> str:
    """Return a handle for a file name; one without any ASCII letter or digit, or like a UUID, is named by its hash."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    handle = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].rstrip("-")
    if handle and not re.fullmatch(r"[0-9a-f]{32}", handle.replace("-", "")):
        return handle
    return f"graph-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:12]}"


def _labels(graph: dict[str, Any]) -> Iterator[str]:
    for node in _items(graph.get("nodes")):
        if not isinstance(node, dict):
            continue
        data = node.get("data")
        for holder in (data if isinstance(data, dict) else {}, node):
            label = holder.get("label") or holder.get("name")
            if isinstance(label, str) and label.strip():
                yield label.strip()[:LONGEST_LABEL]
                break


def _is_telling(word: str) -> bool:
    return len(word) >= 5 and word.isalpha()


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _text(value: Any, longest: int) -> str | None:
    return value.strip()[:longest].strip() or None if isinstance(value, str) else None


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {list: "an array", str: "a text", bool: "a boolean"}
    return kinds.get(type(value), "a number")
