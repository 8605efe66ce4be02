"""Service tokens on SQLite, on PostgreSQL and in a plain Python model, driven side by side.

Hashing is made cheap and random parts predictable here, so that the sides have equal tokens; all else is as it runs.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.fixtures.databases import postgres_settings
from tests.repositories.factories import Clock

from orcheo_sql import AuthenticationError, Database, OrcheoSqlError, ServiceTokenRecord
from orcheo_sql.rules.tokens import sha256_of
from orcheo_sql.tokens import _manager
from orcheo_sql.tokens._hashing import TokenHasher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

EXAMPLES, STEPS = 20, 40
SPANS = st.sampled_from([None, 1, 5, 60, 0, -1])
picks = st.integers(0, 9)
Tables = tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]


class Model:
    """What the documentation says, in plain Python: records by identifier, and the log as pairs, oldest first."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[str, str]] = []
        self.pending: dict[str, int] = {}

    def mint(self, identifier: str, now: dt.datetime, span: int | None, scopes: list[str]) -> str:
        if span is not None and span <= 0:
            return "ValidationError"
        if identifier in self.records:
            return "ServiceTokenExistsError"
        self.log.append((identifier, "created"))
        self._add(identifier, now, span, scopes)
        return identifier

    def _add(self, identifier: str, now: dt.datetime, span: Any, scopes: list[str]) -> None:
        self.records[identifier] = {
            "scopes": scopes, "issued_at": now, "expires_at": None if span is None else now + dt.timedelta(seconds=span),
            "revoked_at": None, "revocation_reason": None, "rotated_to": None, "use_count": 0,
        }  # fmt: skip

    def status(self, record: dict[str, Any], now: dt.datetime) -> str:
        if record["revoked_at"] is not None:
            return "revoked"
        ends = record["expires_at"]
        return "expired" if ends is not None and ends <= now else "active"

    def rotate(
        self, identifier: str, successor: str, now: dt.datetime, overlap: int, span: int | None
    ) -> str:
        record = self.records.get(identifier)
        if record is None:
            return "ServiceTokenNotFoundError"
        if span is not None and span <= 0:
            return "ValidationError"
        if self.status(record, now) != "active" or record["rotated_to"] is not None:
            return "ServiceTokenStateError"
        if span is None and record["expires_at"] is not None:
            span = int((record["expires_at"] - record["issued_at"]).total_seconds())
        end = now + dt.timedelta(seconds=overlap)
        record["expires_at"] = min(record["expires_at"] or end, end)
        record["rotated_to"] = successor
        self._add(successor, now, span, record["scopes"])
        self.log += [(successor, "created"), (identifier, "rotated")]
        return successor

    def revoke(self, identifier: str, now: dt.datetime, reason: str) -> str:
        record = self.records.get(identifier)
        if record is None:
            return "ServiceTokenNotFoundError"
        if record["revoked_at"] is None:
            record["revoked_at"], record["revocation_reason"] = now, reason
            self.log.append((identifier, "revoked"))
        return identifier

    def update(self, identifier: str, copy: dict[str, Any]) -> str:
        record = self.records.get(identifier)
        if record is None:
            return identifier
        if record["revoked_at"] is not None or record["rotated_to"] not in (
            None,
            copy["rotated_to"],
        ):
            return "ServiceTokenStateError"
        record.update(copy, use_count=record["use_count"])
        return identifier

    def authenticate(self, identifier: str, now: dt.datetime) -> str:
        record = self.records.get(identifier)
        if record is None:
            return "auth.invalid_token"
        status = self.status(record, now)
        if status != "active":
            return f"auth.token_{status}"
        self.pending[identifier] = self.pending.get(identifier, 0) + 1
        return f"{identifier} {record['use_count'] + self.pending[identifier]}"

    def flush(self) -> None:
        for identifier, times in self.pending.items():
            self.log.append((identifier, "used"))
            if identifier in self.records:
                self.records[identifier]["use_count"] += times
        self.pending = {}


