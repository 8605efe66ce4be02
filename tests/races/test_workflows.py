"""Eight processes at one database: numbers, handles and edits of workflows."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from tests.races.jobs import change, new_workflow

from orcheo_sql import Database

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from tests.races.crew import Crew

    from orcheo_sql import Workflow

CONFLICT = "WorkflowHandleConflictError"


def flat(results: Iterable[Iterable[Any]]) -> list[Any]:
    return [item for result in results for item in result]


def assert_handles_obey_the_rule(workflows: list[Workflow]) -> None:
    """An active workflow shares its handle with nobody."""
    holders: dict[str, list[Workflow]] = defaultdict(list)
    for workflow in workflows:
        if workflow.handle is not None:
            holders[workflow.handle].append(workflow)
    for handle, sharing in holders.items():
        active = [w for w in sharing if not w.is_archived]
        assert not active or len(sharing) == 1, f"{handle} is held by {sharing}"


async def test_version_numbers_never_collide(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db, "w")
        numbers = flat(crew.run(settings_of, "create_versions", workflow.id, 15))
        assert sorted(numbers) == list(range(1, 121))
        stored = await db.workflows.list_versions(workflow.id)
        assert [v.version for v in stored] == list(range(1, 121))
        assert Counter(v.graph["by"] for v in stored) == dict.fromkeys(range(8), 15)


async def test_one_creation_takes_a_handle(settings_of: dict[str, Any], crew: Crew) -> None:
    handles = [f"handle-{n}" for n in range(20)]
    by_round = zip(*crew.run(settings_of, "create_with_handles", handles), strict=True)
    for outcomes in by_round:
        assert Counter(outcomes) == {"ok": 1, CONFLICT: 7}
    async with Database(**settings_of) as db:
        stored = await db.workflows.list_workflows()
        assert sorted(w.handle or "" for w in stored) == sorted(handles)


async def _rounds(db: Database, count: int, *, archived: bool) -> list[tuple[str, list[UUID]]]:
    """Return handles that are free, each with a workflow for every process."""
    rounds = []
    for number in range(count):
        workflows = [await new_workflow(db, f"{number}") for _ in range(8)]
        if archived:
            for workflow in workflows:
                await db.workflows.archive_workflow(workflow.id, actor="setup")
        rounds.append((f"handle-{number}", [w.id for w in workflows]))
    return rounds


async def test_one_renaming_takes_a_handle(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        rounds = await _rounds(db, 12, archived=False)
        results = crew.run(settings_of, "take_handles", rounds, {})
        for outcomes in zip(*results, strict=True):
            assert Counter(outcomes) == {"ok": 1, CONFLICT: 7}
        assert_handles_obey_the_rule(await db.workflows.list_workflows(include_archived=True))


async def test_unarchiving_with_a_new_handle_takes_it_once(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        rounds = await _rounds(db, 12, archived=True)
        results = crew.run(settings_of, "take_handles", rounds, {"is_archived": False})
        for outcomes in zip(*results, strict=True):
            assert Counter(outcomes) == {"ok": 1, CONFLICT: 7}
        assert_handles_obey_the_rule(await db.workflows.list_workflows(include_archived=True))


async def test_active_and_archived_workflows_never_share(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    """Whoever is first decides: one active workflow and nobody else, or archived ones and no active one."""
    async with Database(**settings_of) as db:
        rounds = await _rounds(db, 20, archived=False)
        results = crew.run(settings_of, "take_handles_in_turns", rounds)
        for number, outcomes in enumerate(zip(*results, strict=True)):
            assert set(outcomes) == {"ok", CONFLICT}
            winners = {
                (n + number) % 2 == 0 for n, outcome in enumerate(outcomes) if outcome == "ok"
            }
            assert len(winners) == 1, "an active and an archived workflow both won"
            assert outcomes.count("ok") == (4 if winners == {True} else 1)
        assert_handles_obey_the_rule(await db.workflows.list_workflows(include_archived=True))


async def test_archived_workflows_share_a_handle_that_none_can_then_activate(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        rounds = await _rounds(db, 8, archived=True)
        shared = crew.run(settings_of, "take_handles", rounds, {})
        assert set(flat(shared)) == {"ok"}
        outcomes = crew.run(settings_of, "unarchive_or_leave", [w for _, w in rounds])
        assert set(flat(outcomes[1::2])) == {"ok"}
        assert set(flat(outcomes[0::2])) == {CONFLICT}, "the other even members still hold it"
        assert_handles_obey_the_rule(await db.workflows.list_workflows(include_archived=True))


async def test_handles_stay_exclusive_in_any_mixture(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        workflows = [(await new_workflow(db, "w")).id for _ in range(6)]
        outcomes = flat(crew.run(settings_of, "juggle_handles", workflows, 60))
        assert set(outcomes) == {"ok", CONFLICT}
        assert_handles_obey_the_rule(await db.workflows.list_workflows(include_archived=True))


async def test_edits_of_different_fields_all_survive(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        ids = [(await new_workflow(db, "old")).id for _ in range(15)]
        assert set(flat(crew.run(settings_of, "edit_different_fields", ids))) == {"ok"}
        for workflow in await db.workflows.list_workflows():
            chatkit = workflow.chatkit
            assert chatkit is not None
            assert chatkit.start_screen_prompts is not None
            assert chatkit.supported_models is not None
            assert (workflow.name, workflow.description) == ("New name", "New text")
            assert (workflow.tags, workflow.handle) == (["new"], f"new-{workflow.id}")
            assert (workflow.draft_access, workflow.is_public) == ("workspace", True)
            editors = {record.actor for record in workflow.audit_log[1:]}
            assert editors == {f"editor {n}" for n in range(8)}
            assert len(workflow.audit_log) == 9


async def test_trails_lose_no_record(settings_of: dict[str, Any], crew: Crew) -> None:
    """Records move out of the row while others append to it."""
    count = 15
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db, "w")
        version = await db.workflows.create_version(
            workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
        )
        outcomes = flat(crew.run(settings_of, "edit_often", workflow.id, count))
        assert set(outcomes) == {"ok"}
        for entity in (workflow.id, version.id):
            trail = (await db.workflows.page_audit_records(entity, limit=1000)).items
            assert [entry.seq for entry in trail] == list(range(1, 8 * count + 2))
            by_member: dict[str, list[int]] = defaultdict(list)
            for entry in trail[1:]:
                member, _, number = entry.record.actor.partition("/")
                by_member[member].append(int(number))
            assert by_member == {f"{n}": list(range(count)) for n in range(8)}
        assert len((await db.workflows.get_workflow(workflow.id)).audit_log) <= 40


async def test_a_counter_kept_under_its_row_lock_loses_nothing(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db, "counter")
        outcomes = flat(crew.run(settings_of, "count_up", workflow.id, 10))
        assert set(outcomes) == {"ok"}
        assert (await db.workflows.get_workflow(workflow.id)).description == "80"


async def test_retry_gets_through_deadlocks(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        pair = [(await new_workflow(db, "counter")).id for _ in range(2)]
        outcomes = flat(crew.run(settings_of, "move_between", tuple(pair), 2))
        assert set(outcomes) == {"ok"}
        for workflow in pair:
            assert (await change(db, workflow)).description == "16"
