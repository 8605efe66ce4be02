"""What the processes of a crew do to the same service tokens at the same instant."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from tests.races.crew import attempt

from orcheo_sql import AuthenticationError

if TYPE_CHECKING:
    from tests.races.crew import Member


async def rotate_all(member: Member, identifiers: list[str]) -> list[str]:
    outcomes = []
    for identifier in identifiers:
        member.meet()
        work = member.db.token_manager.rotate(identifier, overlap_seconds=0)
        outcomes.append(await attempt(work))
    return outcomes


async def mint_named(member: Member, identifiers: list[str]) -> list[str]:
    outcomes = []
    for identifier in identifiers:
        member.meet()
        outcomes.append(await attempt(member.db.token_manager.mint(identifier=identifier)))
    return outcomes


async def fight(member: Member, identifiers: list[str]) -> list[list[str]]:
    """Rotate, revoke, rewrite from a copy and count uses of the same tokens, in an order of one's own."""
    manager, tokens = member.db.token_manager, member.db.tokens
    copies = [await tokens.find_by_id(each) for each in identifiers]
    member.meet()
    chance = random.Random(member.number)
    outcomes: list[list[str]] = []
    for identifier, copy in zip(identifiers, copies, strict=True):
        assert copy is not None
        work: list[Any] = [
            lambda one=identifier: manager.rotate(one, overlap_seconds=0),
            lambda one=identifier: manager.revoke(one, reason=f"by {member.number}"),
            lambda copy=copy: tokens.update(copy),
            lambda one=identifier: tokens.record_usage(one),
        ]
        chance.shuffle(work)
        outcomes.append(await asyncio.gather(*(attempt(each()) for each in work)))
    return outcomes


async def use(member: Member, presented: list[str], times: int) -> set[str]:
    """Authenticate with all tokens from several tasks, in an order of one's own, and count every use on the way."""
    chance = random.Random(member.number)
    work = [token for token in presented for _ in range(times)]
    chance.shuffle(work)
    manager = member.db.token_manager
    outcomes = set(await asyncio.gather(*(attempt(manager.authenticate(each)) for each in work)))
    for _ in range(5):
        member.meet()
        for token in chance.sample(presented, len(presented)):
            outcomes.add(await attempt(manager.authenticate(token)))
        outcomes.add(await attempt(manager.flush_usage()))
    return outcomes


async def use_while_revoked(member: Member, tokens: list[tuple[str, str]]) -> list[list[str]]:
    """Authenticate before and after one of the others has revoked, or rotated, each token."""
    outcomes = []
    for number, (identifier, token) in enumerate(tokens):
        before = await code(member, token)
        member.meet()
        if member.number == number % 8:
            if number % 2:
                await member.db.token_manager.revoke(identifier)
            else:
                await member.db.token_manager.rotate(identifier, overlap_seconds=0)
        member.meet()
        outcomes.append([before, await code(member, token)])
    return outcomes


async def code(member: Member, token: str) -> str:
    try:
        await member.db.token_manager.authenticate(token)
    except AuthenticationError as error:
        return error.code
    return "ok"
