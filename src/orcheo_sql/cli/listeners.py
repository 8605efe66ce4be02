"""``orcheo-sql listeners``: subscriptions to the events of platforms, and who serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ._exits import FAILURE, run_async
from ._operator import (
    ACTOR,
    Actor,
    Json,
    Limit,
    collect,
    database,
    in_batches,
    moment,
    note_more,
    seconds,
    workflow_id,
)
from ._output import complain, emit, emit_json, table

if TYPE_CHECKING:
    from orcheo_sql import ListenerSubscription

Subscription = Annotated[
    UUID,
    typer.Argument(
        metavar="SUBSCRIPTION", show_default=False, help="The subscription's id, see: list"
    ),
]

# A bot's token may stand in its config, and then in its identity too.
_KEPT_BACK = ("config", "bot_identity_key", "audit_log")

listeners_app = typer.Typer(
    help="Look after listeners. How they work: docs/scheduling.md.", no_args_is_help=True
)


@listeners_app.command("list")
def list_listeners(
    workflow: Annotated[
        str | None,
        typer.Option(metavar="WORKFLOW", show_default=False, help="Only of this id or handle."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="List disabled ones too, as of older versions.")
    ] = False,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List subscriptions, their state, and which runtime has the lease until when. Writes nothing.

    Configs and identities of bots are not shown: tokens may stand in them.
    """
    found, is_more = run_async(_listeners(workflow, every, limit))
    if json:
        emit_json([_document(each) for each in found])
    else:
        emit(_table(found))
    note_more(is_more, limit)


@listeners_app.command()
def pause(subscription: Subscription, actor: Actor = ACTOR, json: Json = False) -> None:
    """Take no more events, through new versions too, until it is resumed; ends the lease."""
    _show(run_async(_set_status(subscription, "paused", actor)), json)


@listeners_app.command()
def resume(subscription: Subscription, actor: Actor = ACTOR, json: Json = False) -> None:
    """Let runtimes claim it again, and clear its error."""
    _show(run_async(_set_status(subscription, "active", actor)), json)


@listeners_app.command()
def sweep(
    disabled_for: Annotated[
        float,
        typer.Option(
            metavar="SPAN",
            parser=seconds,
            help="Delete subscriptions that have been disabled for this long.",
        ),
    ] = "90d",  # type: ignore[assignment]  # typer parses it
    json: Json = False,
) -> None:
    """Forget events whose keys have expired, and subscriptions that ended long ago."""
    events, subscriptions = run_async(_sweep(disabled_for))
    if json:
        emit_json({"events": events, "subscriptions": subscriptions})
    else:
        emit(f"Forgot {events} events and {subscriptions} subscriptions")


async def _listeners(
    reference: str | None, every: bool, limit: int
) -> tuple[list[ListenerSubscription], bool]:
    async with database(look_only=True) as db:
        of = None if reference is None else await workflow_id(db, reference)
        return await collect(
            lambda n, at: db.workflows.page_listener_subscriptions(
                workflow_id=of, only_served=not every, limit=n, cursor=at
            ),
            limit,
        )


async def _set_status(subscription: UUID, status: str, actor: str) -> ListenerSubscription:
    from orcheo_sql import ListenerSubscriptionStatus, WorkflowNotFoundError

    async with database() as db:
        try:
            return await db.workflows.update_listener_subscription_status(
                subscription, status=ListenerSubscriptionStatus(status), actor=actor
            )
        except WorkflowNotFoundError:
            complain(f"no subscription has the id {subscription}; see: orcheo-sql listeners list")
            raise typer.Exit(FAILURE) from None


async def _sweep(disabled_for: float) -> tuple[int, int]:
    from datetime import timedelta

    async with database() as db:
        before = db.now() - timedelta(seconds=disabled_for)
        events = await in_batches(
            lambda n: db.workflows.prune_listener_dedupe(limit=n), "events forgotten"
        )
        subscriptions = await in_batches(
            lambda n: db.workflows.prune_listener_subscriptions(disabled_before=before, limit=n),
            "subscriptions forgotten",
        )
        return events, subscriptions


def _show(subscription: ListenerSubscription, json: bool) -> None:
    emit_json(_document(subscription)) if json else emit(_table([subscription]))


def _table(found: list[ListenerSubscription]) -> Any:
    head = ["=subscription", "node", "platform", "=status", "lease (UTC)", "error"]
    rows = [
        (
            s.id,
            s.node_name,
            s.platform,
            s.status,
            _lease(s),
            s.last_error,
        )
        for s in found
    ]
    return table("Listeners", head, rows)


def _lease(subscription: ListenerSubscription) -> str | None:
    if subscription.assigned_runtime is None:
        return None
    return f"{subscription.assigned_runtime} until {moment(subscription.lease_expires_at)}"


def _document(subscription: ListenerSubscription) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(subscription)
    return {name: document[name] for name in document if name not in _KEPT_BACK}
