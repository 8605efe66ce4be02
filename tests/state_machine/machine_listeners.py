"""Rules about triggers: listeners, their leases, cursors and events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.state_machine import inputs_triggers as inputs
from tests.state_machine.machine_base import limits, picks, refuse
from tests.state_machine.machine_trigger_base import TriggerBase, workflows
from tests.state_machine.sides import Made

from orcheo_sql.structs import ListenerLease, ListenerSubscriptionStatus

held = st.sampled_from([None, -1, -1, -2, 0])


class ListenerRules(TriggerBase):
    """What operators and runtimes do with listeners."""

    def _lease(self, pick: int | None) -> Any:
        """Return one of the leases that were handed out, which may have ended since."""
        if pick is None or not self.leases:
            return None
        return Made(ListenerLease, self.leases[max(pick, -len(self.leases))])

    @rule(pick=workflows, version=picks, graph=inputs.graphs, actor=inputs.actors)
    def synchronise(self, pick: int, version: int, graph: dict[str, Any], actor: str) -> None:
        workflow = self._workflow(pick)
        own = [v["id"] for v in self.model._versions(workflow)] * (version < 25)
        version_id = own[version % len(own)] if own else self._version(version)
        self._step(
            "sync_listener_subscriptions_for_version", workflow, version_id, graph, actor=actor
        )

    @rule(
        pick=picks, status=inputs.statuses, actor=inputs.actors,
        last_error=st.sampled_from([None, None, "lost", "nul\0"]),
    )  # fmt: skip
    def set_status(self, pick: int, status: str, **given: Any) -> None:
        subscription = self._subscription(pick)
        type(self).steps += 1
        self.sides.compare(
            "update_listener_subscription_status",
            lambda side: side.unit.workflows.update_listener_subscription_status(
                subscription, status=ListenerSubscriptionStatus(status), **given
            ),
            lambda: self.model.update_listener_subscription_status(
                subscription, status=status, **given
            ),
        )

    @rule(
        pick=picks,
        workflow=st.one_of(st.none(), workflows),
        only_served=st.booleans(),
        limit=limits,
    )
    def read_listeners(
        self, pick: int, workflow: int | None, only_served: bool, limit: int
    ) -> None:
        self._step("get_listener_subscription", self._subscription(pick))
        self._do("get_listener_cursor", self._subscription(pick))
        which = {
            "workflow_id": None if workflow is None else self._workflow(workflow),
            "only_served": only_served,
        }
        self._do("list_listener_subscriptions", **which)
        self.sides.walk("page_listener_subscriptions", limit=limit, **which)

    @rule(ago=inputs.spans, limit=inputs.prune_limits)
    def prune_subscriptions(self, ago: Any, limit: int) -> None:
        ago = ago if isinstance(ago, timedelta) else timedelta(seconds=ago)
        before = self.sides.clock() - ago
        self._step("prune_listener_subscriptions", disabled_before=before, limit=limit)

    # --- runtimes

    @rule(
        pick=picks, runtime_id=inputs.runtimes, lease_seconds=inputs.leases, plain=st.integers(0, 4)
    )
    def claim_lease(self, pick: int, plain: int, **given: Any) -> None:
        subscription = self._subscription(pick)
        if not plain:
            self._step("claim_listener_subscription", subscription, **given)
            return
        lease = self._step("claim_listener_lease", subscription, **given)
        if lease is not None:
            self.leases = [*self.leases, lease][-10:]

    @rule(pick=picks, times=st.sampled_from([2, 3, 2, 3, 2, 45]))
    def pass_lease_around(self, pick: int, times: int) -> None:
        """So often that the older audit records leave the row."""
        subscription = self._subscription(pick)
        type(self).steps += 1
        for number in range(times):
            runtime = f"runtime {number % 3}"
            self._do("claim_listener_lease", subscription, runtime_id=runtime, lease_seconds=0)
        self.sides.walk("page_audit_records", subscription, limit=7)

    @precondition(lambda self: self.leases)
    @rule(pick=st.sampled_from([-1, -1, -2, 0]), lease_seconds=inputs.leases)
    def renew_lease(self, pick: int, lease_seconds: float) -> None:
        renewed = self._step("renew_listener_lease", self._lease(pick), lease_seconds=lease_seconds)
        if renewed is not None:
            self.leases = [*self.leases, renewed][-10:]

    @rule(
        pick=picks, late=st.sampled_from([30, 60, 90]), then=st.sampled_from(["one", "two", None]),
        event=inputs.events,
    )  # fmt: skip
    def sleep_past_a_lease(
        self, pick: int, late: int, then: str | None, event: dict[str, Any]
    ) -> None:
        """A runtime that slept past its expiry is fenced, also from its own next lease."""
        subscription = self._subscription(pick % 3)
        lease = self._step("claim_listener_lease", subscription, runtime_id="one", lease_seconds=60)
        self._advance(timedelta(seconds=late))
        if then is not None:
            self._do("claim_listener_lease", subscription, runtime_id=then, lease_seconds=60)
        if lease is not None:
            made = Made(ListenerLease, lease)
            self._do("save_listener_cursor", {"subscription_id": subscription}, lease=made)
            self._do("dispatch_listener_event", subscription, event, lease=made)
            self._do("renew_listener_lease", made, lease_seconds=60)

    @rule(
        pick=picks, status=inputs.statuses, event=inputs.events, late=st.sampled_from([0, 60, 300])
    )
    def redeploy(self, pick: int, status: str, event: dict[str, Any], late: int) -> None:
        """A new version with the same listeners: cursor, remembered events and a pause go on."""
        subscription = self._subscription(pick % 5)
        row = self.tables.subscriptions.get(subscription)
        if row is None:
            return self.set_status(pick, status, actor="ada", last_error=None)
        if pick % 2:
            self.set_status(pick % 5, status, actor="ada", last_error="lost")
        self._step("dispatch_listener_event", subscription, event)
        self._do("save_listener_cursor", {"subscription_id": subscription, "telegram_offset": pick})
        self._advance(timedelta(seconds=late))
        version = self.tables.versions[row["workflow_version_id"]]
        self._add_version(row["workflow_id"], version["graph"])
        for served in self.model.list_listener_subscriptions(
            workflow_id=row["workflow_id"], only_served=True
        ):
            self._do("get_listener_cursor", served["id"])
            self._do("dispatch_listener_event", served["id"], event)
        return None

    @rule(pick=picks, runtime_id=st.sampled_from(["one", "two", "nul\0", None, None]))
    def release_lease(self, pick: int, runtime_id: str | None) -> None:
        """Whoever holds it gives it back, or somebody who does not."""
        subscription = self._subscription(pick)
        if runtime_id is None:
            leased = [s for s in self.tables.subscriptions.values() if s["assigned_runtime"]]
            holder = leased[pick % len(leased)] if leased else {}
            subscription = holder.get("id", subscription)
            runtime_id = str(holder.get("assigned_runtime"))
        self._step("release_listener_subscription", subscription, runtime_id=runtime_id)

    @rule(pick=picks, lease=held, fields=inputs.cursors, other=st.integers(0, 9))
    def save_cursor(self, pick: int, lease: int | None, fields: dict[str, Any], other: int) -> None:
        given = self._lease(lease)
        mine = given is not None and other > 0
        subscription = given["subscription"]["id"] if mine else self._subscription(pick)
        cursor = {"subscription_id": subscription, **fields}
        self._step("save_listener_cursor", cursor, lease=given)
        self._do("get_listener_cursor", subscription)

    @rule(
        pick=picks, lease=held, event=inputs.events, other=st.integers(0, 9), times=st.sampled_from([1, 1, 2]),
        step=inputs.steps,
    )  # fmt: skip
    def dispatch_event(
        self,
        pick: int,
        lease: int | None,
        event: dict[str, Any],
        other: int,
        times: int,
        step: timedelta,
    ) -> None:
        given = self._lease(lease)
        mine = given is not None and other > 0
        subscription = given["subscription"]["id"] if mine else self._subscription(pick)
        for _ in range(times):
            self._step("dispatch_listener_event", subscription, event, lease=given)
        if step < timedelta(minutes=2):
            self._advance(step)

    @rule(ahead=st.sampled_from([None, 0, 60]), limit=inputs.prune_limits)
    def prune_dedupe(self, ahead: int | None, limit: int) -> None:
        now = None if ahead is None else self.sides.clock() + timedelta(seconds=ahead)
        self._step("prune_listener_dedupe", now=now, limit=limit)

    # --- arguments that are wrong whatever is stored

    @rule(wrong=st.integers(0, 5), pick=picks)
    def use_listeners_wrongly(self, wrong: int, pick: int) -> None:
        type(self).steps += 1
        subscription = self._subscription(pick)
        calls: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
            (
                "claim_listener_lease", (subscription,), {"runtime_id": "", "lease_seconds": 1},
                "runtime_id must not be empty.",
            ),
            (
                "claim_listener_lease", (subscription,), {"runtime_id": "one", "lease_seconds": -1},
                "lease_seconds must be a number from 0 to 31536000, got -1.",
            ),
            (
                "update_listener_subscription_status", (subscription,), {"status": "active", "actor": "ada"},
                "status must be a ListenerSubscriptionStatus, not str.",
            ),
            (
                "dispatch_listener_event", (subscription, {"platform": "qq"}), {},
                "payload.event_type is required.",
            ),
            (
                "save_listener_cursor", ({"telegram_offset": 1},), {},
                "cursor.subscription_id is required.",
            ),
            (
                "release_outbox", ([1],), {},
                "entries must be a list of what claim_outbox returned",
            ),
        ]  # fmt: skip
        method, args, kwargs, text = calls[wrong]
        self.sides.compare(
            f"{method}, wrongly",
            lambda side: getattr(side.unit.workflows, method)(*args, **kwargs),
            lambda: refuse("ValidationError", text),
        )
