"""``orcheo-sql tokens``: credentials of machines. A secret is printed once, on standard output, and nowhere else."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._exits import run_async
from ._operator import ACTOR, Json, Limit, collect, database, in_batches, moment, note_more, seconds
from ._output import emit, emit_json, emit_text, note, table

if TYPE_CHECKING:
    from orcheo_sql import ServiceTokenAuditEntry, ServiceTokenRecord

Identifier = Annotated[
    str, typer.Argument(metavar="IDENTIFIER", show_default=False, help="The token's, see: list")
]
Actor = Annotated[str, typer.Option(metavar="NAME", help="Who does this, for the audit log.")]
Lifetime = Annotated[
    float | None,
    typer.Option(
        metavar="SPAN", show_default=False, parser=seconds, help="How long it lasts, such as 90d."
    ),
]

tokens_app = typer.Typer(
    help="Look after service tokens. How they work: docs/tokens.md.", no_args_is_help=True
)


@tokens_app.command()
def mint(
    identifier: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default=False, help="Its identifier; else a random one."),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", show_default=False, help="What it permits; repeatable."),
    ] = None,
    workspace: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", show_default=False, help="A workspace it is for; repeatable."),
    ] = None,
    expires_in: Lifetime = None,
    actor: Actor = ACTOR,
    json: Json = False,
) -> None:
    """Make a token and print it. It is not stored: this is the only time that it is shown."""
    token, record = run_async(
        _mint(identifier, scope or [], workspace or [], _span(expires_in), actor)
    )
    _show_secret(token, record, json)


@tokens_app.command("list")
def list_tokens(
    every: Annotated[
        bool, typer.Option("--all", help="List expired and revoked ones too.")
    ] = False,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List tokens, newest first, without secrets and hashes. Writes nothing."""
    records, is_more = run_async(_tokens(every, limit))
    if json:
        emit_json([_document(record) for record in records])
    else:
        emit(_table(records))
    note_more(is_more, limit)


@tokens_app.command()
def rotate(
    identifier: Identifier,
    overlap: Annotated[
        float,
        typer.Option(
            metavar="SPAN", parser=seconds, help="How long the old one stays good; 0 ends it now."
        ),
    ] = "5m",  # type: ignore[assignment]  # typer parses it
    expires_in: Lifetime = None,
    actor: Actor = ACTOR,
    json: Json = False,
) -> None:
    """Make the successor of a token and print it; it lasts as long as the old one was to last."""
    token, record = run_async(_rotate(identifier, overlap, _span(expires_in), actor))
    _show_secret(token, record, json)


@tokens_app.command()
def revoke(
    identifier: Identifier,
    reason: Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="Why.")],
    actor: Actor = ACTOR,
    json: Json = False,
) -> None:
    """End a token for good, at once."""
    record = run_async(_revoke(identifier, reason, actor))
    emit_json(_document(record)) if json else emit(_table([record]))


@tokens_app.command()
def audit(
    identifier: Annotated[
        str | None,
        typer.Argument(metavar="[IDENTIFIER]", show_default=False, help="Only of this token."),
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List what happened to tokens, newest first, deleted ones too. Writes nothing."""
    entries, is_more = run_async(_entries(identifier, limit))
    if json:
        emit_json(entries)
    else:
        emit(_audit_table(entries))
    note_more(is_more, limit)


@tokens_app.command()
def sweep(
    older_than: Annotated[
        float,
        typer.Option(metavar="SPAN", parser=seconds, help="Delete entries of this age."),
    ] = "365d",  # type: ignore[assignment]  # typer parses it
    json: Json = False,
) -> None:
    """Forget old entries of the audit log; tokens stay."""
    count = run_async(_sweep(older_than))
    emit_json({"entries": count}) if json else emit(f"Forgot {count} entries")


async def _mint(
    identifier: str | None,
    scopes: list[str],
    workspaces: list[str],
    expires_in: dt.timedelta | None,
    actor: str,
) -> tuple[str, ServiceTokenRecord]:
    async with database() as db:
        return await db.token_manager.mint(
            identifier=identifier,
            scopes=scopes,
            workspace_ids=workspaces,
            expires_in=expires_in,
            actor=actor,
        )


async def _tokens(every: bool, limit: int) -> tuple[list[ServiceTokenRecord], bool]:
    status = None if every else "active"
    async with database(look_only=True) as db:
        return await collect(
            lambda n, at: db.tokens.page_tokens(status=status, limit=n, cursor=at), limit
        )


async def _rotate(
    identifier: str, overlap: float, expires_in: dt.timedelta | None, actor: str
) -> tuple[str, ServiceTokenRecord]:
    async with database() as db:
        return await db.token_manager.rotate(
            identifier, overlap_seconds=overlap, expires_in=expires_in, actor=actor
        )


async def _revoke(identifier: str, reason: str, actor: str) -> ServiceTokenRecord:
    async with database() as db:
        return await db.token_manager.revoke(identifier, reason=reason, actor=actor)


async def _entries(identifier: str | None, limit: int) -> tuple[list[ServiceTokenAuditEntry], bool]:
    async with database(look_only=True) as db:
        return await collect(
            lambda n, at: db.tokens.page_audit_log(identifier, limit=n, cursor=at), limit
        )


async def _sweep(older_than: float) -> int:
    async with database() as db:
        before = db.now() - dt.timedelta(seconds=older_than)
        return await in_batches(
            lambda n: db.tokens.prune_audit_log(before, limit=n), "entries forgotten"
        )


def _span(wanted: float | None) -> dt.timedelta | None:
    return None if wanted is None else dt.timedelta(seconds=wanted)


def _show_secret(token: str, record: ServiceTokenRecord, json: bool) -> None:
    """Print a token alone on its line, for ``TOKEN=$(…)``, and all else beside it."""
    if json:
        emit_json({"secret": token, **_document(record)})
    else:
        emit_text(token)
        until = f"until {moment(record.expires_at)} UTC" if record.expires_at else "until revoked"
        note(f"Token {record.identifier!r} is good {until}. Keep it: it is not shown again.")


def _document(record: ServiceTokenRecord) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(record, order="deterministic")
    del document["secret_hash"]
    return document


def _table(records: list[ServiceTokenRecord]) -> Any:
    head = ["identifier", "=state", "scopes", "=expires (UTC)", "=last used (UTC)", "#uses"]
    rows = [
        (
            record.identifier,
            _state(record),
            " ".join(sorted(record.scopes)) or None,
            moment(record.expires_at),
            moment(record.last_used_at),
            record.use_count,
        )
        for record in records
    ]
    return table("Service tokens", head, rows)


def _state(record: ServiceTokenRecord) -> str:
    if record.is_revoked():
        return "revoked"
    if record.is_expired():
        return "expired"
    return "active" if record.rotated_to is None else "rotated"


def _audit_table(entries: list[ServiceTokenAuditEntry]) -> Any:
    import msgspec

    head = ["=time (UTC)", "token", "=action", "actor", "=ip", "details"]
    rows = [
        (
            moment(entry.timestamp),
            entry.token_id,
            entry.action,
            entry.actor,
            entry.ip_address,
            entry.details and msgspec.json.encode(entry.details).decode(),
        )
        for entry in entries
    ]
    return table("Audit log of service tokens", head, rows)
