"""``orcheo-sql health``: is each database there, and what this version needs?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._exits import FAILURE, run_async
from ._output import cell, emit, emit_json, milliseconds, note, table

if TYPE_CHECKING:
    from orcheo_sql.engines.base import DatabaseHealth
    from orcheo_sql.settings import Settings

    from ._places import Place


def health(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long to try to reach a database.")
    ] = 5.0,
) -> None:
    """Say whether each database answers and its schema is current.

    Creates and migrates nothing. Exits with 1 when a database can't be reached, or its schema is
    not the one this version needs.
    """
    reports = run_async(_reports(timeout))
    if json:
        emit_json([_document(place, found) for place, found in reports])
    else:
        for place, found in reports:
            emit(table(str(place.location), ["health of", ", ".join(place.parts)], _rows(found)))
            for warning in found.warnings:
                note(f"Warning: {warning}")
    if any(found.error for _, found in reports):
        raise typer.Exit(FAILURE)


async def _reports(seconds: float) -> list[tuple[Place, DatabaseHealth]]:
    from orcheo_sql.settings import load_settings

    from ._places import places

    loaded = load_settings()
    hasty = {"postgres_connect_timeout_seconds": seconds, "sqlite_busy_timeout_seconds": seconds}
    settings = loaded.model_copy(update=hasty)
    return [(place, await _report(settings, place, seconds)) for place in places(settings)]


async def _report(settings: Settings, place: Place, seconds: float) -> DatabaseHealth:
    from orcheo_sql._errors import OrcheoSqlError
    from orcheo_sql.engines.base import DatabaseHealth

    from ._places import opened

    dialect, location = place.location.dialect, str(place.location)
    if place.is_absent:
        missing = "it does not exist yet; to create it: orcheo-sql migrate up"
        return DatabaseHealth(dialect, location, reachable=False, error=missing)
    try:
        # Opening tries again for that long; a host that swallows packets would hold it for longer.
        async with asyncio.timeout(seconds * 2 + 1), opened(settings, place) as engine:
            return await _examine(settings, engine)
    except OrcheoSqlError as error:
        reason = str(error)
    except TimeoutError:
        reason = f"no answer within {seconds:g} s"
    return DatabaseHealth(dialect, location, reachable=False, error=reason)


async def _examine(settings: Settings, engine: Any) -> DatabaseHealth:
    import msgspec

    from orcheo_sql._errors import OrcheoSqlError

    from ._places import migrator_of

    found: DatabaseHealth = await engine.health()
    if not found.reachable:
        return found
    try:
        states = await migrator_of(settings, engine).status()
    except OrcheoSqlError as error:
        return msgspec.structs.replace(found, error=str(error))
    applied = sum(state.applied_at is not None for state in states)
    behind = len(states) - applied
    problem = f"{behind} migration(s) pending; run: orcheo-sql migrate up" if behind else None
    return msgspec.structs.replace(found, schema_version=applied, error=problem)


def _rows(found: DatabaseHealth) -> list[tuple[str, str]]:
    pool = found.pool
    busy = pool and f"{pool.size} of {pool.maximum}, {pool.idle} idle, {pool.waiting} waiting"
    return [
        ("reachable", cell(found.reachable)),
        ("server version", cell(found.server_version)),
        ("schema version", cell(found.schema_version)),
        ("latency", milliseconds(found.latency_seconds)),
        ("connections", cell(busy)),
        ("problem", found.error or "none"),
    ]


def _document(place: Place, found: DatabaseHealth) -> dict[str, Any]:
    import msgspec

    return {
        "ok": found.error is None,
        "parts": place.parts,
        **msgspec.to_builtins(found),
        "location": str(place.location),
    }
