"""What `update_workflow` changes, and what it records."""

from __future__ import annotations

from typing import Any

import pytest
from tests.repositories.factories import MISSING, NOON, Clock, change, new_workflow

from orcheo_sql import (
    AuditRecord,
    ChatKitStartScreenPrompt,
    ChatKitSupportedModel,
    Database,
    ValidationError,
    WorkflowChatKitConfig,
    WorkflowDraftAccess,
    WorkflowNotFoundError,
)


async def test_one_record_names_every_changed_field(timed: Database, clock: Clock) -> None:
    created = await new_workflow(timed, "Old", handle="old", description="before", tags=["x"])
    at = clock.tick()
    updated = await change(
        timed,
        created.id,
        name=" New ",
        handle="NEW",
        description=" after ",
        tags=["B", " b", "a"],
        chatkit_start_screen_prompts=[{"label": " Hi ", "prompt": "Say hi", "icon": " "}],
        chatkit_supported_models=[ChatKitSupportedModel(id="m1", default=True)],
        draft_access="authenticated",
        is_archived=True,
    )
    prompts = [{"label": "Hi", "prompt": "Say hi", "icon": None}]
    models = [{"id": "m1", "label": None, "description": None, "disabled": False, "default": True}]
    assert updated.audit_log == [
        *created.audit_log,
        AuditRecord(
            actor="eve",
            action="workflow_updated",
            at=at,
            metadata={
                "name": {"from": "Old", "to": "New"},
                "handle": {"from": "old", "to": "new"},
                "description": {"from": "before", "to": "after"},
                "tags": {"from": ["x"], "to": ["b", "a"]},
                "chatkit_start_screen_prompts": {"from": None, "to": prompts},
                "chatkit_supported_models": {"from": None, "to": models},
                "draft_access": {"from": "personal", "to": "authenticated"},
                "is_archived": {"from": False, "to": True},
            },
        ),
    ]
    assert updated.chatkit == WorkflowChatKitConfig(
        start_screen_prompts=[ChatKitStartScreenPrompt(label="Hi", prompt="Say hi")],
        supported_models=[ChatKitSupportedModel(id="m1", default=True)],
    )
    assert (updated.name, updated.handle, updated.description) == ("New", "new", "after")
    assert (updated.tags, updated.draft_access) == (["b", "a"], WorkflowDraftAccess.AUTHENTICATED)
    assert updated.is_archived
    assert (updated.created_at, updated.updated_at) == (NOON, at)
    assert updated.slug == "old"
    assert await timed.workflows.get_workflow(created.id) == updated


@pytest.mark.parametrize(
    ("change_to", "recorded"),
    [
        ({"name": "New"}, {"name": {"from": "Flow", "to": "New"}}),
        ({"description": "d"}, {"description": {"from": None, "to": "d"}}),
        ({"tags": []}, {"tags": {"from": ["t"], "to": []}}),
        ({"draft_access": "workspace"}, {"draft_access": {"from": "personal", "to": "workspace"}}),
        ({"handle": "h"}, {"handle": {"from": None, "to": "h"}}),
        ({"is_archived": True}, {"is_archived": {"from": False, "to": True}}),
    ],
)
async def test_fields_that_are_not_given_stay(
    db: Database, change_to: dict[str, Any], recorded: dict[str, Any]
) -> None:
    created = await new_workflow(db, tags=["t"])
    updated = await change(db, created.id, **change_to)
    assert updated.audit_log[-1].metadata == recorded
    for field in created.__struct_fields__:
        if field not in {"updated_at", "audit_log", *change_to}:
            assert getattr(updated, field) == getattr(created, field)


async def test_an_update_that_changes_nothing_is_recorded_with_empty_metadata(
    timed: Database, clock: Clock
) -> None:
    created = await new_workflow(timed, handle="h", description="d", tags=["a"])
    at = clock.tick()
    same = await change(
        timed,
        created.id,
        name=" Flow ",
        handle="H",
        description=" d",
        tags=["A", "a "],
        draft_access="personal",
        is_archived=False,
        clear_chatkit_start_screen_prompts=True,
        clear_chatkit_supported_models=True,
    )
    assert same.audit_log[-1] == AuditRecord(
        actor="eve", action="workflow_updated", at=at, metadata={}
    )
    assert same.updated_at == at
    assert len((await change(timed, created.id)).audit_log) == 3


async def test_an_empty_description_clears_it(db: Database) -> None:
    created = await new_workflow(db, description="d")
    for blank in ("", "  "):
        cleared = await change(db, created.id, description=blank)
        assert cleared.description is None
    assert [each.metadata for each in cleared.audit_log[1:]] == [
        {"description": {"from": "d", "to": None}},
        {},
    ]


async def test_renaming_keeps_the_slug(db: Database) -> None:
    created = await new_workflow(db, "My Flow")
    assert (await change(db, created.id, name="Something Else")).slug == "my-flow"


