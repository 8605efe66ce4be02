"""What was looked up in vain a moment ago."""

from __future__ import annotations

import time
from collections import OrderedDict

MISS_SECONDS = 5.0
"""As long may a token that is brought along after it was presented be refused."""
MOST_MISSES = 4096


class Misses:
    """Remembers keys for a few seconds, so that a caller who tries again and again costs one query in that time."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, key: str) -> None:
        """Remember a key; of too many, the oldest is forgotten."""
        if self._seconds:
            self._until[key] = time.monotonic() + self._seconds
            self._until.move_to_end(key)
            if len(self._until) > MOST_MISSES:
                self._until.popitem(last=False)

    def __contains__(self, key: str) -> bool:
        """Tell whether it is remembered; being asked for does not prolong that."""
        return self._until.get(key, 0.0) > time.monotonic()
