"""All checks together: what ``orcheo-sql sql check`` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orcheo_sql._catalog import DIALECTS, sql_root
from orcheo_sql._errors import OrcheoSqlError, QueryError

from . import conventions, query_types
from .answers import compare_proofs, empty_answers
from .calls import check_calls, python_files
from .docs import docs_folder, stale
from .effects import compare_effects
from .findings import Finding, in_order, of_error
from .overrides import read_overrides
from .proof import Proof, Trials, optional_parameters
from .row_rules import check_rows
from .samples import Samples, load_samples
from .schema_rules import (
    Places,
    check_distribution,
    check_keys,
    check_tables,
    compare_schemas,
)
from .scratch import BuildError, postgres_scratch, seed_files, sqlite_scratch
from .trees import Tree, compare, compare_migrations, read_tree, unexplained
from .value_rules import check_values

if TYPE_CHECKING:
    from orcheo_sql._catalog import Query
    from orcheo_sql.codecs.rows import Dialect

Progress = Callable[[str], None]
TYPES_COMMAND = "orcheo-sql sql types"


@dataclass(frozen=True)
class Options:
    """What is checked, and where."""

    root: Path = field(default_factory=sql_root)
    """The folder with both trees."""
    dialects: tuple[Dialect, ...] = DIALECTS
    """On which scratch databases queries are proved; the texts of both trees are always compared."""
    only: frozenset[str] = frozenset()
    """Names of the queries to prove; none for all."""
    overrides: Path | None = None
    postgres_dsn: str | None = None
    """A server to make the scratch database on; without it one is looked for, or started."""
    code: Path | None = Path(__file__).parent.parent / "repositories"
    """Python files whose calls are checked."""
    types: Path | None = field(default_factory=query_types.path_of_types)
    docs: Path | None = field(default_factory=docs_folder)


@dataclass
class Report:
    """What was found."""

    findings: list[Finding] = field(default_factory=list)
    queries: int = 0
    problem: str | None = None
    """Why not everything could be checked."""


def run_checks(options: Options, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Run every check and return what was found, by place."""
    progress("reading both trees")
    check = _Check(options)
    check.texts()
    # PostgreSQL first: it knows the types of the parameters that SQLite is then tried with.
    for dialect in sorted(options.dialects):
        progress(f"proving queries on a scratch {_TITLES[dialect]} database")
        try:
            check.prove(dialect)
        except BuildError as error:
            check.findings.append(error.finding)
        except OrcheoSqlError as error:
            check.problem = str(error)
    check.together()
    return Report(
        in_order(check.findings),
        sum(
            not options.only or query.name in options.only
            for tree in check.trees.values()
            for query in tree.queries.values()
        ),
        check.problem,
    )


_TITLES: dict[Dialect, str] = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


