"""The demo's triggers: configures them, and dispatches through them, in rounds over its workflows."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from orcheo_sql import (
    CronTriggerConfig,
    ManualDispatchItem,
    ManualDispatchRequest,
    RetryPolicyConfig,
    WebhookTriggerConfig,
)
from orcheo_sql._errors import (
    CronTriggerNotFoundError,
    WebhookAuthenticationError,
    WorkflowNotFoundError,
    WorkflowRunNotFoundError,
)
from orcheo_sql.rules import next_occurrence

from ._demo_listeners import DemoListeners
from ._demo_store import ACTOR, SKIPPABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from orcheo_sql import Database, WorkflowRun

    from ._demo_neighbours import Neighbours
    from ._demo_store import Stored
    from ._demo_worker import Worker
    from ._graphs import GraphFile, Graphs

SCHEDULE = CronTriggerConfig(
    expression="0 9 * * mon-fri", timezone="Europe/Berlin", allow_overlapping=True
)
RETRIES = RetryPolicyConfig(max_attempts=2, initial_delay_seconds=0)
SIGNATURE, TIMESTAMP = "x-demo-signature", "x-demo-timestamp"

FEWEST = 4
"""With fewer runs per workflow than this, all of them are started by hand."""
MOST = 50
"""Of more runs per workflow the others are started by hand, in batches: no need for so many rounds."""
BATCH = 100

QUESTIONS = (
    "Please check what happened to order 4711.",
    "Können Sie das bis morgen erledigen?",
    "¿Cuánto cuesta el envío a Perú?",
    "Où en est ma demande du 3 février ?",
    "この資料を英語に訳してください。",
    "请把这份报告总结成三句话。",
)
TIERS = ("free", "silver", "gold")
COUNTRIES = ("DE", "JP", "MX", "FR", "CN")


class TriggerLine(msgspec.Struct):
    """What one kind of trigger was given, and what came of it."""

    trigger: str
    how: str
    configured: int = 0
    """Workflows (of listeners: subscriptions) that it was configured for."""
    runs: int = 0
    refused_duplicates: int = 0
    """Times that it was asked for the same once more, and gave no second run."""


class Triggers:
    """Starts the runs of a demo; every workflow gets its number of them, whatever others do meanwhile."""

    def __init__(
        self, db: Database, stored: list[Stored], *, worker: Worker, neighbours: Neighbours
    ):
        self._db = db
        self._open = list(stored)
        self._by_version = {each.latest.id: each for each in stored}
        self._worker = worker
        self._neighbours = neighbours
        # Nobody else is ever to know it: not printed, and gone with the webhook.
        self._secret = secrets.token_urlsafe(32)
        self.webhook = TriggerLine("webhook", "signed with HMAC-SHA256; deleted again")
        self.cron = TriggerLine("cron", f"{SCHEDULE.expression}, {SCHEDULE.timezone}; paused again")
        self.listener = TriggerLine("listener", "lease, event, cursor; paused again")
        self.retry = TriggerLine("retry", f"{RETRIES.max_attempts} attempts, at once")
        self.manual = TriggerLine("manual", "all of a batch or none")
        self.lines = [self.webhook, self.cron, self.listener, self.retry, self.manual]

    async def dispatch(self, runs: int, graphs: Graphs) -> None:
        """Start so many runs of each workflow, and have them worked off after each round.

        Args:
            runs: per workflow.
            graphs: get to know which of them fell by the way.
        """
        share = min(runs // 4, MOST)
        await self._neighbours.look()
        if share:
            await self._each(self._configure_retries, graphs)
            await self._each(lambda stored: self._call_webhook(stored, share), graphs)
            await self._worker.work()
            await self._go_by_the_clock(share, graphs)
        await self._each(lambda stored: self._listen(stored, is_event=share > 0), graphs)
        await self._worker.work()
        if share:
            await self._try_again()
        # By hand comes last, and makes up for what another demo has dispatched in our place.
        while any(each.new_runs < runs for each in self._open):
            await self._each(lambda stored: self._ask(stored, runs - stored.new_runs), graphs)
            await self._worker.work()

    async def _each(self, act: Callable[[Stored], Awaitable[None]], graphs: Graphs) -> None:
        """Do something for each workflow; one that can't go on is named and left out from then on."""
        for stored in list(self._open):
            try:
                await act(stored)
            except SKIPPABLE as error:
                graphs.refuse(stored.source.file, str(error))
                self._open.remove(stored)

    def _expect(self, line: TriggerLine, stored: Stored, run: WorkflowRun) -> None:
        line.runs += 1
        self._worker.expect(stored, run)

    async def _configure_retries(self, stored: Stored) -> None:
        if self._neighbours.are_away:
            await self._db.workflows.configure_retry_policy(
                stored.workflow.id, RETRIES, actor=ACTOR
            )
            self.retry.configured += 1

    async def _call_webhook(self, stored: Stored, times: int) -> None:
        config = WebhookTriggerConfig(
            allowed_methods=["POST"],
            hmac_header=SIGNATURE,
            hmac_timestamp_header=TIMESTAMP,
            hmac_secret=self._secret,
        )
        calls = [self._signed(stored.source, stored.new_runs + index) for index in range(times)]
        # In one unit of work, so that no other demo meets our secret, and one that is interrupted leaves no webhook.
        async with self._db.transaction() as tx:
            workflow_id = stored.workflow.id
            await tx.workflows.configure_webhook_trigger(workflow_id, config, actor=ACTOR)
            runs = [await tx.workflows.handle_webhook_trigger(workflow_id, **c) for c in calls]
            refused = 0
            try:
                await tx.workflows.handle_webhook_trigger(workflow_id, **calls[-1])
            except WebhookAuthenticationError:
                refused = 1
            await tx.workflows.delete_webhook_trigger(workflow_id, actor=ACTOR)
        self.webhook.configured += 1
        self.webhook.refused_duplicates += refused
        for run in runs:
            self._expect(self.webhook, stored, run)

    def _signed(self, source: GraphFile, number: int) -> dict[str, Any]:
        """Return one call as a web server would pass it on."""
        payload = input_of(source, number)
        body = msgspec.json.encode(payload)
        epoch = int(self._db.now().timestamp())
        signature = hmac.new(self._secret.encode(), b"%d." % epoch + body, hashlib.sha256)
        return {
            "method": "POST",
            "headers": {
                "Content-Type": "application/json",
                SIGNATURE: f"sha256={signature.hexdigest()}",
                TIMESTAMP: str(epoch),
            },
            "query_params": {},
            "payload": payload,
            "source_ip": "192.0.2.7",
            "raw_body": body,
        }

    async def _go_by_the_clock(self, rounds: int, graphs: Graphs) -> None:
        """Fire all schedules at once, some times; they rest before and after, so that none fires by itself."""
        try:
            if await self._neighbours.look_at_schedules():
                await self._each(self._resume_schedule, graphs)
            for number in range(rounds):
                if not await self._fire(is_asked_twice=number == 0):
                    break
                await self._worker.work()
        finally:
            # Also those that a demo that was killed has left behind.
            for stored in self._by_version.values():
                with suppress(CronTriggerNotFoundError, WorkflowNotFoundError):
                    await self._db.workflows.pause_cron_trigger(stored.workflow.id, actor=ACTOR)

    async def _resume_schedule(self, stored: Stored) -> None:
        workflow_id = stored.workflow.id
        await self._db.workflows.configure_cron_trigger(workflow_id, SCHEDULE, actor=ACTOR)
        self.cron.configured += 1
        await self._db.workflows.resume_cron_trigger(workflow_id, actor=ACTOR)

    async def _fire(self, *, is_asked_twice: bool) -> bool:
        """Dispatch as if the time of the next occurrence that has had no run had come."""
        if not await self._neighbours.look_at_schedules():
            return False
        now, last = self._db.now(), self._neighbours.last_fired
        at = next_occurrence(SCHEDULE, now if last is None else max(now, last))
        fired = await self._dispatch_cron(at)
        if is_asked_twice:
            again = {run.workflow_version_id for run in await self._dispatch_cron(at)}
            self.cron.refused_duplicates += sum(r.workflow_version_id not in again for r in fired)
        return True

    async def _dispatch_cron(self, at: Any) -> list[WorkflowRun]:
        runs = await self._db.workflows.dispatch_due_cron_runs(now=at)
        return self._sort_out(self.cron, runs)

    def _sort_out(self, line: TriggerLine, runs: list[WorkflowRun]) -> list[WorkflowRun]:
        """Expect the runs of our workflows; those of another demo's the worker takes as they come."""
        ours = [run for run in runs if run.workflow_version_id in self._by_version]
        for run in ours:
            self._expect(line, self._by_version[run.workflow_version_id], run)
        return ours

    async def _listen(self, stored: Stored, *, is_event: bool) -> None:
        listeners = DemoListeners(self._db, stored)
        question = input_of(stored.source, stored.new_runs)["question"]
        self.listener.configured += await listeners.count()
        try:
            if is_event:
                for run in await listeners.serve(question):
                    if run is None:
                        self.listener.refused_duplicates += 1
                    else:
                        self._expect(self.listener, stored, run)
        finally:
            await listeners.pause()

    async def _try_again(self) -> None:
        """Retry one failed run of each workflow."""
        if not await self._neighbours.look_at_retries():
            return
        failed = [self._worker.failed.get(each.workflow.id) for each in self._open]
        for decide in (True, False):
            for run_id in filter(None, failed):
                try:
                    decision = await self._db.workflows.schedule_retry_for_run(run_id)
                except WorkflowRunNotFoundError:
                    continue
                if not decide and decision is None:
                    self.retry.refused_duplicates += 1
            if decide:
                runs = await self._db.workflows.dispatch_due_retries(limit=1000)
                self._sort_out(self.retry, runs)
        await self._worker.work()

    async def _ask(self, stored: Stored, wanted: int) -> None:
        if wanted <= 0:
            return
        first = stored.new_runs
        request = ManualDispatchRequest(
            workflow_id=stored.workflow.id,
            actor=ACTOR,
            label="manual",
            runs=[
                ManualDispatchItem(input_payload=input_of(stored.source, first + index))
                for index in range(min(wanted, BATCH))
            ],
        )
        for run in await self._db.workflows.dispatch_manual_runs(request):
            self._expect(self.manual, stored, run)


def input_of(source: GraphFile, number: int) -> dict[str, Any]:
    """Return what a run is asked."""
    questions = source.examples or list(QUESTIONS)
    return {
        "question": questions[number % len(questions)],
        "customer": {
            "id": 1000 + number,
            "tier": TIERS[number % len(TIERS)],
            "country": COUNTRIES[number % len(COUNTRIES)],
        },
        "priority": 1 + 2 * number % 5,
    }
