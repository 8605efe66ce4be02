"""A short measurement of whatever database the settings name, which is left as it was."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._database import SUBSYSTEMS, Database
from ..engines.waiting import finish
from .data import Data
from .measure import Measured, measure
from .mix import Mix, MixResult, OursMix, RawMix, compare_mixes
from .operations import OPERATIONS
from .raw import raw_for
from .watch import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..settings import Location, Settings, Subsystem
    from .measure import Operation
    from .raw import Raw


@dataclass
class BenchReport:
    """What was measured, and where."""

    places: dict[Subsystem, str]
    samples: int
    operations: list[Measured] = field(default_factory=list)
    mixes: list[MixResult] = field(default_factory=list)
    """Ours, and the raw driver's."""

    @property
    def mix_misses(self) -> list[str]:
        """What was promised of the write mix and is not true."""
        if not self.mixes:
            return []
        ours, *raws = self.mixes
        return ours.misses(raws[0] if raws else None)


def chosen(only: str | None = None) -> list[Operation]:
    """Return the operations that can be measured beside other people's work, or those with a text in their name."""
    return [
        operation
        for operation in OPERATIONS
        if not operation.takes_from_others and (only is None or only in operation.name)
    ]


async def run_bench(
    settings: Settings,
    operations: Sequence[Operation],
    *,
    samples: int,
    clients: int,
    progress: Callable[[str], None],
) -> BenchReport:
    """Measure operations, and the write mix when there are clients; delete what was made.

    Args:
        settings: where the databases are.
        operations: what to measure.
        samples: calls of each.
        clients: of the write mix; 0 to leave it out.
        progress: is told what is measured next.

    Raises:
        OrcheoSqlError: a database can't be used, does not exist, or went away: then what was made is left.
    """
    report = BenchReport({place: str(settings.location(place)) for place in SUBSYSTEMS}, samples)
    folders = {folder: subsystem for subsystem, folder in SUBSYSTEMS.items()}
    locations = {settings.location(subsystem): subsystem for subsystem in SUBSYSTEMS}
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(_as_it_is(settings)))
        async with watched(locations, lambda: stack.pop_all().aclose()):
            raws: dict[Location, list[Raw]] = {location: [] for location in locations}
            for location, subsystem in locations.items():
                raw = raw_for(location, settings.postgres_pool_max_size, database.engine(subsystem))
                if raw is not None:
                    stack.push_async_callback(raw.close)
                    await raw.open()
                    raws[location].append(raw)
            data = Data(database)
            try:
                for operation in operations:
                    progress(operation.name)
                    location = settings.location(folders[operation.name.partition(".")[0]])
                    report.operations.append(
                        await measure(operation, data, raws[location], samples)
                    )
                if clients:
                    progress("write mix")
                    location = settings.location(folders["workflows"])
                    mixes: list[Mix] = [
                        OursMix(data),
                        *(RawMix(data, raw) for raw in raws[location]),
                    ]
                    report.mixes = await compare_mixes(mixes, clients=clients, turns=3, warm_up=2)
            finally:
                progress("cleaning up")
                await finish(data.clean_up())
    return report


async def clean_up(settings: Settings) -> int:
    """Delete what benchmarks that were killed have left; return how many workflows, snapshots and tokens it was."""
    async with Database(_as_it_is(settings)) as database:
        data = Data(database)
        count = await data.find_left_over()
        await finish(data.clean_up())
        return count


def _as_it_is(settings: Settings) -> Settings:
    """Neither create nor migrate what is only to be measured; what is in memory is always made anew."""
    if all(settings.location(subsystem).in_memory for subsystem in SUBSYSTEMS):
        return settings
    return settings.model_copy(update={"auto_migrate": False})
