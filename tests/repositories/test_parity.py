"""One long story, told to both databases: everything they answer is compared, value by value."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
from tests.repositories.factories import MISSING, NOON, Clock, change, new_version, new_workflow

from orcheo_sql import Database, JsonFilter, OrcheoSqlError, Page

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path
    from uuid import UUID

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _with_sorted_audit(value: Any) -> Any:
    """Sort the keys in the metadata of audit records: the only documents whose keys have no order."""
    if isinstance(value, list):
        return [_with_sorted_audit(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"actor", "action", "at", "metadata"}:
        return {**value, "metadata": json.loads(json.dumps(value["metadata"], sort_keys=True))}
    return {key: _with_sorted_audit(item) for key, item in value.items()}


class Story:
    """What one database answered: each call with its result or its error, ids by order of appearance."""

    def __init__(self, db: Database, clock: Clock):
        self.db = db
        self.clock = clock
        self.told: list[str] = []
        self._names: dict[str, str] = {}

    async def tell(self, call: Awaitable[Any]) -> Any:
        """Write down what a call returns or raises, a second after the one before."""
        self.clock.tick()
        try:
            result = await call
        except (OrcheoSqlError, LookupError) as error:
            bases = [base.__name__ for base in type(error).__mro__]
            self._write({"error": bases, "text": str(error)})
            return None
        self._write(result)
        return result

    def _write(self, result: Any) -> None:
        if isinstance(result, Page):
            # A cursor holds ids, which differ; where it leads is told by the next page.
            result = {"items": result.items, "more": result.next_cursor is not None}
        text = json.dumps(_with_sorted_audit(msgspec.to_builtins(result)))
        self.told.append(_UUID.sub(self._name, text))

    def _name(self, found: re.Match[str]) -> str:
        return self._names.setdefault(found[0], f"id {len(self._names)}")


DOCUMENT: dict[str, Any] = {
    "z": [1, 1.0, 1e2, -0.0, 2**63 - 1, 1.5e300],
    "a": {"text": "東京都 Crème 'quoted' \"x\"", "b": None},
    "": True,
}
CONFIG = {"tags": ["T", "t"], "run_name": " n ", "metadata": {"k": [1]}, "recursion_limit": 5}


async def workflows(story: Story) -> list[UUID]:
    """Tell of workflows, with every way to be refused; return three that are left."""
    db, tell, repo = story.db, story.tell, story.db.workflows
    one = await tell(new_workflow(db, " One ", handle="one", tags=["B", "a", "b"], description=" "))
    two = await tell(
        new_workflow(db, "日本語", slug="Zwei!", draft_access="workspace", actor="bob")
    )
    three = await tell(new_workflow(db, "Three", handle="THREE"))
    for wrong in (
        {"name": ""}, {"name": "n" * 129}, {"handle": "one"}, {"handle": "a--b"}, {"handle": ""},
        {"handle": str(MISSING)}, {"handle": "h" * 65}, {"draft_access": "all"}, {"tags": "x"},
        {"tags": [None]}, {"description": "d" * 1025}, {"actor": None}, {"name": "a\0"},
        {"slug": 1}, {"name": "\ud800"}, {"handle": 3},
    ):  # fmt: skip
        await tell(new_workflow(db, **{"name": "Wrong", **wrong}))
    for ref in ("one", " ONE ", "three", str(two.id), two.id.hex, "", "none", "\0", str(MISSING)):
        await tell(repo.resolve_workflow_ref(ref))
    fields: dict[str, Any]
    prompt, model = {"label": "L", "prompt": "P"}, {"id": "m", "default": True}
    for fields in (
        {}, {"name": "One more"}, {"description": "d"}, {"description": ""}, {"tags": ["X", "x"]},
        {"tags": []}, {"handle": "uno"}, {"handle": "three"}, {"draft_access": "authenticated"},
        {"chatkit_start_screen_prompts": [prompt]}, {"chatkit_supported_models": [model, model]},
        {"chatkit_start_screen_prompts": [prompt]}, {"chatkit_supported_models": []},
        {"clear_chatkit_start_screen_prompts": True, "chatkit_start_screen_prompts": [prompt]},
        {"clear_chatkit_supported_models": True}, {"clear_chatkit_supported_models": True},
        {"is_archived": True}, {"is_archived": True}, {"name": "Archived"}, {"is_archived": False},
        {"name": "n" * 200, "handle": "lost"}, {"chatkit_supported_models": [{"id": ""}]},
        {"name": "All", "handle": "all", "description": "a", "tags": ["q"], "is_archived": True},
    ):  # fmt: skip
        await tell(change(db, one.id, **fields))
    await tell(change(db, MISSING, name="x"))
    await tell(change(db, MISSING, handle="?"))
    await tell(change(db, two.id, is_archived=True, handle="all"))
    await tell(change(db, two.id, is_archived=False))
    await tell(change(db, one.id, is_archived=False))
    await tell(repo.resolve_workflow_ref("all"))
    await tell(change(db, two.id, handle="zwei", is_archived=False))
    for _ in range(2):
        await tell(repo.publish_workflow(two.id, require_login=True, actor="pub"))
    await tell(repo.archive_workflow(two.id, actor="arc"))
    await tell(repo.publish_workflow(two.id, require_login=True, actor="pub"))
    await tell(repo.revoke_publish(two.id, actor="pub"))
    await tell(repo.revoke_publish(MISSING, actor="pub"))
    await tell(repo.revoke_publish(three.id, actor="pub"))
    for _ in range(45):
        await tell(change(db, three.id, description=f"at {story.clock.at}"))
    return [one.id, two.id, three.id]


async def versions(story: Story, ids: list[UUID]) -> list[Any]:
    """Tell of versions; return the versions of the first workflow."""
    db, tell, repo = story.db, story.tell, story.db.workflows
    made = []
    wrong: dict[str, Any]
    for graph, fields in (
        (DOCUMENT, {"metadata": DOCUMENT, "runnable_config": CONFIG, "notes": "n"}),
        ({}, {"runnable_config": {}}),
        ({"z": [2], "a": {"text": "大阪府"}}, {"created_by": "eve"}),
    ):
        made.append(await tell(new_version(db, ids[0], graph, **fields)))
    await tell(new_version(db, ids[1], {"archived": "yes"}))
    for wrong in (
        {"graph": []}, {"graph": {"a": object}}, {"metadata": None}, {"created_by": 1}, {"notes": 1},
        {"runnable_config": {"x": 1}}, {"runnable_config": {"tags": 1}}, {"graph": {"a": ["\0"]}},
        {"graph": {"a": float("inf")}}, {"metadata": {"a": {"b": 2**64}}}, {"graph": {"\ud800": 1}},
        {"runnable_config": {"recursion_limit": 0}}, {"runnable_config": {"prompts": {"p": {}}}},
    ):  # fmt: skip
        given: dict[str, Any] = {"graph": {}, "metadata": {}, "notes": None, "created_by": "ada"}
        await tell(repo.create_version(ids[0], **{**given, **wrong}))
    await tell(new_version(db, MISSING))
    for call in (
        repo.list_versions(ids[0]), repo.list_versions(ids[2]), repo.list_versions(MISSING),
        repo.get_latest_version(ids[0]), repo.get_latest_version(ids[2]),
        repo.get_latest_version(MISSING), repo.get_version(made[0].id), repo.get_version(MISSING),
        repo.get_version_by_number(ids[0], 2), repo.get_version_by_number(ids[0], 9),
        repo.get_version_by_number(ids[0], -1), repo.get_version_by_number(MISSING, 1),
        repo.diff_versions(ids[0], 1, 3), repo.diff_versions(ids[0], 2, 2),
        repo.diff_versions(ids[0], 8, 9), repo.diff_versions(MISSING, 1, 2),
    ):  # fmt: skip
        await tell(call)
    for config in (
        {"tags": ["u"]},
        {},
        None,
        {"bad": 1},
        {"metadata": {"m": float("nan")}},
        CONFIG,
    ):
        await tell(
            repo.update_version_runnable_config(
                ids[0], version_number=1, runnable_config=config, actor="cfg"
            )
        )
    await tell(
        repo.update_version_runnable_config(
            ids[0], version_number=7, runnable_config=None, actor="cfg"
        )
    )
    return made


async def runs(story: Story, ids: list[UUID], made: list[Any]) -> None:
    """Tell of runs, through all transitions from all states."""
    tell, repo = story.tell, story.db.workflows
    given: dict[str, Any]
    fields: dict[str, Any]
    created: list[Any] = []
    for fields in (
        {"input_payload": DOCUMENT}, {"triggered_by": "cron", "actor": "ada"},
        {"runnable_config": {"tags": [], "metadata": {"more": 1.0}}},
        {"runnable_config": {"metadata": {}, "run_name": None}}, {"workflow_version_id": made[1].id},
        {"input_payload": {"nul": "\0", "nan": float("nan"), "big": 10**30, "bad": "\udfff"}},
        {"input_payload": {"set": {3, 1, 2}, "tuple": (1,), 5: dt.date(2026, 1, 1), "n": None}},
        {"triggered_by": "x" * 4000}, {"triggered_by": ""}, {"runnable_config": {"unknown": 1}},
        {"workflow_version_id": MISSING}, {"workflow_id": MISSING}, {"workflow_id": ids[1]},
        {"input_payload": [1]}, {"input_payload": {"a": object}}, {"triggered_by": None},
        {"actor": 1}, {"runnable_config": "x"}, {"workflow_id": "x"},
    ):  # fmt: skip
        given = {
            "workflow_id": ids[0],
            "workflow_version_id": made[0].id,
            "triggered_by": "manual",
            "input_payload": {"n": len(created)},
            **fields,
        }
        run = await tell(repo.create_run(given.pop("workflow_id"), **given))
        if run is not None:
            created.append(run)
    outputs = [DOCUMENT, None, {}, {"nan": float("nan"), "text": "needle 大阪"}, {"a": object}, [1]]
    for index, run in enumerate(created):
        for _ in range(2):
            if index % 3:
                await tell(repo.mark_run_started(run.id, actor="w"))
            if index % 2:
                output: Any = outputs[index % len(outputs)]
                await tell(repo.mark_run_succeeded(run.id, actor="w", output=output))
            if index % 5 == 0:
                await tell(repo.mark_run_failed(run.id, actor="w", error=f"boom \0 {index}"))
            if index % 4 == 0:
                reason = None if index else ""
                await tell(repo.mark_run_cancelled(run.id, actor="w", reason=reason))
        await tell(repo.get_run(run.id))
    for call in (
        repo.get_run(MISSING), repo.mark_run_started(MISSING, actor="w"),
        repo.mark_run_succeeded(MISSING, actor="w", output={"a": 1}),
        repo.mark_run_failed(MISSING, actor="w", error="e"),
        repo.mark_run_cancelled(MISSING, actor="w", reason="r"),
    ):  # fmt: skip
        await tell(call)


async def lists(story: Story, ids: list[UUID]) -> None:
    """Tell of every list, page by page, with filters and searches."""
    tell, repo = story.tell, story.db.workflows
    for flag in (False, True):
        await tell(repo.list_workflows(include_archived=flag))
        await tell(repo.page_workflow_summaries(include_archived=flag))
    for limit in (None, 0, 2, -1, 2**40):
        await tell(repo.list_runs_for_workflow(ids[0], limit=limit))
    await tell(repo.list_runs_for_workflow(MISSING))
    lists: list[Any] = [
        lambda **page: repo.page_workflows(include_archived=True, **page),
        lambda **page: repo.page_workflow_summaries(include_archived=True, **page),
        lambda **page: repo.page_versions(ids[0], **page),
        lambda **page: repo.page_audit_records(ids[2], **page),
        lambda **page: repo.search_workflows("a* -none", include_archived=True, **page),
        lambda **page: repo.search_runs("manual", **page),
        repo.page_runs,
    ]
    filters: list[Any] = [
        {}, {"z": [1]}, {"z": [100]}, {"a": {"b": None}}, {"n": 1}, {"": True}, {"nan": "NaN"},
        JsonFilter(where=[("n", ">", 1)]), JsonFilter(where=[("z[0]", "exists")]),
        JsonFilter(where=[("n", "missing")]), JsonFilter(where=[("n", "in", [1, None, 2])]),
        JsonFilter(where=[("a.text", ">", "z")]), JsonFilter(where=[("n", "!=", 1)]), {"a": "\0"}, 3,
    ]  # fmt: skip
    conditions: list[dict[str, Any]] = [
        {"status": "failed"}, {"status": "lost"}, {"triggered_by": "cron"}, {"workflow_id": ids[0]},
        {"workflow_id": ids[0], "status": "succeeded"}, {"workflow_id": MISSING},
        {"triggered_by": "x" * 4000, "status": "failed"}, {"created_from": story.clock.at},
        {"created_before": story.clock.at, "created_from": NOON}, {"created_before": NOON},
        *({"input_filter": given} for given in filters),
        *({"output_filter": given, "status": "succeeded"} for given in filters[:9]),
        {"metadata_filter": {"k": [1]}}, {"metadata_filter": JsonFilter(where=[("more", "==", 1)])},
    ]  # fmt: skip
    lists += [lambda given=given, **page: repo.page_runs(**given, **page) for given in conditions]
    for page in lists:
        cursor = None
        while True:
            found = await tell(page(limit=3, cursor=cursor))
            cursor = found.next_cursor if found is not None else None
            if cursor is None:
                break
        await tell(page(limit=-1))
        await tell(page(cursor="nonsense"))
    for query in (
        "manual", "東京", "京都 creme", "大阪", '"大阪府"', "needle", "boom", "u0000", "nan", "tags",
        "-x", "", "quoted -x", '"quoted x"', "1.5e300", "9223372036854775807", "x" * 64 + "*", "'",
    ):  # fmt: skip
        await tell(repo.search_workflows(query, include_archived=True))
        await tell(repo.search_runs(query))
        await tell(repo.search_runs(query, workflow_id=ids[0], limit=1))
    await tell(repo.count_runs_by_status())
    await tell(repo.count_runs_by_status(workflow_id=ids[0]))
    await tell(repo.count_runs_by_status(workflow_id=MISSING))


async def units(story: Story) -> None:
    """Tell of units of work, kept and undone."""
    tell, db = story.tell, story.db

    async def kept() -> Any:
        async with db.transaction() as unit:
            workflow = await new_workflow(unit, "Unit", handle="unit")
            await tell(new_workflow(unit, "Twin", handle="unit"))
            await tell(new_workflow(db, "Beside"))
            await tell(db.workflows.get_workflow(workflow.id))
            return await new_version(unit, workflow, {"unit": "committed"})

    async def undone() -> None:
        async with db.transaction() as unit:
            await tell(new_workflow(unit, "Undone", handle="undone"))
            raise LookupError("undo")

    await tell(kept())
    await tell(undone())
    await tell(db.workflows.search_workflows("committed"))
    await tell(db.workflows.resolve_workflow_ref("undone"))


async def whole_story(db: Database, clock: Clock) -> list[str]:
    story = Story(db, clock)
    ids = await workflows(story)
    made = await versions(story, ids)
    await runs(story, ids, made)
    await lists(story, ids)
    await units(story)
    repo = db.workflows
    await story.tell(repo.prune_runs(created_before=clock.at, limit=3))
    await story.tell(repo.page_runs())
    await story.tell(repo.prune_runs(created_before=clock.at))
    await story.tell(repo.search_runs("manual"))
    await story.tell(repo.reset())
    await story.tell(repo.list_workflows(include_archived=True))
    await story.tell(repo.count_runs_by_status())
    return story.told


async def test_both_databases_tell_the_same_story(
    tmp_path: Path, postgres_server: ScratchPostgres
) -> None:
    dsn = postgres_server.create_database()
    stories = []
    for settings in (
        {"database_path": tmp_path / "story.sqlite"},
        {"repository_backend": "postgres", "postgres_dsn": dsn},
    ):
        clock = Clock()
        async with Database(**settings, clock=clock) as db:
            stories.append(await whole_story(db, clock))
    postgres_server.drop_database(dsn)
    one, other = stories
    for place, (first, second) in enumerate(zip(one, other, strict=False)):
        assert first == second, f"answer {place}, after {one[max(place - 1, 0)][:300]}"
    assert len(one) == len(other) > 400
