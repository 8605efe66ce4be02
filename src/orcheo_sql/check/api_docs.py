"""Render ``docs/api.md`` from the public names of `orcheo_sql`: signatures, fields, docstrings."""

from __future__ import annotations

import enum
import inspect
import re
from functools import cached_property
from textwrap import dedent, indent
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

import orcheo_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEAD = """\
# API reference

<!-- Generated from the docstrings. Write it anew with
     python -m orcheo_sql.check.docs --write -->

Everything is imported from `orcheo_sql`. All calls that reach a database are coroutines.
"""

# What a reader looks for together. A public name that is missing here is found by the generator.
_GROUPS: dict[str, tuple[str, ...]] = {
    "Opening a database": ("Database", "Transaction"),
    "Workflows": ("WorkflowRepository",),
    "Service tokens": (
        "ServiceTokenManager",
        "ServiceTokenRepository",
        "ServiceTokenRecord",
        "ServiceTokenStatus",
        "ServiceTokenAuditEntry",
    ),
    "Run history": (
        "HistoryRepository",
        "RunHistoryRecord",
        "RunHistoryStep",
        "RunHistoryHit",
        "RunHistoryStatus",
    ),
    "Training checkpoints": ("AgentensorRepository", "AgentensorCheckpoint"),
    "Run snapshots": ("RunSnapshotRepository", "RunSnapshot", "RunSummary", "SavedRun"),
    "What comes back": (
        "Workflow",
        "WorkflowVersion",
        "WorkflowRun",
        "WorkflowSummary",
        "RunStatusCounts",
        "VersionDiff",
        "AuditRecord",
        "AuditEntry",
        "WorkflowChatKitConfig",
        "ChatKitStartScreenPrompt",
        "ChatKitSupportedModel",
        "WorkflowDraftAccess",
        "WorkflowRunStatus",
        "Page",
    ),
    "Schedules": ("CronTriggerConfig", "CronMisfirePolicy", "CronSchedule", "CronScheduleState"),
    "Webhooks": ("WebhookTriggerConfig", "RateLimitConfig", "WebhookRequest"),
    "Manual dispatch": ("ManualDispatchRequest", "ManualDispatchItem"),
    "Retries": ("RetryPolicyConfig", "RetryDecision", "RunRetry", "RunRetryStatus"),
    "Listeners": (
        "ListenerSubscription",
        "ListenerSubscriptionStatus",
        "ListenerLease",
        "ListenerCursor",
        "ListenerDispatchPayload",
        "ListenerDispatchMessage",
        "ListenerDedupeRecord",
        "ListenerHealthSnapshot",
    ),
    "The outbox": ("OutboxEntry", "OutboxCounts"),
    "Filters": ("JsonFilter",),
    "Settings": ("Settings", "Subsystem", "load_settings"),
    "Health and timing": ("DatabaseHealth", "PoolFigures", "QueryTiming"),
    "Credentials": ("CredentialHealthService", "CredentialHealthReport"),
    "The SQL itself": ("load_queries", "sqlite_connection", "postgres_connection"),
}

# Public among the parts of the library, of no use to its users.
_PLUMBING = frozenset(
    {
        "Database.attempt",
        "Database.current",
        "Database.engine",
        "Database.query_class",
        "Database.sealer",
        "Transaction.attempt",
        "Transaction.fail",
        "Transaction.run",
        "Transaction.session",
    }
)

_WIDTH = 100
_STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_SECTION = re.compile(r"^(Args|Raises|Returns):\n((?:    .*\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}\w+): ", re.MULTILINE)
_TABLE = re.compile(r"^=+(?: +=+)+\n((?:.*\n)+?)=+(?: +=+)+$", re.MULTILINE)
_CODE = re.compile(r"^::\n\n((?:    .*\n|\n)+)", re.MULTILINE)
_LITERAL = re.compile(r"(?<!`)``([^`\n]+)``(?!`)")
_QUALIFIED = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")


def render_api_page() -> str:
    """Return the text of ``docs/api.md``."""
    parts = [_HEAD]
    for title, names in _GROUPS.items():
        parts += [f"## {title}\n", *(_entry(name) for name in names)]
    parts.append(_errors())
    return "\n".join(parts)


