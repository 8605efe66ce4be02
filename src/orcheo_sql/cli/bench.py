"""``orcheo-sql bench``: does the configured database meet the targets?"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ._exits import FAILURE, run_async
from ._output import console_for, emit, emit_json, milliseconds, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orcheo_sql.bench.measure import Measured, Operation
    from orcheo_sql.bench.mix import MixResult
    from orcheo_sql.bench.session import BenchReport


def bench(
    samples: Annotated[
        int, typer.Option(metavar="N", min=10, max=10_000, help="Calls of each operation.")
    ] = 100,
    clients: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=1000, help="Clients of the write mix; 0 leaves it out."
        ),
    ] = 50,
    only: Annotated[
        str | None,
        typer.Option(metavar="TEXT", show_default=False, help="Operations with this in the name."),
    ] = None,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean", help="Only delete what earlier ones have left because they were killed."
        ),
    ] = False,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with 1 when a target is missed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Measure the operations on the configured database, and compare with the targets.

    Each operation takes turns with the same SQL sent through the driver alone: the ratio says what
    this library adds, p95 what the database and the way to it are worth. A simple call should take
    less than 100 ms in 95 of 100 cases.

    It adds workflows, runs, histories, tokens and snapshots of its own to the configured database,
    and deletes them when it is done, or is interrupted; only the audit log of tokens keeps their
    lines. It takes nothing that belongs to others. What is left by one that was killed, --clean
    deletes.

    In a checkout, `pytest --benchmark-only` measures more, at any size of the database.
    """
    from orcheo_sql.bench.session import chosen

    if clean:
        count = run_async(_clean())
        emit_json({"deleted": count}) if json else emit(f"Deleted {count} left over")
        return
    operations = chosen(only)
    if not operations:
        raise typer.BadParameter(f"no operation has {only!r} in its name", param_hint="--only")
    report = run_async(_bench(operations, samples, clients))
    if json:
        emit_json(_document(report))
    else:
        _show(report)
    if gate and (report.mix_misses or any(each.misses() for each in report.operations)):
        raise typer.Exit(FAILURE)


async def _clean() -> int:
    from orcheo_sql.bench.session import clean_up
    from orcheo_sql.settings import load_settings

    return await clean_up(load_settings())


async def _bench(operations: list[Operation], samples: int, clients: int) -> BenchReport:
    from orcheo_sql.bench.session import run_bench
    from orcheo_sql.settings import load_settings

    with _told_to_end() as ended, _progress(len(operations) + bool(clients) + 1) as progress:
        try:
            return await run_bench(
                load_settings(), operations, samples=samples, clients=clients, progress=progress
            )
        except asyncio.CancelledError:
            if ended:
                raise typer.Exit(128 + ended[0]) from None
            raise


@contextmanager
def _told_to_end() -> Iterator[list[int]]:
    """Let the signals that end a process do what Ctrl-C does: what was made is deleted first."""
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    loop = asyncio.get_running_loop()
    ended: list[int] = []

    def end(number: int) -> None:
        ended.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        yield ended
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console_for(sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=total)
        done = -1

        def begin(name: str) -> None:
            nonlocal done
            done += 1
            progress.update(task, completed=done, description=name)

        yield begin


def _show(report: BenchReport) -> None:
    places = sorted(set(report.places.values()))
    limits = {raw.name for measured in report.operations for raw in measured.raws}
    limit = ", ".join(sorted(limits)) or "nothing: a database in memory is ours alone"
    emit(
        table(
            f"{', '.join(places)}: {report.samples} calls of each, beside {limit}",
            ["operation", "#p50", "#p95", "#p99", "#ratio", "verdict"],
            [_row(measured) for measured in report.operations],
        )
    )
    if report.mixes:
        emit(
            table(
                f"Write mix of {report.mixes[0].clients} clients: create a run, start it, append "
                "ten steps, let it succeed",
                ["through", "#writes/s", "#p50", "#p95", "#p99", "#errors", "verdict"],
                [
                    _mix_row(mix, "" if number else "; ".join(report.mix_misses) or "ok")
                    for number, mix in enumerate(report.mixes)
                ],
            )
        )


def _row(measured: Measured) -> list[str]:
    ours = measured.ours
    return [
        measured.operation.name,
        *(milliseconds(seconds) for seconds in (ours.p50, ours.p95, ours.p99)),
        "-" if measured.ratio is None else f"{measured.ratio:.2f} x",
        "; ".join(measured.misses()) or "ok",
    ]


def _mix_row(mix: MixResult, verdict: str) -> list[str]:
    writes = mix.writes
    times = [milliseconds(seconds) for seconds in (writes.p50, writes.p95, writes.p99)]
    return [mix.name, f"{mix.per_second:,.0f}", *times, str(len(mix.errors)), verdict]


def _document(report: BenchReport) -> dict[str, Any]:
    return {
        "places": report.places,
        "samples": report.samples,
        "operations": [
            {
                "operation": measured.operation.name,
                "dialect": measured.dialect,
                "p50_seconds": measured.ours.p50,
                "p95_seconds": measured.ours.p95,
                "p99_seconds": measured.ours.p99,
                "ratio": measured.ratio,
                "ratio_allowed": measured.limit,
                "raw": {raw.name: raw.p50 for raw in measured.raws},
                "misses": measured.misses(),
            }
            for measured in report.operations
        ],
        "write_mix": [
            {
                "through": mix.name,
                "clients": mix.clients,
                "writes_per_second": mix.per_second,
                "p50_seconds": mix.writes.p50,
                "p95_seconds": mix.writes.p95,
                "p99_seconds": mix.writes.p99,
                "errors": len(mix.errors),
                "misses": [] if number else report.mix_misses,
            }
            for number, mix in enumerate(report.mixes)
        ],
    }
