"""``orcheo-sql migrate``: what is applied, what is pending, and applying it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._exits import SCHEMA, USAGE, run_async
from ._output import complain, emit, emit_json, emit_text, note, table

if TYPE_CHECKING:
    from orcheo_sql._migrate import Migration, MigrationState
    from orcheo_sql.settings import Settings

    from ._places import Place

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

migrate_app = typer.Typer(
    help="Look at the schema of every configured database, or bring it up to date.\n\n"
    "Behind a pooler, set ORCHEO_POSTGRES_MIGRATION_DSN to a direct connection.",
    no_args_is_help=True,
)


class DialectName(StrEnum):
    """The two dialects, as an option takes them."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


@migrate_app.command()
def status(json: Json = False) -> None:
    """List the migrations and when each was applied. Writes nothing, creates nothing."""
    reports = run_async(_statuses())
    if json:
        emit_json([_status_document(place, states) for place, states in reports])
        return
    for place, states in reports:
        rows = [(f"{s.version:04d}", s.name, _when(s)) for s in states]
        emit(table(str(place.location), ["number", "name", "applied at"], rows))
        if place.is_absent:
            note("This database does not exist yet; to create it: orcheo-sql migrate up")


@migrate_app.command()
def up(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be applied.")
    ] = False,
    json: Json = False,
) -> None:
    """Apply what is pending, one transaction per migration. Safe to run from many places at once."""
    reports = run_async(_up(dry_run=dry_run))
    if json:
        emit_json([_up_document(place, done, dry_run) for place, done in reports])
        return
    verb = "would apply" if dry_run else "applied"
    for place, done in reports:
        emit(f"{place.location}: {verb if done else 'up to date, nothing to apply'}")
        for migration in done:
            emit(f"  {migration.version:04d} {migration.name}")


@migrate_app.command()
def verify(json: Json = False) -> None:
    """Exit with 0 if every schema is the one this version needs, else with 3. Writes nothing."""
    reports = run_async(_verify())
    if json:
        emit_json(
            [
                {"database": str(place.location), "version": version, "problem": problem}
                for place, version, problem in reports
            ]
        )
    for place, version, problem in reports:
        if problem:
            complain(problem)
        elif not json:
            emit(f"{place.location}: schema version {version}, as needed")
    if any(problem for _, _, problem in reports):
        raise typer.Exit(SCHEMA)


@migrate_app.command()
def sql(
    dialect: Annotated[
        DialectName | None,
        typer.Option(help="Print for this dialect, from the first on; asks no database."),
    ] = None,
    start: Annotated[
        int | None,
        typer.Option("--from", metavar="N", min=1, help="Begin with number N; asks no database."),
    ] = None,
) -> None:
    """Print the SQL that `up` would run, with its bookkeeping.

    It is for psql or sqlite3, and says at its top how to run it. Without an option it begins after
    what the configured database has already.
    """
    from ._script import script

    if dialect is not None:
        emit_text(script(dialect.value, start or 1))
        return
    from orcheo_sql.settings import load_settings

    from ._places import places

    settings = load_settings()
    found = places(settings)
    if len({place.location.dialect for place in found}) > 1:
        complain("the configured databases are of both dialects: choose one with --dialect")
        raise typer.Exit(USAGE)
    for place in found:
        note(f"-- for {place.location}")
        first = start or run_async(_first_pending(settings, place))
        emit_text(script(place.location.dialect, first))


async def _statuses() -> list[tuple[Place, list[MigrationState]]]:
    from orcheo_sql.settings import load_settings

    from ._places import places

    settings = load_settings()
    return [(place, await _states(settings, place)) for place in places(settings)]


async def _states(settings: Settings, place: Place) -> list[MigrationState]:
    from orcheo_sql._migrate import MigrationState, load_migrations

    from ._places import migrator_of, opened

    if place.is_absent:
        migrations = load_migrations(place.location.dialect)
        return [MigrationState(m.version, m.name, None) for m in migrations]
    async with opened(settings, place) as engine:
        return await migrator_of(settings, engine).status()


async def _first_pending(settings: Settings, place: Place) -> int:
    states = await _states(settings, place)
    return 1 + sum(state.applied_at is not None for state in states)


async def _up(*, dry_run: bool) -> list[tuple[Place, list[Migration]]]:
    from orcheo_sql._migrate import load_migrations
    from orcheo_sql.settings import load_settings

    from ._places import migrator_of, opened, places

    settings = load_settings()
    reports: list[tuple[Place, list[Migration]]] = []
    for place in places(settings):
        if dry_run:
            first = await _first_pending(settings, place)
            pending = list(load_migrations(place.location.dialect)[first - 1 :])
            reports.append((place, pending))
            continue
        async with opened(settings, place, look_only=False) as engine:
            reports.append((place, await migrator_of(settings, engine).up()))
    return reports


async def _verify() -> list[tuple[Place, int | None, str | None]]:
    from orcheo_sql._errors import MigrationError
    from orcheo_sql.settings import load_settings

    from ._places import migrator_of, opened, places

    settings = load_settings()
    reports: list[tuple[Place, int | None, str | None]] = []
    for place in places(settings):
        if place.is_absent:
            problem = f"{place.location} does not exist yet; run: orcheo-sql migrate up"
            reports.append((place, None, problem))
            continue
        try:
            async with opened(settings, place) as engine:
                reports.append((place, await migrator_of(settings, engine).verify(), None))
        except MigrationError as error:
            reports.append((place, None, str(error)))
    return reports


def _when(state: MigrationState) -> str:
    return f"{state.applied_at:%Y-%m-%d %H:%M:%S} UTC" if state.applied_at else "pending"


def _status_document(place: Place, states: list[MigrationState]) -> dict[str, Any]:
    return {
        "database": str(place.location),
        "dialect": place.location.dialect,
        "parts": place.parts,
        "exists": not place.is_absent,
        "pending": sum(state.applied_at is None for state in states),
        "migrations": [
            {"version": s.version, "name": s.name, "applied_at": s.applied_at} for s in states
        ],
    }


def _up_document(place: Place, done: list[Migration], dry_run: bool) -> dict[str, Any]:
    return {
        "database": str(place.location),
        "dry_run": dry_run,
        "applied": [{"version": m.version, "name": m.name} for m in done],
    }
