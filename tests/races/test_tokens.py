"""Eight processes at the same service tokens."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from orcheo_sql import Database

if TYPE_CHECKING:
    from tests.races.crew import Crew

TOKENS = 10


async def new_tokens(db: Database) -> list[tuple[str, str]]:
    """Mint some; return identifier and token of each."""
    made = [await db.token_manager.mint(identifier=f"token-{n}") for n in range(TOKENS)]
    return [(record.identifier, token) for token, record in made]


async def test_one_rotation_wins(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        names = [name for name, _ in await new_tokens(db)]
        results = crew.run(settings_of, "token_jobs.rotate_all", names)
        for outcomes in zip(*results, strict=True):
            assert Counter(outcomes) == {"ok": 1, "ServiceTokenStateError": 7}
        every = await db.tokens.list_all()
        assert len(every) == 2 * TOKENS
        active = await db.tokens.list_active()
        assert len(active) == TOKENS
        assert {r.rotated_to for r in every if r.rotated_to} == {r.identifier for r in active}


async def test_one_of_the_same_name_is_minted(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        results = crew.run(settings_of, "token_jobs.mint_named", [f"n{n}" for n in range(5)])
        for outcomes in zip(*results, strict=True):
            assert Counter(outcomes) == {"ok": 1, "ServiceTokenExistsError": 7}
        page = await db.tokens.page_audit_log()
        assert Counter(e.action for e in page.items) == {"created": 5}


async def test_what_is_revoked_stays_revoked(settings_of: dict[str, Any], crew: Crew) -> None:
    """Rotations, revocations, stale writes and uses at once: nothing undoes a revocation, no use is lost."""
    async with Database(**settings_of) as db:
        names = [name for name, _ in await new_tokens(db)]
        results = crew.run(settings_of, "token_jobs.fight", names)
        seen = {outcome for member in results for each in member for outcome in each}
        assert seen <= {"ok", "ServiceTokenStateError"}
        for name in names:
            record = await db.tokens.find_by_id(name)
            assert record is not None
            assert record.is_revoked()
            assert record.use_count == 8
            log = Counter(e.action for e in await db.tokens.get_audit_log(name))
            assert (log["created"], log["revoked"], log["used"]) == (1, 1, 8)
            assert log["rotated"] == (record.rotated_to is not None)
            if record.rotated_to is not None:
                assert record.is_expired(now=db.now())


async def test_every_use_is_counted_once(settings_of: dict[str, Any], crew: Crew) -> None:
    """Each process counts in memory and writes all tokens in one statement, so they meet in any order."""
    async with Database(**settings_of) as db:
        made = await new_tokens(db)
        settings = {**settings_of, "auth_service_token_usage_seconds": 0.01}
        results = crew.run(settings, "token_jobs.use", [token for _, token in made], 20)
        assert set().union(*results) == {"ok"}
        for record in await db.tokens.list_all():
            assert record.use_count == 8 * (20 + 5)
            log = await db.tokens.get_audit_log(record.identifier, limit=1000)
            logged = [(e.details or {}).get("uses", 1) for e in log if e.action == "used"]
            assert sum(logged) == record.use_count


async def test_revocation_holds_at_once_everywhere(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        made = await new_tokens(db)
        results = crew.run(settings_of, "token_jobs.use_while_revoked", made)
        for member in results:
            assert member == [["ok", "auth.token_expired"], ["ok", "auth.token_revoked"]] * (
                TOKENS // 2
            )
