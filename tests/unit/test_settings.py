"""Settings: sources and their order, what is refused and how, where subsystems live, no leaks."""

from __future__ import annotations

import json
import os
import random
import traceback
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from orcheo_sql._errors import ConfigError
from orcheo_sql.cli import settings as cli
from orcheo_sql.settings import (
    Location,
    SettingOrigin,
    Settings,
    Subsystem,
    load_settings,
    mask_dsn,
)
from orcheo_sql.settings._settings_docs import render_settings_page

DSN = "postgresql://app:hunter2@db.example:5432/app"
PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
POSTGRES_BACKENDS = (
    "repository_backend",
    "chatkit_backend",
    "checkpoint_backend",
    "graph_store_backend",
    "vault_backend",
    "auth_service_token_backend",
)


@pytest.fixture(autouse=True)
def clean_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable of ours, no .env, a home of its own."""
    for name in os.environ:
        if name.upper().startswith("ORCHEO_") or name.upper() in {
            "CHECKPOINT_MODE",
            "POSTGRES_URI",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problem(**overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(**overrides)
    return str(caught.value)


def origin(settings: Settings, name: str) -> SettingOrigin:
    return next(item for item in settings.explain() if item.name == name)


class TestDefaults:
    def test_everything_shares_one_file_in_the_home_directory(self, clean_room: Path) -> None:
        settings = load_settings()
        expected = Location("sqlite", clean_room / "home/.orcheo/orcheo.sqlite")
        assert {settings.location(part) for part in Subsystem} == {expected}

    def test_values(self) -> None:
        settings = load_settings()
        assert settings.auto_migrate is True
        assert (settings.slow_query_seconds, settings.statement_timeout_seconds) == (0.25, 30.0)
        assert (settings.lock_timeout_seconds, settings.sqlite_busy_timeout_seconds) == (10.0, 60.0)
        assert (settings.postgres_pool_min_size, settings.postgres_pool_max_size) == (1, 10)
        assert (settings.postgres_pool_timeout, settings.postgres_pool_max_idle) == (30.0, 300.0)
        assert settings.postgres_connect_timeout_seconds == 30.0
        assert (settings.postgres_pooler, settings.sqlite_readers) == ("auto", 4)
        assert settings.chatkit_max_upload_size_bytes == 5_000_000
        assert (settings.chatkit_retention_days, settings.vault_token_ttl_seconds) == (30, 3600)

    def test_one_table_of_defaults_for_every_way_in(self) -> None:
        # Weakness 14: vault and token files had other defaults on other code paths.
        settings = load_settings()
        assert settings == Settings()
        assert settings.location(Subsystem.VAULT) == settings.location(Subsystem.TOKENS)
        assert all(item.source == "default" for item in settings.explain())

    def test_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load_settings().auto_migrate = False


class TestSources:
    def test_argument_over_environment_over_dotenv(
        self, monkeypatch: pytest.MonkeyPatch, clean_room: Path
    ) -> None:
        name = "ORCHEO_CHATKIT_RETENTION_DAYS"
        sources = [load_settings()]
        (clean_room / ".env").write_text(f"{name}=1\nexport ORCHEO_SQLITE_READERS='2'\n")
        sources.append(load_settings())
        monkeypatch.setenv(name, "3")
        sources.append(load_settings())
        sources.append(load_settings(chatkit_retention_days=4))
        found = [(item.value, item.source) for item in (origin(each, name) for each in sources)]
        assert found == [
            ("30", "default"),
            ("1", ".env"),
            ("3", "environment"),
            ("4", "argument"),
        ]
        assert origin(sources[3], "ORCHEO_SQLITE_READERS").source == ".env"

    def test_an_override_of_none_is_not_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHEO_POSTGRES_DSN", DSN)
        settings = load_settings(postgres_dsn=None)
        assert origin(settings, "ORCHEO_POSTGRES_DSN").source == "environment"

    def test_a_blank_value_is_not_set(
        self, monkeypatch: pytest.MonkeyPatch, clean_room: Path
    ) -> None:
        (clean_room / ".env").write_text(f"ORCHEO_POSTGRES_DSN={DSN}\n")
        monkeypatch.setenv("ORCHEO_POSTGRES_DSN", "")
        monkeypatch.setenv("ORCHEO_SQLITE_PATH", "  ")
        settings = load_settings()
        assert origin(settings, "ORCHEO_POSTGRES_DSN").source == ".env"
        assert settings.sqlite_path is None

    def test_another_file_or_none(self, clean_room: Path) -> None:
        (clean_room / ".env").write_text("ORCHEO_SQLITE_READERS=2\n")
        (clean_room / "prod.env").write_text("ORCHEO_SQLITE_READERS=3\n")
        assert load_settings(env_file=None).sqlite_readers == 4
        assert origin(load_settings(env_file="prod.env"), "ORCHEO_SQLITE_READERS") == SettingOrigin(
            "ORCHEO_SQLITE_READERS",
            "3",
            "prod.env",
            secret=False,
            help="Read connections per SQLite database; one more writes.",
        )

    def test_a_file_that_is_not_text(self, clean_room: Path) -> None:
        (clean_room / ".env").write_bytes(b"ORCHEO_VAULT_ENCRYPTION_KEY=hunter2\xff\n")
        with pytest.raises(ConfigError, match=r"settings file \.env can't be read") as caught:
            load_settings()
        assert caught.value.__context__ is None

    def test_a_file_that_may_not_be_read(
        self, monkeypatch: pytest.MonkeyPatch, clean_room: Path
    ) -> None:
        (clean_room / ".env").touch()

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("orcheo_sql.settings._sources.DotEnvSettingsSource", refuse)
        assert problem() == "The settings file .env can't be read: Permission denied."

    def test_a_file_in_a_home_that_is_not_there(self) -> None:
        assert "~ can't be expanded" in problem(env_file="~nobody-here/.env")

    def test_unknown_arguments_are_refused(self) -> None:
        text = problem(databse_path="x", colour="red")
        assert "'databse_path' is not a setting. Did you mean 'database_path'?" in text
        assert "'colour' is not a setting." in text

    def test_other_keys_of_the_product_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in OTHER_KEYS:
            monkeypatch.setenv(f"ORCHEO_{name}", "anything")
        assert not [item for item in load_settings().explain() if item.warning]

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("ORCHEO_POSTGRES_DNS", "ORCHEO_POSTGRES_DSN"),
            ("ORCHEO_VAULT_ENCRYPTON_KEY", "ORCHEO_VAULT_ENCRYPTION_KEY"),
            ("ORCHEO_REPOSITORY_BACKENDS", "ORCHEO_REPOSITORY_BACKEND"),
            ("ORCHEO_AUTOMIGRATE", "ORCHEO_AUTO_MIGRATE"),
            ("ORCHEO_DATABSE_PATH", "ORCHEO_DATABASE_PATH"),
            ("ORCHEO_AUTH_SERVICE_TOKENS_BACKEND", "ORCHEO_AUTH_SERVICE_TOKEN_BACKEND"),
        ],
    )
    def test_a_near_miss_is_reported_without_its_value(
        self, monkeypatch: pytest.MonkeyPatch, name: str, meant: str
    ) -> None:
        monkeypatch.setenv(name, "hunter2")
        item = origin(load_settings(), name)
        assert item.warning == f"{name} is not a setting; did you mean {meant}?"
        assert (item.value, item.source) == ("***", "environment")


class TestAliases:
    def test_names_of_the_other_client(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHECKPOINT_MODE", "Postgres")
        monkeypatch.setenv("POSTGRES_URI", DSN)
        settings = load_settings()
        assert settings.location(Subsystem.SNAPSHOTS).dialect == "postgres"
        assert settings.location(Subsystem.WORKFLOWS).dialect == "sqlite"
        backend = origin(settings, "ORCHEO_CHECKPOINT_BACKEND")
        assert (backend.value, backend.source) == (
            "postgres",
            "alias CHECKPOINT_MODE (environment)",
        )

    def test_any_explicit_value_wins(
        self, monkeypatch: pytest.MonkeyPatch, clean_room: Path
    ) -> None:
        (clean_room / ".env").write_text("ORCHEO_CHECKPOINT_BACKEND=sqlite\n")
        monkeypatch.setenv("CHECKPOINT_MODE", "postgres")
        settings = load_settings(checkpoint_mode="postgres")
        assert origin(settings, "ORCHEO_CHECKPOINT_BACKEND").source == ".env"

    def test_a_config_value_wins_over_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POSTGRES_URI", "postgresql://other/db")
        settings = load_settings(checkpoint_mode="POSTGRES", postgres_uri=DSN)
        assert settings.postgres_dsn == SecretStr(DSN)
        assert origin(settings, "ORCHEO_POSTGRES_DSN").source == "alias postgres_uri (argument)"

    def test_in_dotenv(self, clean_room: Path) -> None:
        (clean_room / ".env").write_text("CHECKPOINT_MODE=sqlite\n")
        item = origin(load_settings(), "ORCHEO_CHECKPOINT_BACKEND")
        assert item.source == "alias CHECKPOINT_MODE (.env)"

    def test_known_error_texts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHECKPOINT_MODE", "mysql")
        text = problem()
        assert "Unknown checkpoint_mode: mysql" in text
        assert "'sqlite' or 'postgres'" in text
        monkeypatch.setenv("CHECKPOINT_MODE", "postgres")
        text = problem()
        assert "PostgreSQL mode requires POSTGRES_URI in config or environment" in text
        assert "ORCHEO_POSTGRES_DSN must be set" in text
        monkeypatch.setenv("POSTGRES_URI", "mysql://hunter2@db/app")
        text = problem()
        assert text.startswith("POSTGRES_URI must begin with 'postgresql://'")
        assert "hunter2" not in text


class TestWrongValues:
    @pytest.mark.parametrize(
        ("field", "value", "fragment"),
        [
            ("checkpoint_backend", "mysql", "must be either 'sqlite' or 'postgres'."),
            ("graph_store_backend", "inmemory", "must be either 'sqlite' or 'postgres'."),
            ("chatkit_backend", "", None),
            ("chatkit_backend", "file", "must be either 'sqlite' or 'postgres'."),
            ("repository_backend", "file", "must be 'inmemory', 'sqlite', or 'postgres'."),
            ("auth_service_token_backend", "redis", "must be 'inmemory', 'sqlite', or 'postgres'."),
            (
                "vault_backend",
                "sqlite",
                "must be one of 'inmemory', 'file', 'aws_kms', or 'postgres'.",
            ),
            ("vault_backend", "AWS_KMS", "not supported"),
            ("postgres_pooler", "session", "must be one of 'auto', 'none', or 'transaction'."),
            ("postgres_pool_min_size", 0, "PostgreSQL pool size must be a positive integer."),
            ("postgres_pool_max_size", "x", "PostgreSQL pool size must be a positive integer."),
            ("postgres_pool_max_size", 10**9, "1"),
            ("postgres_pool_timeout", "0", "PostgreSQL pool timeout must be a positive number."),
            ("postgres_pool_max_idle", "nan", "PostgreSQL pool timeout must be a positive number."),
            ("chatkit_max_upload_size_bytes", "5 MB", "must be an integer."),
            ("chatkit_retention_days", "-1", "greater than 0"),
            ("chatkit_retention_days", 2.5, "must be an integer."),
            ("chatkit_retention_days", True, "must be an integer."),
            ("vault_token_ttl_seconds", -1, "greater than 0"),
            ("sqlite_readers", 0, "greater than 0"),
            ("slow_query_seconds", "0", "greater than 0"),
            ("statement_timeout_seconds", "-1", "0 (no limit)"),
            ("auth_service_token_cache_seconds", "-1", "0 (nothing is remembered)"),
            ("statement_timeout_seconds", 0.0001, "at least 0.001"),
            ("lock_timeout_seconds", "inf", "must be a number of seconds."),
            ("sqlite_busy_timeout_seconds", False, "must be a number of seconds."),
            ("postgres_connect_timeout_seconds", "soon", "must be a number of seconds."),
            ("auto_migrate", "perhaps", "must be true or false."),
            ("database_path", "sqlite:///x.db", "must be a filesystem path"),
            ("database_path", "~nobody-here/x.db", "can't be resolved"),
            ("sql_override_dir", "a\0b", "must be a filesystem path"),
            ("vault_local_path", 7, "must be a filesystem path"),
            ("graph_store_sqlite_path", "data/g.sqlite", "must be an absolute filesystem path"),
            ("postgres_dsn", "db.example", "must begin with 'postgresql://'"),
            ("postgres_dsn", 5432, "must begin with 'postgresql://'"),
            ("postgres_migration_dsn", "postgresql+psycopg://db/x", "no '+driver'"),
            ("vault_encryption_key", 12345678, "must be text"),
        ],
    )
    def test_the_error_names_variable_value_and_what_is_allowed(
        self, field: str, value: Any, fragment: str | None
    ) -> None:
        if fragment is None:
            load_settings(**{field: value})
            return
        text = problem(**{field: value})
        assert text.startswith(f"ORCHEO_{field.upper()}")
        assert fragment in text
        if not origin(load_settings(), f"ORCHEO_{field.upper()}").secret:
            assert f"{value!r} from argument" in text
        else:
            assert str(value) not in text

    @pytest.mark.parametrize("field", POSTGRES_BACKENDS)
    def test_a_numeric_backend_is_an_error_of_ours(self, field: str) -> None:
        # Weakness 10: it was an AttributeError.
        assert "Got 5 from argument." in problem(**{field: 5})

    def test_all_problems_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHEO_REPOSITORY_BACKEND", "mysql")
        monkeypatch.setenv("ORCHEO_CHATKIT_RETENTION_DAYS", "a month")
        text = problem(vault_backend="postgres", postgres_pool_min_size=11)
        assert text.splitlines()[0] == "5 settings can't be used:"
        for variable in (
            "ORCHEO_REPOSITORY_BACKEND",
            "ORCHEO_CHATKIT_RETENTION_DAYS",
            "ORCHEO_POSTGRES_DSN",
            "ORCHEO_POSTGRES_POOL_MIN_SIZE",
            "ORCHEO_VAULT_ENCRYPTION_KEY",
        ):
            assert variable in text
        assert "Got 'mysql' from environment." in text

    def test_minimum_above_maximum(self) -> None:
        # Weakness 11: accepted at load, failed at the first connection.
        text = problem(postgres_pool_min_size=20)
        assert "ORCHEO_POSTGRES_POOL_MIN_SIZE (20)" in text
        assert "ORCHEO_POSTGRES_POOL_MAX_SIZE (10)" in text
        assert load_settings(postgres_pool_min_size=20, postgres_pool_max_size=20)

    def test_a_default_that_does_not_work_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def homeless(_: Path) -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "expanduser", homeless)
        text = problem(chatkit_storage_path="/srv", env_file=None)
        assert "ORCHEO_DATABASE_PATH can't be resolved to an absolute filesystem path." in text
        assert "It is not set." in text

    def test_a_long_value_is_cut(self) -> None:
        assert len(problem(repository_backend="x" * 10_000)) < 300

    def test_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="ORCHEO_REPOSITORY_BACKEND"):
            Settings(repository_backend="mysql")

    def test_words_in_any_case_and_spacing(self) -> None:
        settings = load_settings(repository_backend=" InMemory ", auto_migrate=" OFF ")
        assert (settings.repository_backend, settings.auto_migrate) == ("inmemory", False)
        assert load_settings(statement_timeout_seconds="0").statement_timeout_seconds == 0


class TestPostgres:
    def test_the_dsn_is_kept_whoever_needs_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Weakness 8: it was thrown away unless one of five backends was postgres.
        monkeypatch.setenv("ORCHEO_POSTGRES_DSN", DSN)
        assert load_settings().postgres_dsn == SecretStr(DSN)

    @pytest.mark.parametrize("field", POSTGRES_BACKENDS)
    def test_every_consumer_requires_it(self, field: str) -> None:
        text = problem(**{field: "postgres"}, vault_encryption_key="k")
        assert "ORCHEO_POSTGRES_DSN must be set when using the postgres backend." in text
        assert f"Chosen by ORCHEO_{field.upper()}." in text

    def test_consumers_share_one_location(self) -> None:
        settings = load_settings(
            postgres_dsn=DSN,
            vault_encryption_key="k",
            **dict.fromkeys(POSTGRES_BACKENDS, "postgres"),
        )
        places = {settings.location(part) for part in Subsystem}
        assert places == {Location("postgres", dsn=SecretStr(DSN))}
        assert str(places.pop()) == "PostgreSQL postgresql://app:***@db.example:5432/app"

    def test_key_value_form(self) -> None:
        dsn = "  host=db password='hunter 2'\n"
        kept = load_settings(postgres_dsn=dsn).postgres_dsn
        assert kept == SecretStr(dsn.strip())

    def test_the_vault_needs_its_key(self) -> None:
        text = problem(vault_backend="postgres", postgres_dsn=DSN)
        assert text == (
            "ORCHEO_VAULT_ENCRYPTION_KEY must be set when using the postgres vault backend."
        )


class TestVaultKey:
    def test_the_in_memory_vault_keeps_it(self) -> None:
        # Weakness 12.
        settings = load_settings(vault_backend="inmemory", vault_encryption_key="hunter2")
        assert settings.vault_encryption_key == SecretStr("hunter2")
        assert settings.location(Subsystem.VAULT).in_memory

    def test_it_is_text_even_when_it_looks_like_a_number(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Weakness 9: refused, and printed by the error.
        monkeypatch.setenv("ORCHEO_VAULT_ENCRYPTION_KEY", " 00123456 ")
        assert load_settings().vault_encryption_key == SecretStr(" 00123456 ")

    def test_the_file_vault_does_without(self) -> None:
        assert load_settings(vault_backend="file").vault_encryption_key is None


class TestLocations:
    @pytest.mark.parametrize(
        ("field", "parts"),
        [
            ("repository_sqlite_path", {"workflows", "history", "agentensor"}),
            ("chatkit_sqlite_path", {"chatkit"}),
            ("sqlite_path", {"checkpoints", "snapshots"}),
            ("graph_store_sqlite_path", {"graph_store"}),
            ("vault_local_path", {"vault"}),
            ("auth_service_token_db_path", {"tokens"}),
        ],
    )
    def test_a_path_of_its_own_is_a_file_of_its_own(
        self, clean_room: Path, field: str, parts: set[str]
    ) -> None:
        settings = load_settings(**{field: clean_room / "own.sqlite"})
        own = Location("sqlite", clean_room / "own.sqlite")
        assert {part for part in Subsystem if settings.location(part) == own} == parts

    def test_all_in_memory_parts_share_one_database(self) -> None:
        settings = load_settings(
            repository_backend="inmemory",
            vault_backend="inmemory",
            auth_service_token_backend="inmemory",
            auth_service_token_db_path="ignored.sqlite",
        )
        memory = {part for part in Subsystem if settings.location(part).in_memory}
        assert memory == {"workflows", "history", "agentensor", "vault", "tokens"}
        assert str(settings.location(Subsystem.VAULT)) == "SQLite in memory"

    def test_the_common_database_in_memory(self) -> None:
        settings = load_settings(database_path=":memory:")
        assert {settings.location(part) for part in Subsystem} == {Location("sqlite")}

    def test_paths_have_one_rule(self, clean_room: Path) -> None:
        home = clean_room / "home"
        settings = load_settings(
            database_path="data/../app.sqlite",
            graph_store_sqlite_path="~/graph.sqlite",
            chatkit_storage_path="~/uploads",
            sql_override_dir="sql",
        )
        assert settings.database_path == clean_room / "app.sqlite"
        assert settings.graph_store_sqlite_path == home / "graph.sqlite"
        assert settings.chatkit_storage_path == home / "uploads"
        assert settings.sql_override_dir == clean_room / "sql"

    def test_two_spellings_of_one_file_are_one_location(self, clean_room: Path) -> None:
        (clean_room / "real").mkdir()
        (clean_room / "link").symlink_to(clean_room / "real")
        settings = load_settings(database_path="real/a.sqlite", sqlite_path="link/a.sqlite")
        assert len({settings.location(part) for part in Subsystem}) == 1

    def test_a_relative_graph_store_path_only_matters_to_sqlite(self) -> None:
        assert load_settings(
            graph_store_backend="postgres", graph_store_sqlite_path="g.sqlite", postgres_dsn=DSN
        )


class TestSecretsStaySecret:
    def test_in_every_way_to_show_settings(self) -> None:
        settings = load_settings(
            postgres_dsn=DSN,
            postgres_migration_dsn="host=db password=hunter2",
            vault_encryption_key="hunter2",
        )
        shown = [repr(settings), str(settings), settings.model_dump_json(), repr(vars(settings))]
        shown += [repr(settings.explain()), repr(Location("postgres", dsn=settings.postgres_dsn))]
        assert "hunter2" not in "".join(shown)
        assert origin(settings, "ORCHEO_VAULT_ENCRYPTION_KEY").value == "***"
        assert origin(settings, "ORCHEO_POSTGRES_MIGRATION_DSN").value == "host=db password=***"
        assert origin(settings, "ORCHEO_POSTGRES_DSN").value == mask_dsn(DSN)

    @pytest.mark.parametrize("where", ["argument", "environment", ".env"])
    def test_in_errors_and_tracebacks(
        self, monkeypatch: pytest.MonkeyPatch, clean_room: Path, where: str
    ) -> None:
        # One wrong value of each kind, so that secrets are both what is wrong and what stands near.
        values = {
            "vault_encryption_key": "hunter2",
            "postgres_dsn": "mysql://app:hunter2@db/app",
            "database_path": "postgresql://app:hunter2@db/app",
            "repository_backend": "host=db password=hunter2",
        }
        arguments = values if where == "argument" else {}
        if where == "environment":
            for name, value in values.items():
                monkeypatch.setenv(f"ORCHEO_{name.upper()}", value)
        elif where == ".env":
            lines = [f"ORCHEO_{name.upper()}={value}" for name, value in values.items()]
            (clean_room / ".env").write_text("\n".join(lines))
        with pytest.raises(ConfigError) as caught:
            load_settings(**arguments)
        error = caught.value
        assert "3 settings can't be used" in str(error)
        assert "hunter2" not in "".join(traceback.format_exception(error)) + repr(error)
        assert error.__cause__ is None
        assert error.__context__ is None

    def test_in_the_locals_of_a_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Error reporters send the variables of each frame along.
        monkeypatch.setenv("ORCHEO_POSTGRES_DSN", DSN)
        with pytest.raises(ConfigError) as caught:
            load_settings(vault_encryption_key="hunter2", postgres_pool_min_size=20)
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [frame for frame in frames.stack if "orcheo_sql" in frame.filename]
        assert ours
        assert "hunter2" not in repr([frame.locals for frame in ours])

    def test_in_a_model_of_the_client(self) -> None:
        values = {"postgres_dsn": DSN.replace("postgresql", "mysql")}
        with pytest.raises(ValueError, match="postgresql://") as caught:
            Settings.model_validate(values)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


class TestMaskDsn:
    @pytest.mark.parametrize(
        ("dsn", "masked"),
        [
            (DSN, "postgresql://app:***@db.example:5432/app"),
            ("postgresql://db/app", "postgresql://db/app"),
            ("postgresql://app@db/app", "postgresql://app@db/app"),
            ("postgresql:///app?host=/run/pg", "postgresql:///app?host=/run/pg"),
            ("postgresql://a:hunter2@[::1]:5,b:6/x", "postgresql://a:***@[::1]:5,b:6/x"),
            ("postgresql://a:hun@ter2@db/x", "postgresql://a:***@db/x"),
            ("postgresql://a:hun/ter2@db/x", "postgresql://a:***@db/x"),
            (
                "postgres://db/x?sslmode=require&password=hunter2",
                "postgres://db/x?sslmode=require&password=***",
            ),
            ("postgres://a@db/x?sslpassword=hun@ter2", "postgres://a@db/x?sslpassword=***"),
            ("host=db user=a password=hunter2", "host=db user=a password=***"),
            (r"password='hun \' ter2' host = db", "password=*** host=db"),
            # What can't be read for sure is hidden as a whole.
            ("postgresql://a:hun?ter2@db/x", "postgresql://***"),
            ("postgresql://a:hunter2/x", "postgresql://***"),
            ("postgresql://db/x?pass%77ord=hunter2", "postgresql://***"),
            ("postgresql://db/x?password=hun&ter2", "postgresql://***"),
            ("password=hunter 2 host=db", "***"),
            ("passwrd=hunter2 host=db", "***"),
            ("password='hunter2", "***"),
            ("hunter2", "***"),
            ("", "***"),
        ],
    )
    def test_forms(self, dsn: str, masked: str) -> None:
        assert mask_dsn(dsn) == masked

    @pytest.mark.parametrize(
        "form",
        [
            "postgresql://u:{}@h:5/db?sslmode=require",
            "postgresql://h/db?password={}",
            "postgresql://u@h/db?password={}&user=a",
            "host=h password={} user=a",
        ],
    )
    def test_no_part_of_a_badly_quoted_password_is_shown(self, form: str) -> None:
        rolls = random.Random(1)
        for _ in range(3_000):
            password = "Z" + "".join(rolls.choices("ZZZ9@:/?#&= '\\%[],\n", k=rolls.randint(0, 8)))
            dsn = form.format(password)
            assert "Z" not in mask_dsn(dsn), dsn

    def test_never_raises(self) -> None:
        values: list[Any] = [None, 5, b"x", "\0", "=", "://", "a://:@?&=", "'" * 50, "[" * 50]
        assert all(isinstance(mask_dsn(value), str) for value in values)


class TestPageAndCommand:
    @pytest.fixture
    def run(self) -> Any:
        app = typer.Typer()
        app.command("settings")(cli.settings)
        return lambda *arguments: CliRunner().invoke(app, arguments)

    def test_the_page_is_up_to_date(self) -> None:
        assert PAGE.read_text(encoding="utf-8") == render_settings_page(), (
            "run: python -m orcheo_sql.settings._settings_docs > docs/settings.md"
        )

    def test_the_page_does_not_depend_on_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORCHEO_CHATKIT_BACKEND", "mysql")
        assert PAGE.read_text(encoding="utf-8") == render_settings_page()

    def test_every_key_is_described(self) -> None:
        page = render_settings_page()
        for item in load_settings().explain():
            assert item.help
            assert f"| `{item.name}` |" in page

    def test_table(self, monkeypatch: pytest.MonkeyPatch, run: Any, clean_room: Path) -> None:
        monkeypatch.setenv("ORCHEO_POSTGRES_DSN", "postgresql://a:hunter2@[::1]:5432/app")
        monkeypatch.setenv("ORCHEO_POSTGRES_DNS", "hunter2")
        result = run()
        assert result.exit_code == 0
        assert "hunter2" not in result.output
        row = next(x for x in result.stdout.splitlines() if "ORCHEO_POSTGRES_DSN" in x)
        assert "postgresql://a:***@[::1]:5432/app" in row
        assert "environment" in row
        assert f"SQLite {clean_room}/home/.orcheo/orcheo.sqlite" in result.stdout
        assert "did you mean ORCHEO_POSTGRES_DSN?" in result.stderr

    def test_json(self, monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
        monkeypatch.setenv("ORCHEO_VAULT_ENCRYPTION_KEY", "hunter2")
        monkeypatch.setenv("ORCHEO_REPOSITORY_BACKEND", "inmemory")
        document = json.loads(run("--json").stdout)
        by_name = {item["name"]: item for item in document["settings"]}
        assert by_name["ORCHEO_VAULT_ENCRYPTION_KEY"]["value"] == "***"
        assert by_name["ORCHEO_VAULT_ENCRYPTION_KEY"]["secret"] is True
        assert by_name["ORCHEO_REPOSITORY_BACKEND"]["source"] == "environment"
        assert document["locations"]["history"] == "SQLite in memory"

    def test_a_wrong_setting(self, monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
        monkeypatch.setenv("ORCHEO_REPOSITORY_BACKEND", "mysql")
        result = run("--json")
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "ORCHEO_REPOSITORY_BACKEND must be" in result.stderr


# The keys of other parts of the product, none of which may look like one of ours misspelt.
OTHER_KEYS = """
    CHATKIT_PUBLIC_BASE_URL CHATKIT_WIDGET_TYPES CHATKIT_WIDGET_ACTION_TYPES CHATKIT_CDN_BASE_URL
    CHATKIT_RATE_LIMIT_IP_LIMIT CHATKIT_RATE_LIMIT_IP_INTERVAL CHATKIT_RATE_LIMIT_JWT_LIMIT
    CHATKIT_RATE_LIMIT_JWT_INTERVAL CHATKIT_RATE_LIMIT_PUBLISH_LIMIT
    CHATKIT_RATE_LIMIT_PUBLISH_INTERVAL CHATKIT_RATE_LIMIT_SESSION_LIMIT
    CHATKIT_RATE_LIMIT_SESSION_INTERVAL CHATKIT_TOKEN_SIGNING_KEY CHATKIT_TOKEN_ISSUER
    CHATKIT_TOKEN_AUDIENCE CHATKIT_TOKEN_TTL_SECONDS CHATKIT_TOKEN_ALGORITHM HOST PORT
    POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB VAULT_AWS_REGION VAULT_AWS_KMS_KEY_ID
    TRACING_EXPORTER TRACING_ENDPOINT TRACING_SERVICE_NAME TRACING_SAMPLE_RATIO TRACING_INSECURE
    TRACING_HIGH_TOKEN_THRESHOLD TRACING_PREVIEW_MAX_LENGTH CORS_ALLOW_ORIGINS
    UPDATE_CHECK_TIMEOUT_SECONDS UPDATE_CHECK_RETRIES CANVAS_VERSION ENV PLUGIN_DIR CACHE_DIR
    BACKEND_INTERNAL_URL MCP_STDIO_LOG AUTH_MODE AUTH_BOOTSTRAP_SERVICE_TOKEN
    AUTH_BOOTSTRAP_TOKEN_SCOPES AUTH_BOOTSTRAP_TOKEN_EXPIRES_AT AUTH_RATE_LIMIT_IP
    AUTH_RATE_LIMIT_IDENTITY AUTH_RATE_LIMIT_INTERVAL AUTH_JWT_SECRET AUTH_JWKS_URL AUTH_JWKS
    AUTH_JWKS_STATIC AUTH_JWKS_CACHE_TTL AUTH_JWKS_TIMEOUT AUTH_ALLOWED_ALGORITHMS AUTH_AUDIENCE
    AUTH_ISSUER AUTH_DEV_LOGIN_ENABLED AUTH_DEV_COOKIE_NAME AUTH_DEV_SCOPES
    AUTH_DEV_WORKSPACE_IDS AUTH_SERVICE_TOKENS
""".split()  # noqa: SIM905 - a list would take a line for each
