"""Sample arguments: what queries are given when they are tried on seeded data, or explained.

A seed file names them in comments, as JSON: ``-- sample: status = "failed"`` for every query of the folder that has the
parameter, ``-- sample: start_run.id = …`` for one. What is not named follows from the parameter's name. A query is run
again for each trial that is named behind a slash: ``-- sample: update_workflow/archiving.is_archived = true``; the other
arguments of a trial are the query's own. The trial ``conflict`` is the one that has to be refused.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from orcheo_sql._documents import JsonText
from orcheo_sql._errors import QueryError, ValidationError
from orcheo_sql._search import parse_search

from .analysis import assigned
from .sqltext import code, lines_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from orcheo_sql._catalog import Query

SEARCH = "search"
_LINE = re.compile(
    r"^--\s*sample:\s*(?:(?P<query>\w+(?:/\w+)?)\.)?(?P<name>\w+)\s*=\s*(?P<value>.+)$"
)
_EVENT = {"actor": "ada", "action": "checked", "at": "2026-01-02T03:04:05.000006Z", "metadata": {}}
_NOW = "2026-01-02T03:04:05.000006Z"
_HIGH, _LOW = "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"
_FRESH = "0badf00d-0000-4000-8000-000000000001"

# By name, the first that fits: what a parameter is called says what it holds.
_BY_NAME: tuple[tuple[re.Pattern[str], Any], ...] = tuple(
    (re.compile(pattern), value)
    for pattern, value in (
        (r"limit$", 51),
        (r"before_id$", _HIGH),
        (r"after_id$", _LOW),
        (r"before_at$|created_before$", "9999-01-01T00:00:00.000000Z"),
        (r"after_at$|created_from$", "0001-01-01T00:00:00.000000Z"),
        (r"(now|.*_at)$", _NOW),
        (r"after_\w+$", 0),
        (r"(.*_)?id$", _FRESH),
        (r"(.*_)?event$", _EVENT),
        (r"(is|has|include|clear|require)_\w+$", False),
        (r"(graph|metadata|.*_payload|.*_config)$", {}),
        (r".*_contains$", {}),
        (r"(prompts|models|tags|.*_conditions)$", []),
        (r"search$", "flow"),
    )
)


@dataclass(frozen=True)
class Sample:
    """A value, as its JSON says, and ``file:line`` of the line that names it."""

    value: Any
    place: str = ""


class Samples:
    """The sample arguments of one tree."""

    def __init__(self, given: Mapping[tuple[str, str, str], Sample]):
        self._given = given
        self._seeds = sorted({seeds for seeds, _, _ in given})

    def of(self, query: Query, parameter: str) -> Sample:
        """Return the sample of one parameter."""
        for name in (query.name, ""):
            for seeds in self._seeds:
                sample = self._given.get((seeds, name, parameter))
                if not _is_for(seeds, query) or sample is None:
                    continue
                if name or not _is_inserted_id(query, parameter):
                    return sample
        return Sample(next((v for p, v in _BY_NAME if p.fullmatch(parameter)), "sample"))

    def trials(self, query: Query) -> dict[str, dict[str, Sample]]:
        """Return the trials that samples name for a query, each with the parameters it gives by itself."""
        found: dict[str, dict[str, Sample]] = {}
        for (seeds, owner, parameter), sample in self._given.items():
            name, slash, trial = owner.partition("/")
            if slash and name == query.name and _is_for(seeds, query):
                found.setdefault(trial, {})[parameter] = sample
        return found

    def unknown(self, queries: Collection[Query]) -> Iterator[tuple[str, str]]:
        """Yield the place of each sample that no query takes, and what it says."""
        for (seeds, owner, parameter), sample in self._given.items():
            name = owner.partition("/")[0]
            if not any(
                _is_for(seeds, q) and name in ("", q.name) and parameter in q.parameters
                for q in queries
            ):
                yield sample.place, f"{owner}.{parameter}" if owner else parameter

    def arguments(
        self,
        query: Query,
        types: Mapping[str, str],
        *,
        without: Collection[str] = (),
        given: Mapping[str, Sample] | None = None,
    ) -> dict[str, Any]:
        """Return arguments as a repository would pass them; those of `without` are None.

        Those that are `given` are not looked for.

        Raises:
            QueryError: a sample does not fit the type of its parameter; names file and line.
        """
        arguments: dict[str, Any] = dict.fromkeys(query.parameters)
        for name in query.parameters:
            if name in without:
                continue
            sample = (given or {}).get(name) or self.of(query, name)
            try:
                arguments[name] = as_argument(name, sample.value, types.get(name, ""))
            except ValidationError as error:
                if sample.place:
                    raise QueryError(f"{sample.place}: {query.name}: {error}") from None
                raise QueryError(
                    f"{query.place}: {query.name}: {error}; name a sample in the seeds: "
                    f"-- sample: {query.name}.{name} = ..."
                ) from None
        return arguments


def _is_for(seeds: str, query: Query) -> bool:
    """Whether a seed file has samples for a query: `workflows` and `workflows_cron` have them for workflows."""
    return seeds == query.namespace or seeds.startswith(f"{query.namespace}_")


def _is_inserted_id(query: Query, parameter: str) -> bool:
    """Whether a parameter becomes the id of a new row: then it must not be one that exists."""
    return any(
        column == "id" and name == parameter for _, column, name in assigned(code(query.sql))
    )


def as_argument(name: str, value: Any, type_name: str) -> Any:
    """Return a JSON value as the Python value that a parameter of this PostgreSQL type is given.

    Raises:
        ValidationError: it has no such form.
    """
    if value is None:
        return None
    if name == SEARCH:
        return parse_search(value)
    try:
        return _CONVERT.get(type_name, _by_form)(value)
    except (ValueError, TypeError):
        raise ValidationError(f"{name}: {value!r} is no {type_name}") from None


def _by_form(value: Any) -> Any:
    """Convert a value whose type nobody knows: containers are documents, the rest binds as it is."""
    return _document(value) if isinstance(value, (dict, list)) else value


def _document(value: Any) -> JsonText:
    return JsonText(msgspec.json.encode(value).decode())


def _instant(value: Any) -> datetime:
    return datetime.fromisoformat(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_CONVERT: dict[str, Any] = {
    "uuid": UUID,
    "timestamp with time zone": _instant,
    "json": _document,
    "jsonb": _document,
    "boolean": _boolean,
    "bigint": int,
    "integer": int,
    "text": str,
}


def load_samples(paths: list[Path]) -> Samples:
    """Read the ``sample`` lines of seed files; a file is named after the folder of queries it is for, and a topic.

    Raises:
        QueryError: a line is no sample, or its value no JSON; names file and line.
    """
    given: dict[tuple[str, str, str], Sample] = {}
    for path in paths:
        for number, line in enumerate(lines_of(path), 1):
            if re.match(r"--\s*sample:", line):
                query, name, sample = _sample(line, f"{path}:{number}")
                given[path.stem, query, name] = sample
    return Samples(given)


def _sample(line: str, place: str) -> tuple[str, str, Sample]:
    match = _LINE.match(line)
    if match is not None:
        with suppress(msgspec.MsgspecError):
            value = msgspec.json.decode(match["value"].encode())
            return match["query"] or "", match["name"], Sample(value, place)
    raise QueryError(f'{place}: a sample reads like: -- sample: status = "failed"')
