"""Service tokens."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from orcheo_sql._errors import AuthenticationError
from orcheo_sql.rules.tokens import identifier_of, new_identifier, new_token, sha256_of
from orcheo_sql.structs import ServiceTokenRecord
from orcheo_sql.tokens._manager import ServiceTokenManager

from ..data import MORE_THAN_A_PAGE
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orcheo_sql import Database

    from ..data import Data


LOOK_UP_LIMIT = {"postgres": 1.25, "sqlite": 2.0}
"""Beside the look-up: the token's own checksum, the hash that is known to fit, the count of uses."""


async def one_token(data: Data, count: int) -> Sequence[str]:
    """Mint a token and use it once: from then on its hash is known to be verified."""
    token = await data.new_token()
    await data.db.token_manager.authenticate(token)
    return [token] * count


async def unknown_to_managers(data: Data, count: int) -> Sequence[tuple[ServiceTokenManager, str]]:
    """Return a token with managers that have not seen it yet, as in a process that has just begun."""
    token = await data.new_token()
    return [(ServiceTokenManager(data.db), token) for _ in range(count)]


async def forged_tokens(_data: Data, count: int) -> Sequence[str]:
    return [new_token(new_identifier()) for _ in range(count)]


async def refuse(db: Database, token: str) -> None:
    with suppress(AuthenticationError):
        await db.token_manager.authenticate(token)


async def new_ids(data: Data, count: int) -> Sequence[str]:
    return data.new_token_ids(count)


async def one_identifier(data: Data, count: int) -> Sequence[str]:
    return [str(identifier_of(await data.new_token()))] * count


async def a_page_of_tokens(data: Data, count: int) -> Sequence[None]:
    for _ in range(MORE_THAN_A_PAGE):
        await data.new_brought_along()
    return [None] * count


async def a_page_of_uses(data: Data, count: int) -> Sequence[str]:
    [identifier, *_] = identifiers = await one_identifier(data, count)
    for _ in range(MORE_THAN_A_PAGE):
        await data.db.tokens.record_usage(identifier, ip="192.0.2.1", user_agent="bench/1.0")
    return identifiers


OPERATIONS = (
    Operation(
        "tokens.authenticate",
        one_token,
        lambda db, t: db.token_manager.authenticate(t),
        LOOK_UP_LIMIT,
        raw_call=lambda db, t: db.tokens.find_by_id(str(identifier_of(t))),
    ),
    Operation(
        "tokens.authenticate, brought along",
        lambda data, count: data.brought_along_tokens(count),
        lambda db, t: db.token_manager.authenticate(t),
        LOOK_UP_LIMIT,
        raw_call=lambda db, t: db.tokens.find_by_hash(sha256_of(t)),
    ),
    # Argon2id takes all of the time of these three: only its 95th percentile is gated. Each use and each token leaves a
    # line in the audit log, which nobody can delete: not in a database of others.
    Operation(
        "tokens.authenticate, first",
        unknown_to_managers,
        lambda _, given: given[0].authenticate(given[1]),
        limit=None,
        raw_call=lambda db, given: db.tokens.find_by_id(str(identifier_of(given[1]))),
        takes_from_others=True,
    ),
    Operation(
        "tokens.authenticate, forged",
        forged_tokens,
        refuse,
        limit=None,
        raw_call=lambda db, t: db.tokens.find_by_id(str(identifier_of(t))),
    ),
    Operation(
        "tokens.mint",
        new_ids,
        lambda db, i: db.token_manager.mint(identifier=i, scopes=["bench"]),
        limit=None,
        raw_call=lambda db, i: db.tokens.issue(
            ServiceTokenRecord(identifier=i, secret_hash=sha256_of(i)), now=db.now()
        ),
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "tokens.record_usage",
        one_identifier,
        lambda db, i: db.tokens.record_usage(i, ip="192.0.2.1", user_agent="bench/1.0"),
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "tokens.page_tokens, 50",
        a_page_of_tokens,
        lambda db, _: db.tokens.page_tokens(limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "tokens.page_audit_log, 50",
        a_page_of_uses,
        lambda db, i: db.tokens.page_audit_log(i, limit=50),
        LIST_LIMIT,
        typed=True,
        takes_from_others=True,
    ),
)