class Side:
    """One database, with its own run of the same random texts."""

    def __init__(self, overrides: dict[str, Any], clock: Clock):
        self.overrides = {**overrides, "auth_service_token_usage_seconds": 3600}
        # What was looked up in vain is not remembered, which real time would decide on.
        self.overrides["auth_service_token_cache_seconds"] = 0
        self.clock = clock
        self.db = Database(**self.overrides, clock=clock)

    async def start_over(self) -> None:
        await self.db.close()
        self.db = await Database(**self.overrides, clock=self.clock).open()
        for record in await self.db.tokens.list_all():
            await self.db.tokens.delete(record.identifier)
        await self.db.tokens.prune_audit_log(dt.datetime(9999, 1, 1, tzinfo=dt.UTC), limit=10**6)
        manager = self.db.token_manager
        manager._hasher = TokenHasher(
            memory_kib=8, passes=1, lanes=1, threads=1, remember_seconds=60.0
        )


class TokenMachine(RuleBasedStateMachine):
    runner: ClassVar[asyncio.Runner]
    sides: ClassVar[list[Side]]
    clock: ClassVar[Clock]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.names = itertools.count()
        self.secrets: dict[str, str] = {}
        self.copies: dict[str, tuple[dict[str, Any], list[ServiceTokenRecord]]] = {}
        for side in self.sides:
            self.runner.run(side.start_over())

    def both(self, work: Callable[[Database], Awaitable[Any]], expected: str) -> None:
        """Do something on both databases, and see that each says what the model says."""
        type(self).steps += 1
        for side in self.sides:
            assert self.runner.run(told(work(side.db))) == expected, side.db

    def known(self, pick: int) -> str:
        names = list(self.secrets)
        return names[pick % len(names)] if names and pick < 9 else "nobody"

    def new(self, name: str | None = None) -> tuple[str, str]:
        """Return the identifier and the token that are made next, by both databases."""
        name = name or f"n{next(self.names)}"
        token = f"orc_{name}_" + f"{next(self.names):064x}"
        token += f"_{_manager_check(token)}"
        _Next.identifier, _Next.token = name, token
        return name, token

    @rule(
        pick=picks,
        again=st.booleans(),
        span=SPANS,
        scopes=st.lists(st.sampled_from("abc"), unique=True),
    )
    def mint(self, pick: int, again: bool, span: int | None, scopes: list[str]) -> None:
        name, token = self.new(self.known(pick) if again else None)
        expected = self.model.mint(name, self.clock(), span, sorted(scopes))
        if expected == name:
            self.secrets[name] = token
        self.both(
            lambda db: db.token_manager.mint(identifier=name, scopes=scopes, expires_in=span),
            expected,
        )

    @rule(pick=picks, overlap=st.sampled_from([0, 0, 2, 300]), span=SPANS)
    def rotate(self, pick: int, overlap: int, span: int | None) -> None:
        successor, token = self.new()
        name = self.known(pick)
        expected = self.model.rotate(name, successor, self.clock(), overlap, span)
        if expected == successor:
            self.secrets[successor] = token
        self.both(
            lambda db: db.token_manager.rotate(name, overlap_seconds=overlap, expires_in=span),
            expected,
        )

    @rule(pick=picks, reason=st.sampled_from(["leaked", "left"]))
    def revoke(self, pick: int, reason: str) -> None:
        name = self.known(pick)
        expected = self.model.revoke(name, self.clock(), reason)
        self.both(lambda db: db.token_manager.revoke(name, reason=reason), expected)

    @rule(pick=picks)
    def authenticate(self, pick: int) -> None:
        name = self.known(pick)
        token = self.secrets.get(name, "nothing")
        expected = self.model.authenticate(name, self.clock())
        self.both(lambda db: uses(db.token_manager.authenticate(token)), expected)

    @rule(pick=picks)
    def read(self, pick: int) -> None:
        """Keep a copy of a record, to write it back when it may be stale."""
        name = self.known(pick)
        if name in self.model.records:
            copies = [self.runner.run(side.db.tokens.find_by_id(name)) for side in self.sides]
            self.copies[name] = dict(self.model.records[name]), [c for c in copies if c is not None]

    @rule(pick=picks, scopes=st.lists(st.sampled_from("abc"), unique=True))
    def write_back(self, pick: int, scopes: list[str]) -> None:
        name = self.known(pick)
        if name not in self.copies:
            return
        copy, records = self.copies[name]
        expected = self.model.update(name, {**copy, "scopes": sorted(scopes)})
        changed = {
            side.db: msgspec.structs.replace(record, scopes=frozenset(scopes))
            for side, record in zip(self.sides, records, strict=True)
        }
        self.both(lambda db: db.tokens.update(changed[db]), expected)

    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        name = self.known(pick)
        self.model.records.pop(name, None)
        self.both(lambda db: db.tokens.delete(name), "None")

    @rule()
    def flush(self) -> None:
        self.model.flush()
        self.both(lambda db: db.token_manager.flush_usage(), "None")

    @rule(pick=picks)
    def bring_along(self, pick: int) -> None:
        name, token = f"old{pick}", f"{pick}{'legacy' * 7}"
        if name not in self.model.records:
            self.model._add(name, self.clock(), None, [])
            self.secrets[name] = token
            record = ServiceTokenRecord(
                identifier=name, secret_hash=sha256_of(token), issued_at=self.clock()
            )
            self.both(lambda db: db.tokens.create(record), name)

    @rule(seconds=st.sampled_from([0, 1, 3, 60]))
    def wait(self, seconds: int) -> None:
        self.clock.tick(seconds)

    def teardown(self) -> None:
        self.flush()
        for side in self.sides:
            self.runner.run(self.compare(side.db))

    async def compare(self, db: Database) -> None:
        records = {record.identifier: record for record in await db.tokens.list_all()}
        for name, expected in self.model.records.items():
            found = msgspec.structs.asdict(records[name])
            found["scopes"] = sorted(found["scopes"])
            assert {field: found[field] for field in expected} == expected
        assert len(records) == len(self.model.records)
        for status in ("active", "expired", "revoked"):
            page = await db.tokens.page_tokens(status=status, limit=1000)
            wanted = {
                n
                for n, r in self.model.records.items()
                if self.model.status(r, self.clock()) == status
            }
            assert {record.identifier for record in page.items} == wanted
        log = await db.tokens.page_audit_log(limit=1000)
        assert sorted((e.token_id, e.action) for e in log.items) == sorted(self.model.log)
        times = [entry.timestamp for entry in log.items]
        assert times == sorted(times, reverse=True)


