"""Reads that are spread over a seeded database, so that they meet cold pages and deep trees."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from benchmarks.datasets import Kind, Scale, entity, token_text

from orcheo_sql.bench.data import Data

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from orcheo_sql import Database


class SeededData(Data):
    """The same entities in every run of the benchmarks: the choice is random, its seed is not."""

    def __init__(self, database: Database, scale: int):
        super().__init__(database)
        self.scale = Scale(scale)
        self._chance = random.Random(scale)

    def _some(self, kind: Kind, count: int) -> list[UUID]:
        last = self.scale.count(kind)
        return [entity(kind, self._chance.randint(1, last)) for _ in range(count)]

    async def workflows(self, count: int) -> Sequence[UUID]:
        return self._some(Kind.WORKFLOW, count)

    async def workflows_with_versions(self, count: int) -> Sequence[UUID]:
        return self._some(Kind.WORKFLOW, count)

    async def versions(self, count: int) -> Sequence[UUID]:
        return self._some(Kind.VERSION, count)

    async def runs(self, count: int) -> Sequence[UUID]:
        return self._some(Kind.RUN, count)

    async def workflows_with_runs(self, count: int) -> Sequence[UUID]:
        """Each has two hundred, or fifty in the smallest data sets."""
        return self._some(Kind.WORKFLOW, count)

    async def executions(self, count: int) -> Sequence[str]:
        return [str(each) for each in self._some(Kind.EXECUTION, count)]

    async def workflows_with_histories(self, count: int) -> Sequence[str]:
        # The seeded ones have about twenty each, less than a page.
        return await super().workflows_with_histories(count)

    async def checkpoints(self, count: int) -> Sequence[str]:
        return [str(each) for each in self._some(Kind.CHECKPOINT, count)]

    async def trained_workflows(self, count: int) -> Sequence[str]:
        last = self.scale.trained_workflows
        return [str(entity(Kind.WORKFLOW, self._chance.randint(1, last))) for _ in range(count)]

    async def brought_along_tokens(self, count: int) -> Sequence[str]:
        # Every tenth one has expired or was revoked.
        good = [n for n in range(1, self.scale.count(Kind.TOKEN) + 1) if n % 10]
        return [token_text(self._chance.choice(good)) for _ in range(count)]

    async def snapshots(self, count: int) -> Sequence[str]:
        return [str(each) for each in self._some(Kind.SNAPSHOT, count)]
