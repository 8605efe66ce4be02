"""``orcheo-sql sql``: list, show, explain and check the queries, and write what is generated from them."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._exits import FAILURE, USAGE
from ._output import complain, emit_json, emit_text, note, printable
from ._queries import (
    catalog,
    configured,
    document,
    find,
    mark,
    override_folder,
    require_trees,
    side_by_side,
    signature,
    text_of,
    where,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orcheo_sql.check.findings import Finding
    from orcheo_sql.codecs.rows import Dialect

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
PostgresDsn = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Make the scratch database on this server. Else ORCHEO_TEST_POSTGRES_DSN names one, or one is started.",
        show_default=False,
    ),
]

sql_app = typer.Typer(
    help="Look at the queries, and prove that they hold.\n\n"
    "Every query is a named text in sql/<dialect>/queries, or in the folder of overrides.",
    no_args_is_help=True,
)


class DialectName(StrEnum):
    """The dialects, as an option takes them."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


class DialectChoice(StrEnum):
    """One dialect, or both."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"
    BOTH = "both"


@sql_app.command("list")
def list_queries(
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Only queries with this in their name.")
    ] = "",
    dialect: Annotated[
        DialectName, typer.Option(help="Whose file and line to print.")
    ] = DialectName.SQLITE,
    json: Json = False,
) -> None:
    """List the queries: where each is, its parameters, what it returns and what it does."""
    with _refusals():
        found = [q for q in catalog(_dialect(dialect)) if text.lower() in q.qualified_name.lower()]
    if json:
        emit_json([document(q) for q in found])
        return
    for query in found:
        emit_text(printable(f"{where(query)}: {signature(query)}\n    {query.doc}"))
    note(_counted(len(found), "query", "queries"))


@sql_app.command()
def show(
    name: Annotated[str, typer.Argument(help="get_run, or workflows.get_run.")],
    dialect: Annotated[
        DialectChoice, typer.Option(help="One dialect, or both side by side.")
    ] = DialectChoice.BOTH,
    source: Annotated[
        bool, typer.Option("--source", help="Print it as it stands in its file, to copy from.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a query as its driver gets it. One from the folder of overrides is marked."""
    with _refusals():
        queries = [find(name, d) for d in _chosen(dialect)]
    if json:
        emit_json(
            [{**document(q), "dialect": q.dialect, "sql": text_of(q, source)} for q in queries]
        )
        return
    texts = [(f"-- {q.dialect}, {where(q)}{mark(q)}", text_of(q, source)) for q in queries]
    beside = side_by_side(texts) if len(texts) == 2 and sys.stdout.isatty() else ""
    if beside and max(map(len, beside.splitlines())) <= shutil.get_terminal_size().columns:
        emit_text(beside)
    else:
        emit_text("\n\n".join(f"{head}\n{body}" for head, body in texts))


