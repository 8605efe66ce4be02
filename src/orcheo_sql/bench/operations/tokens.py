"""Service tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql.rules.tokens import identifier_of

from ..measure import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data


LOOK_UP_LIMIT = {"postgres": 1.25, "sqlite": 2.0}
"""Beside the look-up: the token's own checksum, the hash that is known to fit, the count of uses."""


async def one_token(data: Data, count: int) -> Sequence[str]:
    """Mint a token and use it once: from then on its hash is known to be verified."""
    token = await data.new_token()
    await data.db.token_manager.authenticate(token)
    return [token] * count


OPERATIONS = (
    Operation(
        "tokens.authenticate",
        one_token,
        lambda db, t: db.token_manager.authenticate(t),
        LOOK_UP_LIMIT,
        raw_call=lambda db, t: db.tokens.find_by_id(str(identifier_of(t))),
    ),
)
