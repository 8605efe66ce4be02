"""What the demo prints."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from ._output import complain, emit, milliseconds, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orcheo_sql import AuditEntry, QueryTiming, RunStatusCounts

    from ._demo_look import Found, Walk, WorkflowLine
    from ._demo_triggers import TriggerLine
    from ._demo_worker import OutboxWork


MOST_LINES = 12
"""Workflows that are listed one by one."""
MOST_QUERIES = 12
"""The same of queries."""


class Timing(msgspec.Struct, frozen=True):
    """How long one named query took."""

    query: str
    calls: int
    median_seconds: float
    slowest_seconds: float


class Trail(msgspec.Struct, frozen=True):
    """The audit trail of one run."""

    of: str
    records: list[Any]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the demo has to tell."""

    database: str
    dialect: str
    server_version: str | None
    schema_version: int | None
    seconds: float
    new_workflows: int
    new_versions: int
    new_runs: int
    workflows: list[WorkflowLine]
    triggers: list[TriggerLine]
    outbox: OutboxWork
    all_runs: RunStatusCounts
    workflow_searches: list[Found]
    run_searches: list[Found]
    run_filters: list[Found]
    run_pages: Walk
    audit_trail: Trail
    timings: list[Timing]
    problems: list[dict[str, str]]
    next: list[str]


def timings_of(observed: Iterable[QueryTiming]) -> list[Timing]:
    """Summarise single timings per query, the most frequent first."""
    seconds: dict[str, list[float]] = {}
    for each in observed:
        seconds.setdefault(each.query, []).append(each.seconds)
    lines = [Timing(q, len(all_), median(all_), max(all_)) for q, all_ in seconds.items()]
    return sorted(lines, key=lambda line: (-line.calls, line.query))


def trail_document(of: str, entries: Iterable[AuditEntry]) -> Trail:
    """Return an audit trail as it is reported."""
    return Trail(of, [entry.record for entry in entries])


def show(report: Report) -> None:
    """Print the report for people."""
    emit(*_stored(report), "")
    emit(_workflows(report))
    if report.new_runs:
        emit(_triggers(report.triggers))
        emit(_outbox(report.outbox), "")
    emit(
        _finds("Workflows by full text", "search", report.workflow_searches),
        _finds("Runs by full text", "search", report.run_searches),
        _finds("Runs by condition", "condition", report.run_filters),
    )
    if report.audit_trail.records:
        emit(_trail(report.audit_trail))
    emit(_timings(report))
    if report.next:
        emit("Next:", *(f"  {line}" for line in report.next))
    show_problems(report.problems)


def show_problems(problems: Iterable[dict[str, str]]) -> None:
    """Name the files that were skipped, on standard error."""
    for each in problems:
        complain(f"{each['file']}: {each['problem']} (skipped)")


def _stored(report: Report) -> list[str]:
    walk, counts = report.run_pages, report.all_runs
    added = (
        f"{report.new_workflows} workflows, {report.new_versions} versions, {report.new_runs} runs"
    )
    end = "" if walk.items == counts.total else f" ({counts.total} in all)"
    return [
        f"Stored in {report.database}",
        f"  {report.dialect} {report.server_version}, schema version {report.schema_version}",
        f"  added this time: {added}, in {report.seconds:.1f} s",
        f"  runs in this database: {_states(counts)}",
        f"  read by cursor: {walk.items} runs on {walk.pages} pages, {walk.repeated} met twice{end}",
    ]


def _states(counts: RunStatusCounts) -> str:
    states = msgspec.structs.asdict(counts)
    return f"{counts.total}: " + ", ".join(f"{n} {state}" for state, n in states.items())


def _workflows(report: Report) -> Any:
    # A name that only repeats the handle is not worth a column.
    named = any(w.name.lower().replace(" ", "-") != w.handle for w in report.workflows)
    head = ["=handle", *(["name"] if named else []), "=versions", "#runs", "#open", "#failed"]
    rows = [_workflow(line, named=named) for line in report.workflows[:MOST_LINES]]
    if (more := len(report.workflows) - MOST_LINES) > 0:
        rows.append([f"and {more} more, see --json", *[""] * (len(head) - 1)])
    return table("Workflows of the demo, and their runs", head, rows)


def _workflow(line: WorkflowLine, *, named: bool) -> list[Any]:
    runs = line.runs
    return [
        line.handle,
        *([line.name] if named else []),
        f"{line.versions} {line.changed}",
        runs.total,
        runs.pending + runs.running,
        runs.failed,
    ]


def _triggers(lines: list[TriggerLine]) -> Any:
    head = ["=trigger", "#configured", "how", "#runs", "#refused duplicates"]
    rows = [
        (t.trigger, t.configured or "-", t.how, t.runs, t.refused_duplicates or "-")
        for t in lines
        if t.configured or t.runs
    ]
    return table("Triggers, and the runs they started", head, rows)


def _outbox(done: OutboxWork) -> str:
    left = f", {done.left_to_others} left to others" if done.left_to_others else ""
    return (
        f"Outbox: {done.claimed} runs claimed, {done.acknowledged} acknowledged, "
        f"{done.given_back} given back for later{left}"
    )


def _finds(title: str, what: str, finds: list[Found]) -> Any:
    rows = [
        (f.asked, f"{f.hits}{'+' if f.more else ''}", ", ".join(f.examples) or "-") for f in finds
    ]
    return table(title, [what, "#hits", "for example"], rows)


def _trail(trail: Trail) -> Any:
    rows = [(f"{r.at:%H:%M:%S.%f}", r.action, r.actor, r.metadata or "-") for r in trail.records]
    return table(f"Audit trail of {trail.of}", ["at", "action", "actor", "more"], rows)


def _timings(report: Report) -> Any:
    rows: list[tuple[Any, ...]] = [
        (t.query, t.calls, milliseconds(t.median_seconds), milliseconds(t.slowest_seconds))
        for t in report.timings[:MOST_QUERIES]
    ]
    if (more := len(report.timings) - MOST_QUERIES) > 0:
        rows.append((f"and {more} more, see --json", "", "", ""))
    return table("Queries", ["=name", "#calls", "#median", "#slowest"], rows)
