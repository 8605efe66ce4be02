"""Service tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql.rules.tokens import identifier_of

from ..measure import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data


async def one_token(data: Data, count: int) -> Sequence[str]:
    """Mint a token and use it once: from then on its hash is known to be verified."""
    token = await data.new_token()
    await data.db.token_manager.authenticate(token)
    return [token] * count


OPERATIONS = (
    # A token that was verified before is looked up, and no more.
    Operation(
        "tokens.authenticate",
        one_token,
        lambda db, t: db.token_manager.authenticate(t),
        raw_call=lambda db, t: db.tokens.find_by_id(str(identifier_of(t))),
    ),
)
