"""Rules of the state machine: workflows and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.state_machine import inputs
from tests.state_machine.machine_base import MachineBase, actors, limits, picks

if TYPE_CHECKING:
    from tests.state_machine.model_search import Term

names = inputs.mostly(inputs.NAMES, inputs.BAD_NAMES)
handles = inputs.mostly(inputs.HANDLES, inputs.BAD_HANDLES)
descriptions = inputs.mostly(inputs.DESCRIPTIONS, inputs.BAD_DESCRIPTIONS)
tag_lists = inputs.mostly(inputs.TAGS, inputs.BAD_TAGS)
accesses = inputs.mostly(inputs.ACCESS, ["secret"])


class WorkflowRules(MachineBase):
    """What is done to workflows and versions."""

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
        pick=picks, handle=st.sampled_from(["shared", None, "shared", *inputs.HANDLES, *inputs.BAD_HANDLES]),
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
