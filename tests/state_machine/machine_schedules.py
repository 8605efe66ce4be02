"""Rules about triggers: workflows, versions and runs beneath them; cron schedules; time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.state_machine import inputs_triggers as inputs
from tests.state_machine.machine_base import limits, picks, refuse
from tests.state_machine.machine_trigger_base import MOST_WORKFLOWS, TriggerBase, workflows
from tests.state_machine.model_search import Term

ends = st.sampled_from(["failed", "succeeded", "failed", "cancelled"])


class ScheduleRules(TriggerBase):
    """What is done to workflows and their schedules."""

    # --- workflows, versions, runs

    @precondition(lambda self: len(self.tables.workflows) < MOST_WORKFLOWS)
    @rule()
    def create_workflow(self) -> None:
        type(self).steps += 1
        self._add_workflow("one more")

    @rule(pick=workflows, graph=inputs.graphs)
    def create_version(self, pick: int, graph: dict[str, Any]) -> None:
        type(self).steps += 1
        self._add_version(self._workflow(pick), graph)

    @rule(pick=workflows, is_archived=st.sampled_from([True, False, False]), actor=inputs.actors)
    def archive_or_restore(self, pick: int, is_archived: bool, actor: str) -> None:
        self._step(
            "update_workflow", self._workflow(pick), name=None, description=None, tags=None, is_archived=is_archived,
            actor=actor,
        )  # fmt: skip

    @rule(pick=workflows, times=st.sampled_from([2, 2, 2, 3, 2, 3, 43]))
    def archive_and_restore_often(self, pick: int, times: int) -> None:
        """So often that the older audit records leave the row, and what follows from archiving still knows its own."""
        type(self).steps += 1
        workflow = self._workflow(pick)
        for number in range(times):
            self._do(
                "update_workflow", workflow, name=None, description=None, tags=None, is_archived=number % 2 == 0,
                actor=f"{number}",
            )  # fmt: skip

    @rule(pick=workflows, hand_off=st.booleans(), trigger=st.sampled_from(["manual", "cron"]))
    def create_run(self, pick: int, hand_off: bool, trigger: str) -> None:
        """A caller may call his runs `cron`: a schedule does not take them for its own."""
        workflow = self._versioned(pick)
        version = self.model._latest(workflow) or {"id": inputs.ALIEN}
        self._set_gate(on=False)
        self._step(
            "create_run", workflow, workflow_version_id=version["id"], triggered_by=trigger, input_payload={"a": 1},
            hand_off=hand_off,
        )  # fmt: skip

    @rule(pick=picks)
    def start(self, pick: int) -> None:
        self._step("mark_run_started", self._run(pick, "pending"), actor="worker")

    @rule(count=st.sampled_from([1, 2, 5, 50]), how=ends)
    def end_runs(self, count: int, how: str) -> None:
        type(self).steps += 1
        self._finish_runs(count, how)

    @rule(ago=inputs.spans, limit=inputs.prune_limits)
    def prune_runs(self, ago: Any, limit: int) -> None:
        ago = ago if isinstance(ago, timedelta) else timedelta(seconds=ago)
        self._step("prune_runs", created_before=self.sides.clock() - ago, limit=limit)

    @rule(pick=workflows)
    def fall_ill_or_recover(self, pick: int) -> None:
        type(self).steps += 1
        self.model.unhealthy ^= {self._workflow(pick)}
        self.sides.credentials.unhealthy = self.model.unhealthy

    @rule(
        word=st.sampled_from(["cron", "webhook", "listener", "retry", "broke", "hi", "telegram", "v"]),
        limit=limits,
    )  # fmt: skip
    def search_runs(self, word: str, limit: int) -> None:
        """Whatever starts a run, it is found."""
        self._walk("search_runs", [Term((word,))], limit=limit)

    # --- schedules

    @rule(pick=workflows, config=inputs.crons, actor=inputs.actors)
    def configure_cron(self, pick: int, config: dict[str, Any], actor: str) -> None:
        self._step("configure_cron_trigger", self._workflow(pick), config, actor=actor)

    @rule(pick=workflows, given=st.sampled_from(inputs.BAD_CRONS))
    def configure_cron_wrongly(self, pick: int, given: tuple[Any, str, str]) -> None:
        type(self).steps += 1
        config, kind, text = given
        workflow = self._workflow(pick)
        self.sides.compare(
            "configure_cron_trigger, wrongly",
            lambda side: side.unit.workflows.configure_cron_trigger(workflow, config),
            lambda: refuse(kind, text),
        )

    @rule(
        pick=workflows, actor=inputs.actors,
        what=st.sampled_from(["pause_cron_trigger", "resume_cron_trigger", "resume_cron_trigger"]),
    )  # fmt: skip
    def pause_or_resume_cron(self, pick: int, what: str, actor: str) -> None:
        self._step(what, self._workflow(pick), actor=actor)

    @rule(pick=workflows, actor=inputs.actors, really=st.booleans())
    def delete_cron(self, pick: int, actor: str, really: bool) -> None:
        workflow = self._workflow(pick)
        if really:
            self._step("delete_cron_trigger", workflow, actor=actor)
        else:
            self._step("get_cron_trigger_config", workflow)

    @rule(pick=workflows, limit=limits)
    def read_schedules(self, pick: int, limit: int) -> None:
        self._step("get_cron_schedule", self._workflow(pick))
        self.sides.walk("page_cron_schedules", limit=limit)

    @precondition(lambda self: not self.in_unit)
    @rule(pick=workflows)
    def poison_a_schedule(self, pick: int) -> None:
        """Such a config may come from another release: it is set aside and stops no other."""
        type(self).steps += 1
        workflow = self._workflow(pick)
        config = self.model.poison_schedule(workflow)
        if config is not None:
            self.sides.write_beside(
                "UPDATE cron_triggers SET config = ? WHERE workflow_id = ?",
                "UPDATE cron_triggers SET config = %s WHERE workflow_id = %s::uuid",
                config,
                str(workflow),
            )

    # --- time

    @precondition(lambda self: not self.in_unit)
    @rule(step=inputs.steps, gate=st.sampled_from([False, False, True]))
    def tick(self, step: timedelta, gate: bool) -> None:
        """Time passes, and a scheduler comes round."""
        self._advance(step)
        self._set_gate(on=gate)
        self._step("dispatch_due_cron_runs")

    @precondition(lambda self: not self.in_unit)
    @rule(step=inputs.steps, count=st.sampled_from([1, 5, 50]), how=ends)
    def tick_after_runs_end(self, step: timedelta, count: int, how: str) -> None:
        self._finish_runs(count, how)
        self._advance(step)
        self._set_gate(on=False)
        self._step("dispatch_due_cron_runs")

    @precondition(lambda self: not self.in_unit)
    @rule(
        off=st.sampled_from([-3600, -90, -5, 5, 59, 61, 3600, 26 * 3600]), naive=st.booleans(), gate=st.booleans()
    )  # fmt: skip
    def tick_by_another_clock(self, off: int, naive: bool, gate: bool) -> None:
        """A scheduler whose clock goes wrong, or that is told a time."""
        now = self.sides.clock() + timedelta(seconds=off)
        self._set_gate(on=gate)
        self._step("dispatch_due_cron_runs", now=now.replace(tzinfo=None) if naive else now)

    @precondition(lambda self: not self.in_unit)
    @rule(pick=workflows, away=st.sampled_from(["pause", "archive"]), step=inputs.steps)
    def rest_for_a_while(self, pick: int, away: str, step: timedelta) -> None:
        """What a schedule misses while it is paused, or its workflow archived, is not made up for."""
        workflow = self._versioned(pick)
        self._set_gate(on=False)
        self._finish_runs(50, "cancelled")
        self._step("dispatch_due_cron_runs")
        for rests in (True, False):
            if away == "pause":
                what = "pause_cron_trigger" if rests else "resume_cron_trigger"
                self._do(what, workflow, actor="ada")
            else:
                self._do(
                    "update_workflow", workflow, name=None, description=None, tags=None, is_archived=rests, actor="ada"
                )  # fmt: skip
            self._do("dispatch_due_cron_runs")
            self._advance(step)
            self._do("dispatch_due_cron_runs")
        self._do("get_cron_schedule", workflow)

    @rule(step=inputs.steps)
    def time_passes(self, step: timedelta) -> None:
        type(self).steps += 1
        self._advance(step)
