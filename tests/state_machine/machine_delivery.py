"""Rules about triggers: webhooks, manual dispatch, retries, the outbox, sweeps."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.state_machine import inputs_triggers as inputs
from tests.state_machine.inputs import mostly
from tests.state_machine.machine_base import limits, picks, refuse
from tests.state_machine.machine_trigger_base import TriggerBase, workflows
from tests.state_machine.model_webhooks import _body
from tests.state_machine.sides import Made

from orcheo_sql.structs import OutboxEntry

if TYPE_CHECKING:
    pass

consumers = mostly(["one", "two"], ["nul\0"])


class DeliveryRules(TriggerBase):
    """What starts runs but for clocks and listeners, and what hands them on."""

    # --- webhooks

    @rule(pick=workflows, config=inputs.webhooks, actor=inputs.actors)
    def configure_webhook(self, pick: int, config: dict[str, Any], actor: str) -> None:
        self._step("configure_webhook_trigger", self._workflow(pick), config, actor=actor)

    @rule(pick=workflows, given=st.sampled_from(inputs.BAD_WEBHOOKS))
    def configure_webhook_wrongly(self, pick: int, given: tuple[Any, str, str]) -> None:
        type(self).steps += 1
        config, kind, text = given
        workflow = self._workflow(pick)
        self.sides.compare(
            "configure_webhook_trigger, wrongly",
            lambda side: side.unit.workflows.configure_webhook_trigger(workflow, config),
            lambda: refuse(kind, text),
        )

    @rule(pick=workflows, actor=inputs.actors, really=st.sampled_from([False, True]))
    def delete_webhook(self, pick: int, actor: str, really: bool) -> None:
        workflow = self._workflow(pick)
        if really:
            self._step("delete_webhook_trigger", workflow, actor=actor)
        else:
            self._step("get_webhook_trigger_config", workflow)

    @rule(
        pick=workflows, wrong=st.sampled_from([None] * 5 + ["method", "header", "param", "secret", "signature", "time"]),
        payload=inputs.bodies, raw=st.booleans(), again=st.booleans(), late=st.sampled_from([0, 0, -60, 299, -400]),
        gate=st.sampled_from([False, True]), credentials_checked=st.booleans(),
    )  # fmt: skip
    def call_webhook(self, pick: int, wrong: str | None, again: bool, **given: Any) -> None:
        """Call as the webhook wants it, or with one thing wrong; perhaps again: then it is a replay."""
        late, gate = given.pop("late"), given.pop("gate")
        workflow = self._configured(pick)
        call = self._call_of(workflow, wrong, late, given)
        self._set_gate(on=gate)
        for _ in range(1 + again):
            self._step("handle_webhook_trigger", workflow, **call)

    @rule(pick=workflows, limits=st.sampled_from([(1, 2), (2, 1), (1, None), (1, 1)]))
    def change_the_rate_limit(self, pick: int, limits: tuple[int, int | None]) -> None:
        """Use the places up, under one limit and then under another."""
        workflow = self._versioned(pick)
        self._set_gate(on=False)
        for limit in limits:
            rate_limit = limit and {"limit": limit, "interval_seconds": 60}
            self._step("configure_webhook_trigger", workflow, {"rate_limit": rate_limit})
            call = self._call_of(workflow, None, 0, {"payload": 1, "raw": False})
            for _ in range(2):
                self._do("handle_webhook_trigger", workflow, **call)

    def _configured(self, pick: int) -> Any:
        """Return a workflow with a webhook, if there is one."""
        known = list(self.tables.webhooks)
        return known[pick % len(known)] if known and pick < 8 else self._workflow(pick)

    def _call_of(
        self, workflow: Any, wrong: str | None, late: int, given: dict[str, Any]
    ) -> dict[str, Any]:
        config = self.tables.webhooks.get(workflow, {}).get("config", {})
        methods = config.get("allowed_methods", ["GET"])
        headers = {"Content-Type": "x", "Authorization": "Bearer b", "Cookie": "c", "X-Kind": "b"}
        headers |= {
            name.upper(): value for name, value in config.get("required_headers", {}).items()
        }
        params = {"a": "2", "B": "ü", "token": "t", **config.get("required_query_params", {})}
        if config.get("shared_secret"):
            headers[config["shared_secret_header"]] = config["shared_secret"]
        payload, raw_body = given["payload"], b'{"raw":  1}' if given["raw"] else None
        if config.get("hmac_secret"):
            signed = _body(payload) if raw_body is None else raw_body
            if config["hmac_timestamp_header"]:
                epoch = int(self.sides.clock().timestamp()) + late
                headers[config["hmac_timestamp_header"]] = "²" if wrong == "time" else f"{epoch}"
                signed = b"%d." % epoch + signed
            made = hmac.new(config["hmac_secret"].encode(), signed, config["hmac_algorithm"])
            spelled = (made.hexdigest(), f"sha256={made.hexdigest().upper()}")
            headers[config["hmac_header"]] = spelled[late % 2]
        match wrong:
            case "method":
                methods = ["delete"]
            case "header":
                headers.pop("X-KIND", None)
                headers["X-Kind"] = "c"
            case "param":
                params.pop("a")
            case "secret":
                headers[config.get("shared_secret_header") or "x"] = "s3cr\u00e9t"
            case "signature":
                headers[config.get("hmac_header") or "x"] = hashlib.sha256(b"").hexdigest()
        return {
            "method": methods[-1].lower(), "headers": headers, "query_params": params, "payload": payload,
            "source_ip": "::1" if given["raw"] else None, "raw_body": raw_body,
            "credentials_checked": given.get("credentials_checked", False),
        }  # fmt: skip

    @rule(ahead=st.sampled_from([None, 0, 400]))
    def prune_signatures(self, ahead: int | None) -> None:
        now = None if ahead is None else self.sides.clock() + timedelta(seconds=ahead)
        expiries = list(self.tables.signatures.values())
        # Which of several that expire together go first, nobody says.
        limit = 1 if len(expiries) == len(set(expiries)) else 1000
        self._step("prune_webhook_signatures", now=now, limit=limit)

    # --- manual dispatch

    @rule(
        pick=workflows, count=st.sampled_from([1, 2, 3, 20]), which=st.lists(picks, max_size=3),
        label=st.sampled_from([None, " mine ", "cron"]), alien=st.sampled_from([False, False, True]),
        gate=st.sampled_from([False, False, True]), credentials_checked=st.booleans(),
    )  # fmt: skip
    def dispatch_manually(
        self, pick: int, count: int, which: list[int], alien: bool, gate: bool, **given: Any
    ) -> None:
        workflow = self._versioned(pick)
        own = [version["id"] for version in self.model._versions(workflow)]
        versions = [*(own[n % len(own)] for n in which if own), *[None] * count][:count]
        if alien:
            versions[-1] = self._version(count)  # perhaps of another workflow, perhaps of none
        request = {
            "workflow_id": workflow, "actor": " ada ", "label": given["label"],
            "runs": [
                {"workflow_version_id": version, "input_payload": {"n": n, "odd": "\0"}}
                for n, version in enumerate(versions)
            ],
        }  # fmt: skip
        self._set_gate(on=gate)
        checked = given["credentials_checked"]
        self._step("dispatch_manual_runs", request, credentials_checked=checked)

    # --- retries

    @rule(pick=workflows, config=inputs.policies, actor=inputs.actors, wrong=st.integers(0, 20))
    def configure_retries(self, pick: int, config: dict[str, Any], actor: str, wrong: int) -> None:
        workflow = self._workflow(pick)
        if wrong < len(inputs.BAD_POLICIES):
            type(self).steps += 1
            config, kind, text = inputs.BAD_POLICIES[wrong]
            self.sides.compare(
                "configure_retry_policy, wrongly",
                lambda side: side.unit.workflows.configure_retry_policy(workflow, config),
                lambda: refuse(kind, text),
            )
        else:
            self._step("configure_retry_policy", workflow, config, actor=actor)
            self._step("get_retry_policy_config", workflow)

    @rule(
        pick=picks, times=st.sampled_from([1, 1, 1, 2]), failed=st.sampled_from([True, True, True, False]),
        failed_at=st.sampled_from([None, None, 0, -3600]), first=st.booleans(),
    )  # fmt: skip
    def decide_about_retries(
        self, pick: int, times: int, failed: bool, failed_at: int | None, first: bool
    ) -> None:
        """Decide once or again, before or after the run is marked as failed."""
        run = self._run(pick, *(("pending", "running") if first else ("failed",)))
        at = None if failed_at is None else self.sides.clock() + timedelta(seconds=failed_at)
        for _ in range(times):
            self._step("schedule_retry_for_run", run, failed_at=at)
        if first and failed:
            self._step("mark_run_failed", run, actor="worker", error="it broke")
        self._step("list_run_retries", run)

    @precondition(lambda self: not self.in_unit)
    @rule(pick=picks, wait=st.sampled_from([0, 60, 600]), limit=st.sampled_from([100, 1]))
    def fail_and_try_again(self, pick: int, wait: int, limit: int) -> None:
        for number in (pick, pick + 1):
            run = self._run(number, "running", "pending")
            self._step("schedule_retry_for_run", run)
            self._do("mark_run_failed", run, actor="worker", error="it broke")
        self._advance(timedelta(seconds=wait))
        self._set_gate(on=False)
        self._step("dispatch_due_retries", limit=limit)

    @precondition(lambda self: not self.in_unit)
    @rule(
        step=inputs.steps, limit=st.sampled_from([100, 100, 100, 1, 2, 0]), gate=st.sampled_from([False, True]),
        ahead=st.sampled_from([None, None, 0, 600]),
    )  # fmt: skip
    def dispatch_retries(self, step: timedelta, limit: int, gate: bool, ahead: int | None) -> None:
        self._advance(step)
        self._set_gate(on=gate)
        now = None if ahead is None else self.sides.clock() + timedelta(seconds=ahead)
        self._step("dispatch_due_retries", now=now, limit=limit)

    # --- the outbox

    @rule(consumer=consumers, limit=st.sampled_from([1, 2, 10, 1000, 0]), lease=inputs.leases)
    def claim(self, consumer: str, limit: int, lease: float) -> None:
        claimed = self._step("claim_outbox", consumer=consumer, limit=limit, lease_seconds=lease)
        self.claims = [*self.claims, *[Made(OutboxEntry, row) for row in claimed or []]][-30:]

    def _entries(self, newest: bool, count: int) -> list[Any]:
        """Return claims that may be stale by now, some twice; or what nobody has claimed."""
        if count == 0:
            return [Made(OutboxEntry, row) for row in self.model.page_outbox()[:3]]
        held = self.claims[-count:] if newest else self.claims[:count]
        return [*held, *held[:1]]

    @precondition(lambda self: self.tables.outbox)
    @rule(newest=st.booleans(), count=st.integers(0, 5))
    def acknowledge(self, newest: bool, count: int) -> None:
        self._step("acknowledge_outbox", self._entries(newest, count))

    @precondition(lambda self: self.tables.outbox)
    @rule(newest=st.booleans(), count=st.integers(0, 5), delay=st.sampled_from([0, 60]))
    def give_back(self, newest: bool, count: int, delay: float) -> None:
        self._step("release_outbox", self._entries(newest, count), delay_seconds=delay)

    @precondition(lambda self: self.tables.outbox)
    @rule(limit=st.sampled_from([1, 2, 10]), later=st.sampled_from([2, 60, 4000]))
    def lose_a_worker(self, limit: int, later: int) -> None:
        """It claims, acknowledges, and is never seen again: what it has not started is offered anew."""
        claimed = self._step("claim_outbox", consumer="lost", limit=limit, lease_seconds=60)
        self._do("acknowledge_outbox", [Made(OutboxEntry, row) for row in claimed])
        self._advance(timedelta(seconds=later))
        self._do("sweep_outbox", pending_for=1, limit=limit)
        self._do("count_outbox")

    @precondition(lambda self: self.tables.outbox)
    @rule(late=st.sampled_from([30, 60, 90]), gives_back=st.booleans())
    def sleep_past_a_claim(self, late: int, gives_back: bool) -> None:
        """Whoever slept can neither acknowledge nor give back what somebody else has claimed since."""
        claimed = self._step("claim_outbox", consumer="sleeper", limit=2, lease_seconds=60)
        self._advance(timedelta(seconds=late))
        self._do("claim_outbox", consumer="other", limit=1, lease_seconds=60)
        entries = [Made(OutboxEntry, row) for row in claimed]
        self._do("release_outbox" if gives_back else "acknowledge_outbox", entries)
        self._do("count_outbox")

    @rule(pending_for=inputs.spans, limit=inputs.prune_limits)
    def sweep_outbox(self, pending_for: Any, limit: int) -> None:
        self._step("sweep_outbox", pending_for=pending_for, limit=limit)

    @rule(limit=limits)
    def read_outbox(self, limit: int) -> None:
        self._step("count_outbox")
        self.sides.walk("page_outbox", limit=limit)

    @rule(
        stale_for=inputs.spans, status=mostly(["running", "pending"], ["failed"]), limit=inputs.prune_limits,
        actor=inputs.actors,
    )  # fmt: skip
    def sweep_stale_runs(self, **given: Any) -> None:
        self._step("sweep_stale_runs", **given)