async def test_a_missing_workflow_cannot_be_updated(db: Database) -> None:
    with pytest.raises(WorkflowNotFoundError, match=f"^{MISSING}$"):
        await change(db, MISSING, name="x")


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", " ", "Workflow name must not be empty."),
        ("name", "n" * 129, "Workflow name must be at most 128 characters"),
        ("description", "d" * 1025, "Workflow description must be at most 1024 characters"),
        ("tags", "alpha", "Workflow tags must be a list"),
        ("tags", [1], "Workflow tags[0] must be text"),
        ("draft_access", "public", "draft_access must be one of"),
        ("actor", None, "actor must be text"),
        ("chatkit_start_screen_prompts", [{"label": "", "prompt": "p"}],
         "ChatKit prompt fields must not be empty."),
        ("chatkit_start_screen_prompts", [{"label": "l" * 121, "prompt": "p"}], "at most 120"),
        ("chatkit_start_screen_prompts", [{"label": "l", "prompt": "p" * 2001}], "at most 2000"),
        ("chatkit_start_screen_prompts", [{"label": "l", "prompt": "p", "icon": "i" * 65}],
         "at most 64"),
        ("chatkit_start_screen_prompts", [{"label": "l", "prompt": "p", "new": 1}], "unknown"),
        ("chatkit_start_screen_prompts", {"label": "l", "prompt": "p"}, "must be a list"),
        ("chatkit_supported_models", [{"id": " "}], "ChatKit model id must not be empty."),
        ("chatkit_supported_models", [{"id": "i" * 201}], "at most 200"),
        ("chatkit_supported_models", [{"id": "i", "label": "l" * 121}], "at most 120"),
        ("chatkit_supported_models", [{"id": "i", "description": "d" * 241}], "at most 240"),
        ("chatkit_supported_models", [{"id": "i", "default": "yes"}], "true or false"),
        ("chatkit_supported_models", [7], "must be a mapping"),
    ],
)  # fmt: skip
async def test_a_value_that_breaks_a_rule_changes_nothing(
    db: Database, field: str, value: object, text: str
) -> None:
    created = await new_workflow(db, handle="before")
    with pytest.raises(ValidationError) as refused:
        await change(db, created.id, **{"handle": "after", field: value})
    assert text in str(refused.value)
    assert await db.workflows.get_workflow(created.id) == created
    await new_workflow(db, handle="after")


# --- Chat settings -----------------------------------------------------------------------------

HELLO = {"label": "Hello", "prompt": "Say hello", "icon": "wave"}
SMALL = {"id": "small", "label": "Small", "description": "quick", "disabled": True}


async def test_chat_settings_exist_as_long_as_one_member_does(db: Database) -> None:
    created = await new_workflow(db)
    assert created.chatkit is None
    assert created.chatkit_start_screen_prompts is None

    both = await change(
        db, created.id, chatkit_start_screen_prompts=[HELLO], chatkit_supported_models=[SMALL]
    )
    assert both.chatkit_start_screen_prompts == [ChatKitStartScreenPrompt(**HELLO)]
    assert both.chatkit_supported_models == [
        ChatKitSupportedModel(id="small", label="Small", description="quick", disabled=True)
    ]

    models = await change(db, created.id, clear_chatkit_start_screen_prompts=True)
    assert models.chatkit == WorkflowChatKitConfig(supported_models=both.chatkit_supported_models)
    assert models.audit_log[-1].metadata == {
        "chatkit_start_screen_prompts": {"from": [HELLO], "to": None}
    }

    none = await change(db, created.id, clear_chatkit_supported_models=True)
    assert none.chatkit is None
    assert (await db.workflows.get_workflow(created.id)).chatkit is None


async def test_a_clear_flag_wins_over_a_list(db: Database) -> None:
    created = await new_workflow(db)
    await change(db, created.id, chatkit_supported_models=[SMALL])
    cleared = await change(
        db,
        created.id,
        chatkit_supported_models=[{"id": "other"}],
        clear_chatkit_supported_models=True,
    )
    assert cleared.chatkit is None


async def test_an_empty_list_is_not_the_same_as_none(db: Database) -> None:
    created = await new_workflow(db)
    empty = await change(db, created.id, chatkit_start_screen_prompts=[])
    assert empty.chatkit == WorkflowChatKitConfig(start_screen_prompts=[])
    assert empty.audit_log[-1].metadata == {
        "chatkit_start_screen_prompts": {"from": None, "to": []}
    }
    again = await change(db, created.id, chatkit_start_screen_prompts=[])
    assert again.audit_log[-1].metadata == {}
    cleared = await change(db, created.id, clear_chatkit_start_screen_prompts=True)
    assert cleared.chatkit is None


async def test_the_same_chat_settings_are_no_change(db: Database) -> None:
    created = await new_workflow(db)
    prompts = [{**HELLO, "prompt": 'Say "hé\tllo" \\ 日本 <&>/ 🎉'}]
    once = await change(db, created.id, chatkit_start_screen_prompts=prompts)
    twice = await change(
        db,
        created.id,
        chatkit_start_screen_prompts=once.chatkit_start_screen_prompts,
        name="New",
    )
    assert twice.audit_log[-1].metadata == {"name": {"from": "Flow", "to": "New"}}
    assert twice.chatkit == once.chatkit
    assert once.audit_log[-1].metadata["chatkit_start_screen_prompts"]["to"] == prompts
    turned = await change(
        db, created.id, chatkit_start_screen_prompts=[*prompts, {"label": "b", "prompt": "c"}]
    )
    assert len(turned.audit_log[-1].metadata["chatkit_start_screen_prompts"]["to"]) == 2


async def test_texts_are_stored_as_they_are(db: Database) -> None:
    hostile = """'"; DROP TABLE workflows; -- %s %(x)s :name $1 \\ {} 日本語 🎉 \u0085 \x7f"""
    created = await new_workflow(db, hostile, description=hostile, tags=[hostile], actor=hostile)
    assert (created.name, created.description, created.tags) == (
        hostile,
        hostile,
        [hostile.lower()],
    )
    assert created.audit_log[0].actor == hostile
    updated = await change(db, created.id, name="x", actor=hostile)
    assert updated.audit_log[-1].metadata == {"name": {"from": hostile, "to": "x"}}
    assert await db.workflows.get_workflow(created.id) == updated