def _public_errors() -> list[str]:
    return [
        name
        for name in orcheo_sql.__all__
        if isinstance(found := getattr(orcheo_sql, name), type) and issubclass(found, Exception)
    ]


def _errors() -> str:
    """List the errors; every other public name has to stand in a group."""
    errors = _public_errors()
    grouped = {name for names in _GROUPS.values() for name in names}
    forgotten = set(orcheo_sql.__all__) - grouped - set(errors) - {"__version__"}
    if forgotten:
        raise AssertionError(f"api_docs._GROUPS lacks {', '.join(sorted(forgotten))}")
    rows = [f"| `{name}` | {_first_line(getattr(orcheo_sql, name))} |" for name in errors]
    table = "\n".join(["| error | |", "|---|---|", *rows])
    return f"## Errors\n\nTheir tree, and what to do about each, is in [errors](errors.md).\n\n{table}\n"


def _entry(name: str) -> str:
    found = getattr(orcheo_sql, name)
    if not inspect.isclass(found):
        return _block(f"### {name}", _signature(found, name), found)
    if issubclass(found, enum.Enum):
        values = ", ".join(f"`{member.value}`" for member in found)
        return f"{_block(f'### {name}', None, found)}\nValues: {values}\n{_members(found, name)}"
    if issubclass(found, msgspec.Struct) or hasattr(found, "_fields"):
        return f"{_block(f'### {name}', None, found)}\n{_fields(found)}{_members(found, name)}"
    signature = None if _hides_its_arguments(found) else _signature(found, name)
    return _block(f"### {name}", signature, found) + _members(found, name)


def _hides_its_arguments(found: type) -> bool:
    """Whether nobody calls the class: others make its objects, or implement it."""
    return getattr(found, "_is_protocol", False) or found.__name__ in (
        "Settings",
        "Transaction",
        "WorkflowRepository",
    )


def _block(heading: str, signature: str | None, documented: Any) -> str:
    code = f"\n```python\n{signature}\n```\n" if signature else ""
    doc = _markdown(inspect.getdoc(documented) or "")
    if inspect.isclass(documented) and "__init__" in vars(documented) and signature:
        doc += "\n" + _markdown(_arguments(documented.__init__))
    return f"{heading}\n{code}\n{doc}".rstrip("\n") + "\n"


def _arguments(init: Any) -> str:
    """Return the docstring of a constructor without its first sentence, which the class has said."""
    _, _, rest = (inspect.getdoc(init) or "").partition("\n\n")
    return rest


def _members(owner: type, name: str) -> str:
    """Render the public methods and properties, each class of the tree before its base."""
    parts = []
    for attribute, member in _own_members(owner):
        if f"{name}.{attribute}" in _PLUMBING:
            continue
        heading = f"\n#### {name}.{attribute}"
        if isinstance(member, property | cached_property):
            function: Any = member.fget if isinstance(member, property) else member.func
            kind = _shown(function.__annotations__.get("return", ""))
            parts.append(_block(f"{heading}: `{kind}`", None, member))
        else:
            parts.append(_block(heading, _signature(member, attribute), member))
    return "".join(parts)


