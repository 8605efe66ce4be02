"""Check the calls of queries in Python code: ``self.q.<query>(…)`` passes exactly the declared parameters.

Rules for the code, so that this can be told without running it:

- A class that calls ``self.q`` says which folder of queries that is, by an annotation: ``q: Workflows``. In a unit of work
  the same queries are ``unit.workflows.q``.
- Arguments are keywords. ``**name`` is allowed where `name` is a `TypedDict` by its annotation, or a dict written out
  in the same function.
- A query is called, not handed around: ``self.q.get_run`` without a call is a finding.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .findings import Finding, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set
    from pathlib import Path

    from orcheo_sql._catalog import Query

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Code:
    """What was read of the Python files."""

    trees: dict[Path, ast.Module] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    called: set[str] = field(default_factory=set)


def check_calls(
    paths: Sequence[Path], queries: Mapping[str, Query], unreadable: Set[str] = frozenset()
) -> list[Finding]:
    """Return wrong calls in Python files, and queries that nothing calls; calls of `unreadable` ones pass."""
    read = _read(paths)
    for path, tree in read.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                _ClassChecker(read, path, node, queries, unreadable).check()
    for name, query in queries.items():
        if name not in read.called:
            message = f"{query.name} is not called by any repository"
            read.findings.append(Finding(query.path, query.line, message))
    return read.findings


def _read(paths: Sequence[Path]) -> Code:
    read = Code()
    for path in paths:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        except SyntaxError as error:
            read.findings.append(Finding(path, error.lineno or 1, f"not Python: {error.msg}"))
            continue
        read.trees[path] = tree
        read.classes.update({n.name: n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)})
    return read


class _ClassChecker:
    """Checks the calls in one class."""

    def __init__(
        self,
        read: Code,
        path: Path,
        node: ast.ClassDef,
        queries: Mapping[str, Query],
        unreadable: Set[str],
    ):
        self._read = read
        self._path = path
        self._node = node
        self._queries = queries
        self._unreadable = unreadable
        self._namespace = _annotation(node.body, "q")

    def check(self) -> None:
        for function in ast.walk(self._node):
            if isinstance(function, Function):
                self._check_function(function)

    def _check_function(self, function: Function) -> None:
        aliases = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and self._is_q(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        calls = {id(n.func): n for n in ast.walk(function) if isinstance(n, ast.Call)}
        for node in ast.walk(function):
            if not isinstance(node, ast.Attribute):
                continue
            is_alias = isinstance(node.value, ast.Name) and node.value.id in aliases
            if is_alias or self._is_q(node.value):
                self._check_use(function, node, calls.get(id(node)))

    def _is_q(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Attribute) or node.attr != "q":
            return False
        folder = (self._namespace or "").lower()
        is_of_unit = isinstance(node.value, ast.Attribute) and node.value.attr == folder
        return is_of_unit or _is_name(node.value, "self")

    def _check_use(self, function: Function, use: ast.Attribute, call: ast.Call | None) -> None:
        if self._namespace is None:
            self._report(use, f"class {self._node.name} does not annotate q: which folder is it?")
            return
        name = f"{self._namespace.lower()}.{use.attr}"
        query = self._queries.get(name)
        if query is None:
            if name not in self._unreadable:
                self._report(use, f"no query is named {name}")
            return
        self._read.called.add(name)
        if call is None:
            self._report(
                use, f"{use.attr} is handed on, not called: its arguments can't be checked"
            )
        else:
            self._check_arguments(function, query, call)

    def _check_arguments(self, function: Function, query: Query, call: ast.Call) -> None:
        if call.args:
            self._report(call, f"{query.name}: arguments are keywords")
            return
        given: list[tuple[str, ast.expr]] = []
        for keyword in call.keywords:
            if keyword.arg is not None:
                given.append((keyword.arg, keyword.value))
                continue
            names = self._unpacked(function, keyword.value)
            if names is None:
                self._report(
                    keyword.value,
                    f"{query.name}: `**{ast.unparse(keyword.value)}` can't be followed: "
                    "annotate it with a TypedDict",
                )
                return
            given += [(n, keyword.value) for n in names]
        for name, node in given:
            if name not in query.parameters:
                self._report(node, f"{query.name} has no parameter {name} ({place(query)})")
        known = [name for name, _ in given]
        for name in sorted({n for n in known if known.count(n) > 1}):
            self._report(call, f"{query.name}: {name} is given twice")
        missing = [p for p in query.parameters if p not in known]
        if missing:
            what = ", ".join(missing)
            self._report(call, f"{query.name}: {what} missing ({place(query)})")

    def _unpacked(self, function: Function, node: ast.expr) -> list[str] | None:
        """Return the keys of what ``**`` spreads, or None when nobody can tell."""
        if isinstance(node, ast.Dict):
            return self._keys_of(function, node)
        if not isinstance(node, ast.Name):
            return None
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.arg == node.id:
                return self._typed_dict(argument.annotation)
        for statement in ast.walk(function):
            if isinstance(statement, ast.AnnAssign) and _is_name(statement.target, node.id):
                keys = self._typed_dict(statement.annotation)
                if keys is not None:
                    return keys
                value = statement.value
                return self._unpacked(function, value) if isinstance(value, ast.Dict) else None
            if isinstance(statement, ast.Assign) and _is_name(statement.targets[0], node.id):
                value = statement.value
                return self._unpacked(function, value) if isinstance(value, ast.Dict) else None
        return None

    def _keys_of(self, function: Function, node: ast.Dict) -> list[str] | None:
        names: list[str] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                names.append(key.value)
                continue
            inner = self._unpacked(function, value) if key is None else None
            if inner is None:
                return None
            names += inner
        return names

    def _typed_dict(self, annotation: ast.expr | None) -> list[str] | None:
        """Return the keys of the TypedDict that an annotation names."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            name: str | None = annotation.value
        else:
            name = annotation.id if isinstance(annotation, ast.Name) else None
        node = self._read.classes.get(name or "")
        if node is None:
            return None
        bases = [b.id for b in node.bases if isinstance(b, ast.Name)]
        names: list[str] = []
        if "TypedDict" not in bases:
            inherited = [self._typed_dict(b) for b in node.bases]
            if not inherited or None in inherited:
                return None
            names = [n for keys in inherited for n in keys or ()]
        return names + [
            s.target.id
            for s in node.body
            if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
        ]

    def _report(self, node: ast.expr, message: str) -> None:
        self._read.findings.append(Finding(self._path, node.lineno, message))


def _annotation(body: Sequence[ast.stmt], name: str) -> str | None:
    """Return the last word of a class variable's annotation."""
    for statement in body:
        if isinstance(statement, ast.AnnAssign) and _is_name(statement.target, name):
            return ast.unparse(statement.annotation).strip("'\"").rpartition(".")[2]
    return None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files of a folder."""
    yield from sorted(folder.rglob("*.py"))
