"""Reads spread over a seeded database."""

from __future__ import annotations

from orcheo_sql.bench.data import Data


class SeededData(Data):
    def __init__(self, database, scale):
        super().__init__(database)
