"""The state machine: every operation of `db.workflows`, in any order, inside and outside of units of work."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.state_machine import inputs
from tests.state_machine.model_values import Refused

from orcheo_sql import ConnectionLostError
from orcheo_sql._pages import encode_cursor

if TYPE_CHECKING:
    from tests.state_machine.model_search import Term
    from tests.state_machine.sides import Side, Sides

    from orcheo_sql import Transaction

NOWHERE = UUID("00000000-0000-4000-8000-00000000dead")
PAGED: dict[str, tuple[tuple[Any, ...], str]] = {
    "page_workflows": ((), "workflows"),
    "page_workflow_summaries": ((), "summaries"),
    "search_workflows": (("alpha",), "found-workflows"),
    "page_versions": ((...,), "versions"),
    "page_runs": ((), "runs"),
    "search_runs": (("alpha",), "found-runs"),
    "page_audit_records": ((...,), "audit"),
}

picks = st.integers(0, 30)
instants = st.tuples(picks, st.sampled_from([0, 0, 1, -1]))
limits = st.sampled_from([2, 1, 3, 50, 1000, 0])
actors = inputs.mostly(inputs.ACTORS, inputs.BAD_ACTORS)
names = inputs.mostly(inputs.NAMES, inputs.BAD_NAMES)
handles = inputs.mostly(inputs.HANDLES, inputs.BAD_HANDLES)
descriptions = inputs.mostly(inputs.DESCRIPTIONS, inputs.BAD_DESCRIPTIONS)
tag_lists = inputs.mostly(inputs.TAGS, inputs.BAD_TAGS)
accesses = inputs.mostly(inputs.ACCESS, ["secret"])


class WorkflowMachine(RuleBasedStateMachine):
    """Drives the three sides; `steps` counts the rules that were executed."""

    sides: ClassVar[Sides]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.sides.start_over()

    def teardown(self) -> None:
        while self.in_unit:
            self._end(keep=False)
        self._compare_everything()
        self.sides.check_files()
        self.sides.start_over()
        self.sides.check_emptiness()

    @initialize(size=st.sampled_from([3, 2, 5, 4, 3, 2, 0]), shape=st.integers(0, 2**16))
    def populate(self, size: int, shape: int) -> None:
        """Begin with something to work on: a few workflows, with versions, and runs in every state."""
        chance = random.Random(shape)
        for number in range(size):
            self.sides.call(
                "create_workflow", name=chance.choice(inputs.NAMES), slug=None, draft_access="personal", actor="ada",
                handle=chance.choice([None, f"h{number}", *inputs.HANDLES]),
                description=chance.choice([None, *inputs.DESCRIPTIONS]), tags=chance.choice(inputs.TAGS),
            )  # fmt: skip
            self.sides.clock.advance(chance.choice([0, 1]))
        for workflow in [*self.sides.model.tables.workflows] * 2:
            if chance.random() < 0.8:
                self.sides.call(
                    "create_version", workflow, graph={"a": chance.choice(inputs.LEAVES)}, metadata={}, notes=None,
                    runnable_config=inputs.some_config(chance), created_by="ada",
                )  # fmt: skip
        for version in list(self.sides.model.tables.versions.values()) * 3:
            self._populate_run(version, chance)
        for workflow in self.sides.model.tables.workflows:
            if chance.random() < 0.4:
                self.sides.call(
                    "update_workflow", workflow, name=None, description=None, tags=None,
                    handle=chance.choice([None, "shared", "shared"]), is_archived=True, actor="ada",
                )  # fmt: skip
                self.sides.clock.advance(chance.choice([0, 1]))

    def _populate_run(self, version: dict[str, Any], chance: random.Random) -> None:
        self._set_gate(on=False)
        created = self.sides.call(
            "create_run", version["workflow_id"], workflow_version_id=version["id"],
            triggered_by=chance.choice(inputs.TRIGGERS),
            input_payload={"a": chance.choice(inputs.LEAVES), "b": chance.choice(inputs.LEAVES)},
            runnable_config=chance.choice([None, inputs.some_config(chance)]),
        )  # fmt: skip
        if created[0] == "error":
            return
        run = UUID(created[1]["id"])
        self.sides.clock.advance(chance.choice([0, 0, 1]))
        if chance.random() < 0.7:
            self.sides.call("mark_run_started", run, actor="worker")
            if chance.random() < 0.5:
                output = {"b": chance.choice(inputs.LEAVES)}
                self.sides.call("mark_run_succeeded", run, actor="worker", output=output)

    # --- picking what is there

    @property
    def in_unit(self) -> bool:
        return bool(self.sides.model.units)

    def _workflow(self, pick: int) -> UUID:
        """Return a workflow; seldom one that is missing."""
        return _pick(list(self.sides.model.tables.workflows), pick)

    def _version(self, pick: int) -> UUID:
        return _pick(list(self.sides.model.tables.versions), pick)

    def _run(self, pick: int) -> UUID:
        return _pick(list(self.sides.model.tables.runs), pick)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> None:
        type(self).steps += 1
        self.sides.call(method, *args, **kwargs)

    def _walk(self, method: str, *args: Any, **kwargs: Any) -> None:
        type(self).steps += 1
        self.sides.walk(method, *args, **kwargs)

    # --- workflows

    @rule(
        name=names, handle=inputs.optional(handles), slug=st.sampled_from(inputs.SLUGS),
        description=inputs.optional(descriptions), tags=inputs.optional(tag_lists), draft_access=accesses, actor=actors,
    )  # fmt: skip
    def create_workflow(self, **given: Any) -> None:
        self._call("create_workflow", **given)

    @rule(
        pick=picks,
        name=inputs.optional(names), handle=inputs.optional(handles), description=inputs.optional(descriptions),
        tags=inputs.optional(tag_lists),
        chatkit_start_screen_prompts=inputs.optional(inputs.mostly(inputs.PROMPTS, inputs.BAD_PROMPTS)),
        chatkit_supported_models=inputs.optional(inputs.mostly(inputs.MODELS, inputs.BAD_MODELS)),
        clear_chatkit_start_screen_prompts=st.sampled_from([False, False, True]),
        clear_chatkit_supported_models=st.sampled_from([False, False, True]),
        draft_access=inputs.optional(accesses), is_archived=inputs.optional(st.booleans()), actor=actors,
    )  # fmt: skip
    def update_workflow(self, pick: int, **given: Any) -> None:
        self._call("update_workflow", self._workflow(pick), **given)

    @rule(
        pick=picks, handle=st.sampled_from([*inputs.HANDLES, "shared"]), is_archived=st.booleans()
    )
    def take_handle(self, pick: int, handle: str, is_archived: bool) -> None:
        self._call(
            "update_workflow", self._workflow(pick), name=None, handle=handle, description=None, tags=None,
            is_archived=is_archived, actor="ada",
        )  # fmt: skip

    @rule(pick=picks, archive=st.booleans(), actor=actors)
    def archive_or_restore(self, pick: int, archive: bool, actor: str) -> None:
        workflow = self._workflow(pick)
        if archive:
            self._call("archive_workflow", workflow, actor=actor)
        else:
            self._call(
                "update_workflow", workflow, name=None, description=None, tags=None, is_archived=False, actor=actor
            )  # fmt: skip

    @rule(pick=picks, require_login=st.booleans(), actor=actors)
    def publish(self, pick: int, require_login: bool, actor: str) -> None:
        self._call(
            "publish_workflow", self._workflow(pick), require_login=require_login, actor=actor
        )

    @rule(pick=picks, actor=actors)
    def revoke(self, pick: int, actor: str) -> None:
        self._call("revoke_publish", self._workflow(pick), actor=actor)

    @rule(
        pick=picks, handle=st.one_of(st.none(), st.just("shared"), handles),
        spelling=st.one_of(st.none(), st.integers(0, 3)), archived=st.sampled_from([True, True, False]),
    )  # fmt: skip
    def resolve(self, pick: int, handle: str | None, spelling: int | None, archived: bool) -> None:
        """By a handle that is given, by the one that a workflow has, or by its id in some spelling."""
        workflow = self._workflow(pick)
        spelled = (str(workflow), workflow.hex, f"{{{workflow}}}", f" {workflow.urn.upper()} ")
        holder = self.sides.model.tables.workflows.get(workflow, {})
        reference = handle or holder.get("handle") or " "
        if spelling is not None:
            reference = spelled[spelling]
        self._call("resolve_workflow_ref", reference, include_archived=archived)

    @rule(archived=st.booleans(), limit=limits, what=st.integers(0, 2))
    def list_workflows(self, archived: bool, limit: int, what: int) -> None:
        if what == 0:
            self._call("list_workflows", include_archived=archived)
        else:
            method = ("page_workflows", "page_workflow_summaries")[what - 1]
            self._walk(method, limit=limit, include_archived=archived)

    @rule(query=inputs.searches, archived=st.booleans(), limit=limits)
    def search_workflows(self, query: list[Term], archived: bool, limit: int) -> None:
        self._walk("search_workflows", query, limit=limit, include_archived=archived)

    # --- versions

    @rule(
        pick=picks, graph=inputs.definitions, metadata=inputs.definitions, runnable_config=inputs.configs,
        notes=st.sampled_from([None, "", "first note"]), created_by=actors,
    )  # fmt: skip
    def create_version(self, pick: int, **given: Any) -> None:
        self._call("create_version", self._workflow(pick), **given)

    @rule(pick=picks, number=st.integers(-1, 4), runnable_config=inputs.configs, actor=actors)
    def update_config(self, pick: int, number: int, **given: Any) -> None:
        self._call(
            "update_version_runnable_config", self._workflow(pick), version_number=number, **given
        )

    @rule(pick=picks, base=st.integers(0, 4), other=st.integers(1, 4))
    def diff(self, pick: int, base: int, other: int) -> None:
        self._call("diff_versions", self._workflow(pick), base, other)

    @rule(pick=picks, number=st.integers(0, 4), what=st.integers(0, 3), limit=limits)
    def read_versions(self, pick: int, number: int, what: int, limit: int) -> None:
        workflow = self._workflow(pick)
        match what:
            case 0:
                self._call("list_versions", workflow)
            case 1:
                self._walk("page_versions", workflow, limit=limit)
            case 2:
                self._call("get_version_by_number", workflow, number)
            case _:
                self._call("get_latest_version", workflow)

    # --- runs

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

    def _set_gate(self, *, on: bool) -> None:
        self.sides.model.gate = on
        for side in self.sides.all:
            side.unit.workflows.credentials = self.sides.credentials if on else None

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
            lambda: _refuse("ValidationError", "workflow_id must be a UUID, got str"),
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
        status=inputs.optional(st.sampled_from(["succeeded", "running"])),
        triggered_by=inputs.optional(st.sampled_from(inputs.TRIGGERS)), limit=limits,
    )  # fmt: skip
    def filter_runs(self, filters: dict[str, Any], **given: Any) -> None:
        self._walk("page_runs", **filters, **given)

    def _instant(self, near: tuple[int, int] | None) -> datetime | None:
        """Return the time of a run, or near it; odd ones without their zone."""
        if near is None:
            return None
        pick, offset = near
        times = sorted({r["created_at"] for r in self.sides.model.tables.runs.values()})
        base = times[pick % len(times)] if times else self.sides.clock()
        instant: datetime = base + timedelta(microseconds=offset)
        return instant.replace(tzinfo=None) if pick % 2 else instant.astimezone(UTC)

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
            lambda: _refuse(*refusals[wrong]),
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

    # --- units of work

    @rule(levels=st.integers(1, 2))
    def begin(self, levels: int) -> None:
        type(self).steps += 1
        for _ in range(levels if len(self.sides.model.units) < 3 else 0):
            self.sides.compare("begin", lambda side: side.begin(), self.sides.model.begin)

    @precondition(lambda self: self.in_unit)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        type(self).steps += 1
        self._end(keep=keep)

    def _end(self, *, keep: bool) -> None:
        model = self.sides.model
        self.sides.compare(
            "end", lambda side: side.end(keep=keep), model.keep if keep else model.undo
        )

    @precondition(lambda self: self.in_unit)
    @rule(pick=picks)
    def work_beside_the_unit(self, pick: int) -> None:
        """Others see what was committed; this task may not write outside of its unit."""
        type(self).steps += 1
        committed = self.sides.model.committed()
        workflow = self._workflow(pick)
        self.sides.compare(
            "read beside",
            lambda side: side.database.workflows.get_workflow(workflow),
            lambda: committed.get_workflow(workflow),
        )
        self.sides.compare(
            "list beside",
            lambda side: side.database.workflows.list_workflows(include_archived=True),
            lambda: committed.list_workflows(include_archived=True),
        )
        self.sides.compare(
            "write beside",
            lambda side: side.database.workflows.archive_workflow(workflow, actor="ada"),
            lambda: _refuse(
                "TransactionError",
                "workflows.update_workflow writes beside the unit of work that is open in this task: "
                "use the unit's repositories",
            ),
        )
        self.sides.compare(
            "a second unit",
            lambda side: side.database.transaction().__aenter__(),
            lambda: _refuse(
                "TransactionError",
                "a unit of work is open in this task: nest with `async with tx.transaction():`, which is a savepoint",
            ),
        )

    @precondition(lambda self: not self.in_unit and self.sides.all[0].last_unit is not None)
    @rule(pick=picks)
    def use_a_unit_that_is_over(self, pick: int) -> None:
        type(self).steps += 1
        workflow = self._workflow(pick)

        async def late(side: Side) -> Any:
            assert side.last_unit is not None
            return await side.last_unit.workflows.get_workflow(workflow)

        over = "this unit of work is over"
        self.sides.compare("too late", late, lambda: _refuse("TransactionError", over))

    @precondition(lambda self: not self.in_unit)
    @rule(pick=picks, failures=st.integers(0, 2))
    def retry(self, pick: int, failures: int) -> None:
        """What fails for a passing reason leaves nothing, and is done once in the end."""
        type(self).steps += 1
        workflow = self._workflow(pick)
        left = {id(side): failures for side in self.sides.all}

        async def work(side: Side, unit: Transaction) -> Any:
            side.ids.restart(self.sides.calls)
            edited = await unit.workflows.archive_workflow(workflow, actor="retry")
            left[id(side)] -= 1
            if left[id(side)] >= 0:
                raise ConnectionLostError("passing")
            return edited

        self.sides.compare(
            "retry",
            lambda side: side.database.retry(lambda unit: work(side, unit), attempts=3),
            lambda: self.sides.model.archive_workflow(workflow, actor="retry"),
        )

    # --- time, and everything at once

    @rule(microseconds=st.sampled_from([1, 1_000_000, 3600_000_000, -1]))
    def time_passes(self, microseconds: int) -> None:
        type(self).steps += 1
        self.sides.clock.advance(microseconds)

    @rule(really=st.sampled_from([False] * 15 + [True]))
    def reset(self, really: bool) -> None:
        if really:
            self._call("reset")
        else:
            type(self).steps += 1
            self._compare_everything()

    def _compare_everything(self) -> None:
        call, walk, tables = self.sides.call, self.sides.walk, self.sides.model.tables
        call("list_workflows", include_archived=True)
        walk("page_runs", limit=1000)
        call("count_runs_by_status")
        for workflow in list(tables.workflows):
            walk("page_audit_records", workflow, limit=1000)
            call("list_versions", workflow)


def _pick(known: list[UUID], pick: int) -> UUID:
    return known[pick % len(known)] if known and pick < 30 else NOWHERE


def _refuse(kind: str, text: str) -> None:
    raise Refused(kind, text)
