"""Rules of the state machine: runs, audit trails, and arguments that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.state_machine import inputs
from tests.state_machine.machine_base import (
    NOWHERE,
    MachineBase,
    actors,
    instants,
    limits,
    picks,
    refuse,
)

from orcheo_sql._pages import encode_cursor

if TYPE_CHECKING:
    from tests.state_machine.model_search import Term

PAGED: dict[str, tuple[tuple[Any, ...], str]] = {
    "page_workflows": ((), "workflows"),
    "page_workflow_summaries": ((), "summaries"),
    "search_workflows": (("alpha",), "found-workflows"),
    "page_versions": ((...,), "versions of {}"),
    "page_runs": ((), "runs"),
    "search_runs": (("alpha",), "found-runs"),
    "page_audit_records": ((...,), "audit trail of {}"),
}


class RunRules(MachineBase):
    """What is done to runs, and what is read of any entity."""

    @rule(
        pick=picks, own=st.integers(0, 5), triggered_by=st.sampled_from([*inputs.TRIGGERS, "nul\0"]),
        input_payload=inputs.records, actor=inputs.optional(actors), runnable_config=inputs.configs,
        gate=st.booleans(), credentials_checked=st.booleans(),
    )  # fmt: skip
    def create_run(self, pick: int, own: int, gate: bool, **given: Any) -> None:
        version = self._version(pick)
        stored = self.sides.model.tables.versions.get(version)
        workflow = stored["workflow_id"] if stored and own else self._workflow(pick)
        self._set_gate(on=gate)
        self._call("create_run", workflow, workflow_version_id=version, **given)

    @rule(pick=picks)
    def fall_ill_or_recover(self, pick: int) -> None:
        type(self).steps += 1
        self.sides.model.unhealthy ^= {self._workflow(pick)}
        self.sides.credentials.unhealthy = self.sides.model.unhealthy

    @rule(pick=picks, count=st.integers(2, 5), config=inputs.configs)
    def create_runs_of_one_age(self, pick: int, count: int, config: Any) -> None:
        stored = self.sides.model.tables.versions.get(self._version(pick))
        self._set_gate(on=False)
        for number in range(count):
            if stored is None:
                break
            self.sides.call(
                "create_run", stored["workflow_id"], workflow_version_id=stored["id"],
                triggered_by=inputs.TRIGGERS[number % 4], input_payload={"n": number, "a": "alpha"},
                runnable_config=config,
            )  # fmt: skip
        type(self).steps += 1

    @rule(pick=picks, actor=actors)
    def start(self, pick: int, actor: str) -> None:
        self._call("mark_run_started", self._run(pick), actor=actor)

    @rule(pick=picks, actor=actors, output=st.one_of(st.none(), inputs.records))
    def succeed(self, pick: int, actor: str, output: Any) -> None:
        self._call("mark_run_succeeded", self._run(pick), actor=actor, output=output)

    @rule(
        pick=picks, actor=actors, error=st.sampled_from(["retry policy", "", "nul\0here", "東京"])
    )
    def fail(self, pick: int, actor: str, error: str) -> None:
        self._call("mark_run_failed", self._run(pick), actor=actor, error=error)

    @rule(pick=picks, actor=actors, reason=st.sampled_from([None, "", "alpha was late", "\ud83d"]))
    def cancel(self, pick: int, actor: str, reason: str | None) -> None:
        self._call("mark_run_cancelled", self._run(pick), actor=actor, reason=reason)

    @rule(pick=picks, what=st.sampled_from(["get_workflow", "get_version", "get_run"]))
    def read_one(self, pick: int, what: str) -> None:
        found = {"get_workflow": self._workflow, "get_version": self._version, "get_run": self._run}
        self._call(what, found[what](pick))

    @rule(pick=picks)
    def give_ids_as_text(self, pick: int) -> None:
        type(self).steps += 1
        workflow = self._workflow(pick)
        self.sides.compare(
            "id as text",
            lambda side: side.unit.workflows.get_workflow(workflow.hex),  # type: ignore[arg-type]
            lambda: self.sides.model.get_workflow(workflow),
        )
        self.sides.compare(
            "no id",
            lambda side: side.unit.workflows.get_workflow("nobody"),  # type: ignore[arg-type]
            lambda: refuse("ValidationError", "workflow_id must be a UUID, got str"),
        )

    @rule(pick=picks, limit=st.sampled_from([None, 2, 0, 1, -1]))
    def list_runs_of_workflow(self, pick: int, limit: int | None) -> None:
        self._call("list_runs_for_workflow", self._workflow(pick), limit=limit)

    @rule(
        pick=inputs.optional(picks),
        status=inputs.optional(st.sampled_from(["pending", "running", "succeeded", "failed", "cancelled"])),
        triggered_by=inputs.optional(st.sampled_from(inputs.TRIGGERS)),
        since=inputs.optional(instants), until=inputs.optional(instants), limit=limits,
    )  # fmt: skip
    def page_runs(self, pick: int | None, since: Any, until: Any, limit: int, **given: Any) -> None:
        workflow = None if pick is None else self._workflow(pick)
        window = {"created_from": self._instant(since), "created_before": self._instant(until)}
        self._walk("page_runs", workflow_id=workflow, limit=limit, **window, **given)

    @rule(
        filters=st.dictionaries(
            st.sampled_from(["input_filter", "output_filter", "metadata_filter"]), inputs.filters, min_size=1
        ),
        pick=inputs.optional(picks), status=inputs.optional(st.sampled_from(["succeeded", "running"])),
        triggered_by=inputs.optional(st.sampled_from(inputs.TRIGGERS)), since=inputs.optional(instants), limit=limits,
    )  # fmt: skip
    def filter_runs(
        self, filters: dict[str, Any], pick: int | None, since: Any, **given: Any
    ) -> None:
        workflow = None if pick is None else self._workflow(pick)
        window = {"created_from": self._instant(since)}
        self._walk("page_runs", workflow_id=workflow, **window, **filters, **given)

    @rule(pick=inputs.optional(picks))
    def count_runs(self, pick: int | None) -> None:
        workflow = None if pick is None else self._workflow(pick)
        self._call("count_runs_by_status", workflow_id=workflow)

    @rule(pick=inputs.optional(picks), query=inputs.searches, limit=limits)
    def search_runs(self, pick: int | None, query: list[Term], limit: int) -> None:
        workflow = None if pick is None else self._workflow(pick)
        self._walk("search_runs", query, limit=limit, workflow_id=workflow)

    @rule(before=instants, limit=st.sampled_from([1, 2, 0, 1, 2, 1000]))
    def prune_runs(self, before: tuple[int, int], limit: int) -> None:
        self._call("prune_runs", created_before=self._instant(before), limit=limit)

    # --- arguments that are wrong whatever is stored

    @rule(list_=st.sampled_from(list(PAGED)), pick=picks, wrong=st.integers(0, 5))
    def page_wrongly(self, list_: str, pick: int, wrong: int) -> None:
        type(self).steps += 1
        arguments, kind = PAGED[list_]
        if arguments == (...,):
            arguments = (self._workflow(pick),)
            kind = kind.format(*arguments)
        limit: Any = (-1, 1001, True, "2", 2, 2)[wrong]
        refusals = [
            ("ValidationError", "limit must not be negative, but is -1"),
            ("ValidationError", "limit must be at most 1000, but is 1001"),
            ("ValidationError", "limit must be an integer, not bool"),
            ("ValidationError", "limit must be an integer, not str"),
            *[("InvalidCursorError", f"not a cursor of this list ({kind}): start without one")] * 2,
        ]
        strange = encode_cursor("another list", self.sides.clock(), NOWHERE)
        cursor = (None, None, None, None, "???", strange)[wrong]
        self.sides.compare(
            f"{list_}, wrongly",
            lambda side: getattr(side.unit.workflows, list_)(
                *arguments, limit=limit, cursor=cursor
            ),
            lambda: refuse(*refusals[wrong]),
        )

    # --- audit trails

    @rule(
        pick=picks, limit=st.sampled_from([1000, 7]), of=st.sampled_from(["workflow", "version", "run"])
    )  # fmt: skip
    def read_trail(self, pick: int, limit: int, of: str) -> None:
        found = {"workflow": self._workflow, "version": self._version, "run": self._run}
        self._walk("page_audit_records", found[of](pick), limit=limit)

    @rule(pick=picks, times=st.sampled_from([21, 45]), of_version=st.booleans())
    def grow_trail(self, pick: int, times: int, of_version: bool) -> None:
        """Edit one entity so often that its older records leave its row."""
        type(self).steps += 1
        workflow = self._workflow(pick)
        for number in range(times):
            if of_version:
                self.sides.call(
                    "update_version_runnable_config", workflow, version_number=1, runnable_config=None, actor=f"{number}"
                )  # fmt: skip
            else:
                self.sides.call(
                    "update_workflow", workflow, name=f"name {number}", description=None, tags=None, is_archived=None,
                    actor=f"{number}",
                )  # fmt: skip
