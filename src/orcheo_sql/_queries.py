"""Queries as methods: one class per folder of SQL, bound to whatever runs it.

`queries.get_run(id=run_id)` runs ``workflows.get_run`` on the bound engine or transaction and returns what the operator
and the `Returns:` tag promise. `_query_types.py` is generated from the same files, so editors and mypy know each query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .engines.base import CompiledQuery, Executor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ._catalog import Catalog


class BoundQueries:
    """The queries of one folder on one executor."""

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor):
        self._executor = executor


def _method(query: CompiledQuery) -> Callable[..., Awaitable[Any]]:
    def method(self: BoundQueries, **params: Any) -> Awaitable[Any]:
        return self._executor.execute(query, params)

    method.__name__ = query.query.name
    method.__doc__ = query.query.doc
    return method


def bound_classes(catalog: Catalog) -> Mapping[str, type[BoundQueries]]:
    """Build the classes of one dialect, by folder name."""
    return {
        namespace: type(
            namespace.title(),
            (BoundQueries,),
            {
                "__slots__": (),
                **{q.name: _method(CompiledQuery(q)) for q in catalog.namespace(namespace)},
            },
        )
        for namespace in catalog.namespaces
    }
