"""What operators do to service tokens: the secret is on standard output, once, and nowhere else."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli
from tests.cli.databases import tables
from tests.cli.test_operators import prepare

from orcheo_sql import Database
from orcheo_sql.rules.tokens import identifier_of


def test_a_minted_token_is_alone_on_standard_output(cli: Cli, configured: dict[str, Any]) -> None:
    done = cli(
        "tokens", "mint", "--identifier", "ci", "--scope", "b", "--scope", "a", "--workspace", "w"
    )
    assert done.status == 0
    token = done.out.removesuffix("\n")
    assert identifier_of(token) == "ci"
    assert "'ci' is good until revoked" in done.err
    assert token.split("_")[2] not in done.err

    async def authenticate(db: Database) -> Any:
        return await db.token_manager.authenticate(token)

    record = prepare(configured, authenticate)
    assert (sorted(record.scopes), sorted(record.workspace_ids)) == (["a", "b"], ["w"])

    for command in (("list",), ("list", "--all", "--json"), ("audit",), ("audit", "ci", "--json")):
        shown = cli("tokens", *command)
        assert shown.status == 0
        assert "ci" in shown.out
        assert token.split("_")[2] not in shown.out + shown.err
        assert "argon2" not in shown.out
    (listed,) = cli("tokens", "list", "--json").json
    assert (listed["scopes"], listed["use_count"]) == (["a", "b"], 1)


def test_mint_and_rotate_in_json(cli: Cli, configured: dict[str, Any]) -> None:
    minted = cli("tokens", "mint", "--expires-in", "1h", "--json").json
    assert identifier_of(minted["secret"]) == minted["identifier"]
    assert "secret_hash" not in minted
    lasts = dt.datetime.fromisoformat(minted["expires_at"]) - dt.datetime.fromisoformat(
        minted["issued_at"]
    )
    assert lasts == dt.timedelta(hours=1)
    rotated = cli(
        "tokens", "rotate", minted["identifier"], "--overlap", "0", "--actor", "ada", "--json"
    ).json
    assert identifier_of(rotated["secret"]) == rotated["identifier"] != minted["identifier"]
    states = {
        each["identifier"]: each["rotated_to"]
        for each in cli("tokens", "list", "--all", "--json").json
    }
    assert states == {minted["identifier"]: rotated["identifier"], rotated["identifier"]: None}
    active = cli("tokens", "list", "--json").json
    assert [each["identifier"] for each in active] == [rotated["identifier"]]
    assert "expired" in cli("tokens", "list", "--all").out
    log = cli("tokens", "audit", minted["identifier"], "--json").json
    assert [(e["action"], e["actor"]) for e in log] == [
        ("rotated", "ada"),
        ("created", "orcheo-sql"),
    ]


def test_revoke(cli: Cli, configured: dict[str, Any]) -> None:
    cli("tokens", "mint", "--identifier", "ci")
    done = cli("tokens", "revoke", "ci", "--reason", "left in a \x1b[31mlog")
    assert done.status == 0
    assert "revoked" in done.out
    again = cli("tokens", "revoke", "ci", "--reason", "again", "--json").json
    assert again["revocation_reason"] == "left in a \x1b[31mlog"
    audit = cli("tokens", "audit")
    assert "\x1b" not in audit.out
    refused = cli("tokens", "rotate", "ci")
    assert (refused.status, refused.out) == (1, "")
    assert "Service token 'ci' has been revoked" in refused.err
    assert cli("tokens", "revoke", "ci").status == 2  # a reason is due


def test_old_entries_are_forgotten(cli: Cli, configured: dict[str, Any]) -> None:
    cli("tokens", "mint", "--identifier", "ci")
    assert cli("tokens", "sweep", "--json").json == {"entries": 0}
    assert "Forgot 1 entries" in cli("tokens", "sweep", "--older-than", "0s").out
    assert cli("tokens", "audit", "--json").json == []
    assert len(cli("tokens", "list", "--json").json) == 1


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_what_is_not_there(cli: Cli, configured: dict[str, Any], command: str) -> None:
    more = ("--reason", "x") if command == "revoke" else ()
    done = cli("tokens", command, "nobody", *more)
    assert (done.status, done.out) == (1, "")
    assert done.err == "Error: Service token 'nobody' not found\n"


def test_a_token_in_place_of_its_identifier_is_not_repeated(
    cli: Cli, configured: dict[str, Any]
) -> None:
    token = cli("tokens", "mint").out.strip()
    for command in (("rotate", token), ("revoke", token, "--reason", "x"), ("audit", token)):
        done = cli("tokens", *command)
        assert done.status != 0
        assert token not in done.err + done.out
        assert "must not be the token itself" in done.err


@pytest.mark.parametrize("command", [("list",), ("audit",), ("mint",)])
def test_nothing_is_created_on_the_way(cli: Cli, unmigrated: dict[str, Any], command: Any) -> None:
    done = cli("tokens", *command)
    if command != ("mint",) or "database_path" in unmigrated:
        assert done.status in (2, 3)
        assert "orcheo-sql migrate up" in done.err
        assert tables(unmigrated) == set()
    assert done.is_quiet


def test_a_token_with_something_around_it_is_not_repeated(
    cli: Cli, configured: dict[str, Any]
) -> None:
    token = cli("tokens", "mint", "--identifier", "ci").out.strip()
    secret = token.split("_")[2]
    legacy = "Zm9vYmFyYmF6LV9xdXV4cXV1eHF1dXhxdXV4cXV1eHE"
    for said in (f"{token} ", f"{token}\n", f"Bearer {token}", token[:-1], legacy, f"{legacy}x"):
        for command in (("rotate", said), ("revoke", said, "--reason", "x")):
            done = cli("tokens", *command)
            assert done.status != 0
            assert secret not in done.err + done.out
            assert legacy not in done.err + done.out
    done = cli("tokens", "revoke", "ci", "--reason", f"saw {token}", "--actor", token)
    assert secret not in done.err + done.out + cli("tokens", "audit", "--json").out
    assert cli("tokens", "mint", "--expires-in", "0s").status != 0


def test_the_documented_commands(cli: Cli, configured: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs/tokens.md").read_text()
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [
        shlex.split(re.sub(r"^TOKEN=\$\((.*)\)$", r"\1", line)) for line in block.splitlines()
    ]
    assert [command[2] for command in commands] == ["mint", "list", "rotate", "revoke", "audit"]
    for command in commands:
        done = cli(*command[1:])
        assert (done.status, command) == (0, command), done.err
    assert all(word in done.out for word in ("created", "rotated", "revoked"))