@sql_app.command()
def explain(
    name: Annotated[str, typer.Argument(help="get_run, or workflows.get_run.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "-p", metavar="NAME=VALUE", help="An argument; samples are taken for the others."
        ),
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="On a scratch database filled with made-up rows.")
    ] = False,
    dialect: Annotated[
        DialectName | None, typer.Option(help="With --scratch: on which database.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the plan of a query on the configured database. Runs nothing and writes nothing."""
    with _refusals():
        from orcheo_sql.check.explain import arguments_of, explain_postgres, explain_sqlite

        wanted = None if dialect is None else _dialect(dialect)
        place = None if scratch else configured(find(name, "sqlite"), wanted)
        chosen = place.location.dialect if place else _dialect(dialect)
        query = find(name, chosen)
        arguments = arguments_of(query, parameter or [])
        if chosen == "sqlite":
            made = explain_sqlite(query, arguments, place.location.path if place else None)
        else:
            dsn = place.location.dsn.get_secret_value() if place and place.location.dsn else None
            made = explain_postgres(query, arguments, dsn)
    where = str(place.location) if place else f"a scratch {chosen} database"
    shown = {n: None if v is None else str(v) for n, v in made.arguments.items()}
    if json:
        emit_json(
            {
                "query": query.qualified_name,
                "database": where,
                "arguments": shown,
                "plan": made.lines,
            }
        )
        return
    listed = "".join(f"\n--   {n} = {v if v is not None else 'NULL'}" for n, v in shown.items())
    emit_text(printable(f"-- {query.qualified_name} on {where}{listed}"))
    emit_text("\n".join(made.lines))


@sql_app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Prove only these queries on the databases."),
    ] = None,
    dialect: Annotated[
        DialectChoice, typer.Option(help="On which scratch databases to prove the queries.")
    ] = DialectChoice.BOTH,
    postgres_dsn: PostgresDsn = None,
    overrides: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder of replaced queries to check too; ORCHEO_SQL_OVERRIDE_DIR if not given.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Another folder with both trees; calls are checked, generated files are not.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Prove all queries of both trees: against each other, scratch databases, structs and calls.

    Prints findings as file:line: message and exits with 1 if there are any, with 2 if something
    could not be checked.
    """
    with _refusals():
        from dataclasses import replace

        from orcheo_sql.check.run import Options, run_checks

        chosen = tuple(_chosen(dialect))
        folder = overrides if overrides is not None else override_folder()
        only = frozenset(name.rpartition(".")[2] for name in names or ())
        options = Options(dialects=chosen, only=only, overrides=folder, postgres_dsn=postgres_dsn)
        if root is not None:
            options = replace(options, root=root, types=None, docs=None)
        require_trees(options.root, only)
        report = run_checks(options, _progress)
    if json:
        emit_json(
            {
                "findings": [_finding_document(f) for f in report.findings],
                "queries": report.queries,
                "problem": report.problem,
            }
        )
    else:
        for finding in report.findings:
            emit_text(printable(str(finding)))
        emit_text(
            f"{report.queries} queries checked, {_counted(len(report.findings), 'finding', 'findings')}"
        )
    if report.problem is not None:
        complain(f"not everything could be checked: {report.problem}")
        raise typer.Exit(USAGE)
    if report.findings:
        raise typer.Exit(FAILURE)


@sql_app.command()
def types(
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the file is not current.")
    ] = False,
    postgres_dsn: PostgresDsn = None,
) -> None:
    """Write the types by which editors and mypy know the queries and their parameters."""
    with _refusals():
        from orcheo_sql._catalog import load_catalog, sql_root
        from orcheo_sql.check.docs import stale
        from orcheo_sql.check.prove_postgres import describe_all
        from orcheo_sql.check.query_types import path_of_types, render
        from orcheo_sql.check.scratch import postgres_scratch

        queries = list(load_catalog("postgres"))
        with postgres_scratch(sql_root(), postgres_dsn, seeded=False) as connection:
            proof, known = describe_all(connection, queries)
        _emit_findings(proof.findings)
        path, text = path_of_types(), render(queries, known, proof.schema)
        finding = stale(path, text, "orcheo-sql sql types")
        if finding is not None and check_only:
            _emit_findings([finding])
        if finding is not None:
            path.write_text(text, encoding="utf-8")
            note(f"{path} written")


@sql_app.command()
def docs(
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a page is not current.")
    ] = False,
) -> None:
    """Write the generated pages of docs/, in a checkout."""
    with _refusals():
        from orcheo_sql._errors import ConfigError
        from orcheo_sql.check.docs import docs_folder, stale_pages, write_pages

        folder = docs_folder()
        if folder is None:
            raise ConfigError("docs/ is part of a checkout; this is an installed package")
        if check_only:
            _emit_findings(stale_pages(folder))
            return
        for path in write_pages(folder):
            note(f"{path} written")


@contextmanager
def _refusals() -> Iterator[None]:
    """End a command with a message and status 2 when it can't do what it was asked for."""
    import sqlite3

    import psycopg

    from orcheo_sql._errors import OrcheoSqlError

    try:
        yield
    except OrcheoSqlError as error:
        complain(str(error))
    except (sqlite3.Error, psycopg.Error, OSError) as error:
        complain(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    else:
        return
    raise typer.Exit(USAGE)


def _finding_document(finding: Finding) -> dict[str, Any]:
    return {"file": str(finding.path), "line": finding.line, "message": finding.message}


def _emit_findings(findings: list[Finding]) -> None:
    """Print findings and end the command if there are any."""
    for finding in findings:
        emit_text(printable(str(finding)))
    if findings:
        raise typer.Exit(FAILURE)


def _progress(message: str) -> None:
    if sys.stderr.isatty():
        note(f"{message} ...")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _chosen(choice: DialectChoice) -> list[Dialect]:
    return ["sqlite", "postgres"] if choice is DialectChoice.BOTH else [_dialect(choice)]


def _dialect(choice: DialectChoice | DialectName | None) -> Dialect:
    """Return what an option says; SQLite when it says nothing."""
    return "postgres" if choice is not None and choice.value == "postgres" else "sqlite"
