"""Tokens in the wrong place: no table has them, and no error repeats them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.repositories.factories import NOON, rows

from orcheo_sql import Database, ServiceTokenNotFoundError, ServiceTokenRecord, ValidationError


def record(identifier: str, **fields: Any) -> ServiceTokenRecord:
    return ServiceTokenRecord(identifier=identifier, secret_hash=f"hash of {identifier}", **fields)


async def test_no_token_is_stored_or_repeated(db: Database, settings_of: dict[str, Any]) -> None:
    """In the place of an identifier, or in what a caller or an operator says: damaged, joined, or from elsewhere."""
    token, _ = await db.token_manager.mint(identifier="ci")
    tokens, manager = db.tokens, db.token_manager
    legacy = "Zm9vYmFyYmF6LV9xdXV4cXV1eHF1dXhxdXV4cXV1eHE"
    await tokens.create(record("old"))
    for said in (
        token,
        f"{token} ",
        f"{token}\n",
        f"Bearer {token}",
        token[:-1],
        legacy,
        f"{legacy} ",
        f"x{legacy}",
    ):
        # The last one has the shape of nothing that is known, and may be logged, as any unknown identifier.
        works: list[Any] = [manager.revoke(said), manager.rotate(said)]
        if not said.startswith("x"):
            works += [
                tokens.record_usage(said),
                tokens.record_audit_event(said, "x"),
                tokens.find_by_id(said),
            ]
            works += [
                tokens.get_audit_log(said),
                tokens.page_audit_log(said),
                tokens.delete(said),
                tokens.create(record(said)),
            ]
        for work in works:
            with pytest.raises((ValidationError, ServiceTokenNotFoundError)) as caught:
                await work
            assert (
                said.strip()[-40:-10] not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
            )
        if said.startswith("x"):
            continue
        say = f"see {said} there"
        await tokens.record_audit_event(
            "ci", f"x {say}", actor=say, ip=say, details={"why": [say], said: 1}
        )
        await tokens.record_usage("ci", ip=say, user_agent="x" * 240 + " " + say)
        await manager.authenticate(token, ip=say, user_agent=f"{say}, {say}")
        await tokens.create(record(f"r{len(said)}", revoked_at=NOON, revocation_reason=say))
        _, other = await manager.mint(actor=say)
        await manager.revoke(other.identifier, reason=say, actor=say)
        for each in await tokens.list_all():
            await tokens.delete(each.identifier) if each.identifier[0] == "r" else None
    await manager.flush_usage()
    stored = str(
        [
            await rows(settings_of, f"SELECT * FROM {t}")
            for t in ("service_tokens", "service_token_audit")
        ]
    )
    assert "**********" in stored
    assert token.split("_")[2][:24] not in stored
    assert legacy[10:30] not in stored


async def test_callers_that_can_not_be_named(db: Database) -> None:
    class Nameless:
        def __str__(self) -> str:
            raise RuntimeError("nameless")

    nameless: Any = Nameless()
    token, found = await db.token_manager.mint()
    await db.token_manager.authenticate(token, ip=nameless, user_agent=nameless)
    await db.token_manager.flush_usage()
    used, _ = await db.tokens.get_audit_log(found.identifier)
    assert (used.ip_address, used.user_agent) == ("<Nameless>", "<Nameless>")


async def test_an_unknown_identifier_that_may_be_a_secret_is_not_repeated(db: Database) -> None:
    with pytest.raises(ServiceTokenNotFoundError) as caught:
        await db.token_manager.revoke("s" * 41)
    assert str(caught.value) == "Service token '(41 characters)' not found"
    with pytest.raises(ServiceTokenNotFoundError, match="s" * 40):
        await db.token_manager.revoke("s" * 40)
