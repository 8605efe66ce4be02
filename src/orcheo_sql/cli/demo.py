"""``orcheo-sql demo``: the main jobs on real graphs, and a summary of what is stored and where."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._exits import FAILURE, run_async
from ._output import console_for, emit_json, note, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orcheo_sql import Database, QueryTiming
    from orcheo_sql.settings import Location

    from ._demo_report import Report
    from ._demo_store import Stored
    from ._graphs import Graphs


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            show_default=False,
            help="A folder of agent-flow graphs, one JSON object per .json file. "
            "Without it, a few graphs that come with the package.",
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option(metavar="N", min=0, max=10_000, help="Runs to add to each workflow.")
    ] = 8,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            show_default=False,
            help="Search workflows for this; can be repeated. Without it, words of the graphs.",
        ),
    ] = None,
    database_path: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Use this SQLite file, whatever the settings say; ':memory:' keeps nothing.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Store real agent-flow graphs, start runs through triggers, work them off, search, and show.

    Each graph becomes a workflow whose handle is the file's name. Its runs are started by webhook,
    schedule, listener, retry and by hand; a worker takes them from the outbox. At the end webhooks
    are off, and schedules and listeners paused: nothing goes on by itself. The command can be
    repeated: a workflow that an earlier demo created gets a new version only if its graph has
    changed, and some more runs.

    It uses the configured database (by default ~/.orcheo/orcheo.sqlite), leaves what it stored
    there, and never touches a workflow that it did not create. Where others have schedules,
    retries or runs for workers, it leaves these and the outbox alone.

    Exits with 1 when a file could not be used; the others are stored all the same.
    """
    from ._demo_report import show, show_problems
    from ._graphs import read_graphs

    graphs = read_graphs(folder)
    if graphs.good:
        report = run_async(_demo(graphs, runs, search or None, _overrides(database_path)))
        emit_json(report) if json else show(report)
        problems = report.problems
    else:
        problems = _problems(graphs)
        if json:
            emit_json({"problems": problems})
        show_problems(problems)
    if problems:
        raise typer.Exit(FAILURE)


def _overrides(database_path: str | None) -> dict[str, Any]:
    if database_path is None:
        return {}
    return {
        "repository_backend": "sqlite",
        "repository_sqlite_path": database_path,
        "database_path": database_path,
    }


async def _demo(
    graphs: Graphs, runs: int, searches: list[str] | None, overrides: dict[str, Any]
) -> Report:
    from orcheo_sql import Database, Subsystem, load_settings

    settings = load_settings(**overrides)
    place = str(settings.location(Subsystem.WORKFLOWS))
    note(f"Storing {len(graphs.good)} graphs in {place}")
    observed: list[QueryTiming] = []
    began = time.perf_counter()
    async with Database(settings, observer=observed.append) as db:
        since = db.now()
        with _progress(len(graphs.good)) as advance:
            stored = await _store_all(db, graphs, advance)
        with _progress(len(stored) * runs) as advance:
            dispatched = await _dispatch(db, stored, graphs, runs, advance)
        found = await _look(db, stored, searches, since)
        [health, *_] = await db.health()
    from ._demo_report import Report, timings_of

    return Report(
        database=place,
        dialect={"sqlite": "SQLite", "postgres": "PostgreSQL"}[health.dialect],
        server_version=health.server_version,
        schema_version=health.schema_version,
        seconds=time.perf_counter() - began,
        new_workflows=sum(each.is_new for each in stored),
        new_versions=sum(each.new_versions for each in stored),
        new_runs=sum(each.new_runs for each in stored),
        timings=timings_of(observed),
        problems=_problems(graphs),
        next=_next(settings.location(Subsystem.WORKFLOWS), overrides),
        **dispatched,
        **found,
    )


async def _store_all(db: Database, graphs: Graphs, advance: Callable[[str], None]) -> list[Stored]:
    """Store every graph that can be; note the others."""
    from ._demo_store import SKIPPABLE, store_workflow

    done: list[Stored] = []
    for position, source in enumerate(graphs.good):
        advance(source.handle)
        try:
            done.append(await store_workflow(db, source, with_draft=position % 2 == 0))
        except SKIPPABLE as error:
            graphs.refuse(source.file, str(error))
    return done


async def _dispatch(
    db: Database, stored: list[Stored], graphs: Graphs, runs: int, advance: Callable[[str], None]
) -> dict[str, Any]:
    """Start runs through triggers, and work them off; return what the report tells of both."""
    from ._demo_neighbours import Neighbours
    from ._demo_triggers import Triggers
    from ._demo_worker import Worker

    neighbours = Neighbours(db, stored)
    worker = Worker(db, neighbours, advance)
    triggers = Triggers(db, stored, worker=worker, neighbours=neighbours)
    await triggers.dispatch(runs, graphs)
    return {"triggers": triggers.lines, "outbox": worker.outbox}


async def _look(
    db: Database, stored: list[Stored], searches: list[str] | None, since: Any
) -> dict[str, Any]:
    """Ask the database for what was stored, in every way there is."""
    from . import _demo_look as look
    from ._demo_report import trail_document
    from ._graphs import SAMPLE_SEARCHES, pick_searches

    sources = [each.source for each in stored]
    shipped = any(source.handle == "contract-review" for source in sources)
    queries = searches or (SAMPLE_SEARCHES if shipped else pick_searches(sources))
    run_queries = look.SAMPLE_RUN_SEARCHES if shipped else look.RUN_SEARCHES
    of, trail = await look.trail_of(db, stored)
    filters = look.filters_of(stored, since) if stored else {}
    return {
        "workflows": await look.look_at_workflows(db, stored),
        "all_runs": await db.workflows.count_runs_by_status(),
        "workflow_searches": await look.search_workflows(db, queries),
        "run_searches": await look.search_runs(db, run_queries),
        "run_filters": await look.filter_runs(db, filters),
        "run_pages": await look.walk_runs(db, db.now()),
        "audit_trail": trail_document(of, trail),
    }


def _problems(graphs: Graphs) -> list[dict[str, str]]:
    return [{"file": file, "problem": reason} for file, reason in graphs.bad]


def _next(location: Location, overrides: dict[str, Any]) -> list[str]:
    """Return commands to look at what was stored; what was in memory is gone."""
    show = "orcheo-sql sql show workflows.search_workflows"
    if location.in_memory:
        return [show]
    where = f"ORCHEO_DATABASE_PATH={quote(str(location.path))} " if overrides else ""
    commands = ("health", "schedules list", "listeners list", "outbox list")
    lines = [*(f"{where}orcheo-sql {command}" for command in commands), show]
    if location.path is not None:
        query = "SELECT handle, name, latest_version FROM workflows"
        lines.append(f"sqlite3 {quote(str(location.path))} '{query}'")
    return lines


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show how far the work is, on standard error and only on a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console_for(sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=total)

        def advance(name: str) -> None:
            progress.update(task, advance=1, description=printable(name))

        yield advance