class _Check:
    """One run of all checks."""

    def __init__(self, options: Options):
        self.options = options
        self.findings: list[Finding] = []
        self.problem: str | None = None
        self.trees: dict[Dialect, Tree] = {d: read_tree(options.root, d) for d in DIALECTS}
        self.proofs: dict[Dialect, Proof] = {}
        self._overrides: dict[Dialect, list[Query]] = {}
        self._trials = Trials(Samples({}), {})

    def texts(self) -> None:
        """Check what needs no database."""
        options, trees = self.options, self.trees
        types = options.types or query_types.path_of_types()
        source = types.read_text(encoding="utf-8") if types.exists() else ""
        contract = query_types.known_signatures(source)
        for tree in trees.values():
            self.findings += tree.findings
        self.findings += compare(trees["sqlite"], trees["postgres"], contract)
        self.findings += compare_migrations(options.root)
        for dialect, tree in trees.items():
            self.findings += conventions.check_queries(list(tree.queries.values()))
            self.findings += conventions.check_migrations(self._migrations(dialect))
            self.findings += conventions.check_layout(
                sorted((options.root / dialect).rglob("*.sql"))
            )
        if options.code is not None:
            queries = {**trees["sqlite"].queries, **trees["postgres"].queries}
            unreadable = trees["sqlite"].broken | trees["postgres"].broken
            self.findings += check_calls(list(python_files(options.code)), queries, unreadable)
        if options.overrides is not None:
            self._overrides, findings = read_overrides(options.overrides, trees)
            self.findings += findings
        self._trials = self._make_trials()

    def _make_trials(self) -> Trials:
        samples = Samples({})
        try:
            # PostgreSQL's seeds name the samples, SQLite's name the same: `together` compares the answers.
            samples = load_samples(seed_files(self.options.root, "postgres"))
        except QueryError as error:
            self.findings.append(of_error(error, otherwise=self.options.root))
        if not self._is_broken():
            queries = [q for t in self.trees.values() for q in t.queries.values()]
            for place, name in samples.unknown(queries):
                path, _, line = place.rpartition(":")
                self.findings.append(
                    Finding(Path(path), int(line), f"no query takes the sample {name}")
                )
        texts = [list(t.queries.values()) for t in self.trees.values()]
        return Trials(samples, optional_parameters(*texts, *self._overrides.values()))

    def prove(self, dialect: Dialect) -> None:
        """Try all queries of a dialect on a scratch database.

        Raises:
            BuildError: a migration or seed fails.
            ConfigError: there is no PostgreSQL server to use.
        """
        queries = self._wanted(list(self.trees[dialect].queries.values()))
        replaced = self._wanted(self._overrides.get(dialect, []))
        root = self.options.root
        if dialect == "sqlite":
            from .prove_sqlite import prove_sqlite

            with sqlite_scratch(root) as raw:
                self.proofs[dialect] = prove_sqlite(raw, queries, self._trials)
                self.findings += prove_sqlite(raw, replaced, self._trials).findings
        else:
            from .prove_postgres import prove_postgres

            with postgres_scratch(root, self.options.postgres_dsn) as connection:
                self.proofs[dialect] = prove_postgres(connection, queries, self._trials)
                self.findings += prove_postgres(connection, replaced, self._trials).findings

    def _wanted(self, queries: list[Query]) -> list[Query]:
        only = self.options.only
        return [q for q in queries if _has_struct(q) and (not only or q.name in only)]

    def together(self) -> None:
        """Check what the databases say when they are looked at side by side, and the generated files."""
        places = {
            d: Places(self._migrations(d), self.options.root / d / "migrations") for d in DIALECTS
        }
        for dialect, proof in self.proofs.items():
            self.findings += proof.findings
            self.findings += check_keys(proof.schema, places[dialect])
            self.findings += check_tables(proof.schema, places[dialect])
            self.findings += empty_answers(proof, self.trees[dialect].queries)
            queries = list(self.trees[dialect].queries.values())
            self.findings += check_values(queries, proof.schema)
            self.findings += check_rows(queries, proof.schema)
        broken = {name for proof in self.proofs.values() for name in proof.broken}
        self.findings += unexplained(self.trees["sqlite"], self.trees["postgres"], broken)
        postgres, sqlite = self.proofs.get("postgres"), self.proofs.get("sqlite")
        if postgres is not None:
            self.findings += check_distribution(postgres.schema, places["postgres"])
            self._check_types(postgres)
        if postgres is not None and sqlite is not None:
            self.findings += compare_schemas(
                sqlite.schema, postgres.schema, places["sqlite"], places["postgres"]
            )
            self.findings += compare_proofs(sqlite, postgres, self.trees["postgres"].queries)
            self.findings += compare_effects(sqlite, postgres, self.trees["postgres"].queries)
        if self.options.docs is not None and not self._is_broken():
            from .queries_page import render_queries_page

            page = stale(
                self.options.docs / "queries.md",
                render_queries_page(self.options.root),
                "orcheo-sql sql docs",
            )
            self.findings += [page] if page else []

    def _check_types(self, proof: Proof) -> None:
        queries = list(self.trees["postgres"].queries.values())
        known = self._trials.types
        described = all(q.qualified_name in known for q in queries)
        if self.options.types is None or self._is_broken() or not described:
            return
        wanted = query_types.render(queries, known, proof.schema)
        finding = stale(self.options.types, wanted, TYPES_COMMAND)
        self.findings += [finding] if finding else []

    def _is_broken(self) -> bool:
        """Whether a file could not be read: then generated files can't be compared."""
        return any(t.broken or t.findings for t in self.trees.values())

    def _migrations(self, dialect: Dialect) -> list[Path]:
        return sorted((self.options.root / dialect / "migrations").glob("*.sql"))


def _has_struct(query: Query) -> bool:
    """Whether `Returns:` can be understood; if not, that is a finding already."""
    try:
        return query.shape == "count" or query.returns is not None
    except QueryError:
        return False