class _Next:
    """What the next identifier and token are, on either side."""

    identifier = ""
    token = ""


def _manager_check(head: str) -> str:
    from orcheo_sql.rules.tokens import _check

    return _check(head)


async def told(work: Awaitable[Any]) -> str:
    """Return what an operation says in the words of the model."""
    try:
        result = await work
    except AuthenticationError as error:
        return error.code
    except OrcheoSqlError as error:
        return type(error).__name__
    record = result[1] if isinstance(result, tuple) else result
    return str(getattr(record, "identifier", record))


async def uses(work: Awaitable[ServiceTokenRecord]) -> str:
    record = await work
    return f"{record.identifier} {record.use_count}"


@pytest.fixture
def machine(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setattr(_manager, "new_identifier", lambda: _Next.identifier)
    monkeypatch.setattr(_manager, "new_token", lambda _: _Next.token)
    clock = Clock()
    both = [
        Side({"database_path": tmp_path / "orcheo.sqlite"}, clock),
        Side(postgres_settings(request.getfixturevalue("_migrated_postgres")), clock),
    ]
    with asyncio.Runner() as runner:
        fields = {"runner": runner, "sides": both, "clock": clock, "steps": 0}
        yield type(TokenMachine.__name__, (TokenMachine,), fields)
        for side in both:
            runner.run(side.db.close())


def test_both_databases_and_the_model_agree(machine: Any) -> None:
    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(seed(1)(machine), settings=how)
    assert machine.steps >= 300, "fewer steps than promised"