def _own_members(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield what our classes define, in the order in which they define it, bases first."""
    seen: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if not base.__module__.startswith("orcheo_sql") or issubclass(base, Exception):
            continue
        for attribute, member in vars(base).items():
            ours = getattr(member, "__module__", base.__module__).startswith("orcheo_sql")
            is_function = inspect.isfunction(member) and ours
            if not is_function and not isinstance(member, property | cached_property):
                continue
            if not attribute.startswith("_") and inspect.getdoc(member):
                seen[attribute] = member
    yield from seen.items()


def _fields(found: type) -> str:
    """Render the fields of a struct or a named tuple as a table."""
    rows = []
    if issubclass(found, msgspec.Struct):
        derived: frozenset[str] = getattr(found, "derived_fields", frozenset())
        for field in msgspec.structs.fields(found):
            note = "mirrors `runnable_config`" if field.name in derived else _default(field)
            rows.append((field.name, _shown(field.type), note))
    else:
        hints = get_type_hints(found)
        rows = [(name, _shown(hints[name]), "") for name in found._fields]  # type: ignore[attr-defined]
    lines = [f"| `{name}` | `{_escaped(kind)}` | {note} |" for name, kind, note in rows]
    return "\n".join(["| field | type | default |", "|---|---|---|", *lines]) + "\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        made: Any = field.default_factory
        return f"`{made()!r}`" if made in (list, dict) else f"`{made.__name__}()`"
    if field.default is msgspec.NODEFAULT:
        return ""
    if field.default is msgspec.UNSET:
        return "not given"
    value = field.default.value if isinstance(field.default, enum.Enum) else field.default
    return f"`{_literal(value)}`"


def _escaped(kind: str) -> str:
    return kind.replace("|", "\\|")


def _signature(found: Callable[..., Any], name: str) -> str:
    """Write a signature as a stub, formatted as ruff would."""
    if inspect.isclass(found):
        stub = _stub("def __init__", ["self", *_parameters(found)], " -> None", _WIDTH - 4)
        return f"class {name}:\n{indent(stub, '    ')}"
    target = inspect.unwrap(found)
    result = _shown(inspect.signature(target).return_annotation)
    if inspect.isasyncgenfunction(target) and found is not target:
        # Its decorator made it a context manager.
        result = result.replace("AsyncIterator", "AbstractAsyncContextManager")
    word = "async def" if inspect.iscoroutinefunction(target) else "def"
    return _stub(f"{word} {name}", _parameters(target), f" -> {result}" if result else "", _WIDTH)


def _stub(start: str, parameters: list[str], result: str, width: int) -> str:
    line = f"{start}({', '.join(parameters)}){result}: ..."
    if len(line) <= width:
        return line
    return "\n".join([f"{start}(", *(f"    {each}," for each in parameters), f"){result}: ..."])


def _parameters(found: Callable[..., Any]) -> list[str]:
    return [_parameter(each) for each in _separated(inspect.signature(found).parameters.values())]


def _separated(parameters: Any) -> Iterator[inspect.Parameter | str]:
    """Yield parameters without self, and the ``*`` before those that are keyword-only."""
    marked = False
    for parameter in parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            marked = True
        if parameter.kind is parameter.KEYWORD_ONLY and not marked:
            marked = True
            yield "*"
        yield parameter


def _parameter(parameter: inspect.Parameter | str) -> str:
    if isinstance(parameter, str):
        return parameter
    stars = _STARS.get(parameter.kind, "")
    kind = _shown(parameter.annotation)
    text = f"{stars}{parameter.name}" + (f": {kind}" if kind else "")
    if parameter.default is inspect.Parameter.empty:
        return text
    default = parameter.default
    value = default.__name__ if inspect.isfunction(default) else _literal(default)
    return f"{text} = {value}" if kind else f"{text}={value}"


def _literal(value: object) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    return repr(value).replace("'", '"') if isinstance(value, str) else repr(value)


def _shown(annotation: Any) -> str:
    """Return an annotation as it is written, without modules."""
    if annotation in (inspect.Signature.empty, ""):
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _QUALIFIED.sub("", text).replace("~", "")


def _first_line(documented: Any) -> str:
    text = (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")
    return _LITERAL.sub(r"`\1`", text)


def _markdown(doc: str) -> str:
    """Turn a docstring into Markdown: sections become lists, ``::`` blocks and tables code."""
    text = _SECTION.sub(lambda m: f"{m[1]}:\n\n{_entries(m[2])}", f"{doc}\n")
    text = _TABLE.sub(lambda m: _table(m[1]), text)
    text = _CODE.sub(lambda m: f"```python\n{dedent(m[1]).strip()}\n```\n\n", text)
    return _LITERAL.sub(r"`\1`", text).rstrip("\n") + "\n"


def _table(body: str) -> str:
    rows = (line.split("  ", maxsplit=1) for line in body.splitlines())
    lines = [f"| {first} | {rest.strip()} |" for first, rest in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _entries(body: str) -> str:
    return _ENTRY.sub(r"- `\1`: ", re.sub(r"\n {8}", " ", body))
