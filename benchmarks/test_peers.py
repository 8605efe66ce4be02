"""The same operations as others write them: SQLAlchemy's ORM and Core, and asyncpg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from benchmarks.peers import missing_packages, peers_of
from benchmarks.stage import POOL, replay, replay_timer

from orcheo_sql.bench.data import PAYLOAD, STEP
from orcheo_sql.bench.measure import Samples, in_turns
from orcheo_sql.bench.mix import WRITES, Mix, OursMix, compare_mixes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.peers import Peer
    from benchmarks.stage import Stage, Verdicts

    from orcheo_sql.bench.data import Data
    from orcheo_sql.bench.mix import MixResult
    from orcheo_sql.codecs.rows import Dialect

CLIENTS = 100
NAMES = {"sqlite": ("ours", "ORM", "Core"), "postgres": ("ours", "ORM", "Core", "asyncpg")}
OUTPUT = {"answer": 42}

pytestmark = pytest.mark.skipif(
    bool(missing_packages()), reason="peers are measured where there are: pip install -e '.[bench]'"
)

_peers: dict[str, list[Peer]] = {}
_samples: dict[tuple[str, str], list[Samples]] = {}
_mixes: dict[str, list[MixResult]] = {}


def peers(stage: Stage) -> list[Peer]:
    key = f"{stage.dialect} {id(stage)}"
    if key not in _peers:
        place = stage.path if stage.dialect == "sqlite" else stage.dsn
        made = [make(place, POOL) for make in peers_of(cast("Dialect", stage.dialect)).values()]
        for peer in made:
            stage.run(peer.open())
            stage.at_close(peer.close)
        _peers[key] = made
    return _peers[key]


async def runs_in(data: Data, status: str, count: int) -> list[Any]:
    version = await data.new_version()
    runs = [(await data.new_run(version)).id for _ in range(count)]
    if status == "running":
        for run in runs:
            await data.db.workflows.mark_run_started(run, actor="bench")
    return runs


class Operation:
    """One operation, ours and theirs, and what makes the arguments of a number of calls."""

    def __init__(
        self,
        prepare: Callable[[Data, int], Awaitable[Sequence[Any]]],
        ours: Callable[[Data, Any], Awaitable[Any]],
        theirs: Callable[[Peer, Any], Awaitable[Any]],
    ):
        self.prepare = prepare
        self.ours = ours
        self.theirs = theirs


async def one_version(data: Data, count: int) -> Sequence[Any]:
    return [await data.new_version()] * count


async def one_execution(data: Data, count: int) -> Sequence[str]:
    return (await data.new_executions(1)) * count


OPERATIONS = {
    "get_run": Operation(
        lambda data, n: data.runs(n),
        lambda data, r: data.db.workflows.get_run(r),
        lambda peer, r: peer.get_run(r),
    ),
    "page_runs, 50": Operation(
        lambda data, n: data.workflows_with_runs(n),
        lambda data, w: data.db.workflows.page_runs(workflow_id=w, limit=50),
        lambda peer, w: peer.page_runs(w),
    ),
    "create_run": Operation(
        one_version,
        lambda data, v: data.new_run(v),
        lambda peer, v: peer.create_run(v.workflow_id, v.id, dict(PAYLOAD)),
    ),
    "mark_run_started": Operation(
        lambda data, n: runs_in(data, "pending", n),
        lambda data, r: data.db.workflows.mark_run_started(r, actor="bench"),
        lambda peer, r: peer.start_run(r),
    ),
    "mark_run_succeeded": Operation(
        lambda data, n: runs_in(data, "running", n),
        lambda data, r: data.db.workflows.mark_run_succeeded(r, actor="bench", output=OUTPUT),
        lambda peer, r: peer.succeed_run(r, OUTPUT),
    ),
    "append_step": Operation(
        one_execution,
        lambda data, e: data.db.history.append_step(e, STEP),
        lambda peer, e: peer.append_step(e, STEP),
    ),
}


async def compare(
    data: Data, operation: Operation, others: Sequence[Peer], count: int
) -> list[Samples]:
    given = [list(await operation.prepare(data, count)) for _ in range(1 + len(others))]
    return await in_turns(
        ["orcheo-sql", *(peer.name for peer in others)],
        [
            lambda turn: operation.ours(data, given[0][turn]),
            *(
                lambda turn, peer=peer, mine=mine: operation.theirs(peer, mine[turn])
                for peer, mine in zip(others, given[1:], strict=True)
            ),
        ],
        count,
    )


@pytest.mark.parametrize(
    ("dialect", "name", "number"),
    [
        pytest.param(
            dialect,
            name,
            number,
            id=f"{dialect}-{name}-{who}",
            marks=pytest.mark.benchmark(group=f"{dialect}: {name}, peers", timer=replay_timer),
        )
        for dialect, names in NAMES.items()
        for name in OPERATIONS
        for number, who in enumerate(names)
    ],
)
def test_operation(
    stage: Callable[..., Stage],
    verdicts: Verdicts,
    benchmark: Any,
    dialect: str,
    name: str,
    number: int,
) -> None:
    where = stage(dialect)
    others = peers(where)
    if (dialect, name) not in _samples:
        _samples[dialect, name] = where.run(
            compare(where.data, OPERATIONS[name], others, where.samples)
        )
    found = _samples[dialect, name]
    replay(benchmark, found[number])
    if number:
        return
    ours = found[0].p50
    verdicts.note(
        f"{dialect}: {name} beside peers",
        f"{ours * 1000:.2f} ms; "
        + ", ".join(f"{each.name} {each.p50 / ours:.1f} x" for each in found[1:]),
        [f"is behind {each.name}" for each in found[1:] if behind(each.name, each.p50, ours)],
    )


def behind(peer: str, theirs: float, ours: float) -> bool:
    """SQLAlchemy is to be beaten; asyncpg is another driver, and there for orientation."""
    return peer.startswith("SQLAlchemy") and theirs < ours


class PeerMix:
    """The write mix through a peer."""

    def __init__(self, data: Data, peer: Peer):
        self.name = peer.name
        self._data = data
        self._peer = peer

    async def prepare(self, count: int) -> Sequence[Any]:
        version = await self._data.new_version()
        return [(version, execution) for execution in await self._data.new_executions(count)]

    async def round(self, given: Any, write: Callable[[Awaitable[Any]], Awaitable[Any]]) -> None:
        peer, (version, execution) = self._peer, given
        run = await write(peer.create_run(version.workflow_id, version.id, dict(PAYLOAD)))
        await write(peer.start_run(run))
        for _ in range(WRITES - 3):
            await write(peer.append_step(execution, STEP))
        await write(peer.succeed_run(run, OUTPUT))


@pytest.mark.parametrize(
    ("dialect", "number"),
    [
        pytest.param(
            dialect,
            number,
            id=f"{dialect}-{who}",
            marks=pytest.mark.benchmark(group=f"{dialect}: write mix, peers", timer=replay_timer),
        )
        for dialect, names in NAMES.items()
        for number, who in enumerate(names)
    ],
)
def test_mix(
    stage: Callable[..., Stage], verdicts: Verdicts, benchmark: Any, dialect: str, number: int
) -> None:
    where = stage(dialect, "mix of peers")
    if dialect not in _mixes:
        mixes: list[Mix] = [OursMix(where.data), *(PeerMix(where.data, p) for p in peers(where))]
        _mixes[dialect] = where.run(compare_mixes(mixes, clients=CLIENTS))
    found = _mixes[dialect]
    result = found[number]
    assert not result.errors
    replay(benchmark, result.writes)
    benchmark.extra_info["writes_per_second"] = result.per_second
    if number:
        return
    ours = result.per_second
    verdicts.note(
        f"{dialect}: write mix of {CLIENTS} clients beside peers",
        f"{ours:,.0f} writes/s; "
        + ", ".join(f"{each.name} {each.per_second:,.0f}" for each in found[1:]),
        [
            f"is behind {each.name}"
            for each in found[1:]
            if behind(each.name, ours, each.per_second)
        ],
    )
