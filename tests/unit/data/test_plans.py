from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from golive.blueprint.models import Resource
from golive.data import Placement, kept_major, postgres_plan, redis_plan
from golive.data.place import GIB, MIB, memory_budget
from golive.data.redis_plan import Persistence
from golive.home import Home
from golive.system.machine import Machine

MACHINE = Machine(4, 8 * GIB, "linux", "x86_64", "glibc", (2, 36))
REDIS = Resource(engine="redis")


def megabytes(text: str) -> int:
    return int(text.removesuffix("MB"))


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (128 * MIB, {"shared_buffers": "32MB", "work_mem": "4MB", "maintenance_work_mem": "16MB"}),
        (GIB, {"shared_buffers": "256MB", "effective_cache_size": "768MB", "work_mem": "4MB", "max_wal_size": "512MB"}),
        (8 * GIB, {"shared_buffers": "2048MB", "work_mem": "30MB", "maintenance_work_mem": "512MB"}),
        (64 * GIB, {"shared_buffers": "16384MB", "work_mem": "64MB", "maintenance_work_mem": "1024MB"}),
    ],
)
def test_postgres_settings_follow_the_budget(memory: int, expected: dict[str, str]) -> None:
    settings = postgres_plan.postgres_settings(MACHINE, memory)

    assert expected.items() <= settings.items()
    assert megabytes(settings["shared_buffers"]) * MIB <= max(memory // 4, 32 * MIB)
    assert megabytes(settings["effective_cache_size"]) >= megabytes(settings["shared_buffers"])


def test_durability_and_quiet_logs_are_never_traded() -> None:
    settings = postgres_plan.postgres_settings(MACHINE, GIB)

    assert {settings[name] for name in ("fsync", "full_page_writes", "synchronous_commit")} == {"on"}
    assert settings["wal_level"] == "replica"
    assert settings["log_parameter_max_length"] == settings["log_parameter_max_length_on_error"] == "0"
    assert settings["pg_stat_statements.track_utility"] == "off"
    assert settings["jit"] == "off"


def test_what_macos_cannot_do_is_left_out() -> None:
    mac = Machine(8, 8 * GIB, "macos", "aarch64", "system")

    assert "effective_io_concurrency" not in postgres_plan.postgres_settings(mac, GIB)


def test_values_are_quoted_for_postgresql_conf() -> None:
    assert "unix_socket_directories = '/tmp/it''s'" in postgres_plan.configuration(
        {"unix_socket_directories": "/tmp/it's"}
    )


def test_postgres_is_reached_by_loopback_and_a_private_socket_only() -> None:
    settings = postgres_plan.access_settings(Path("/f"), Path("/s"), 20001)
    rules = [line.split() for line in postgres_plan.access_rules("my_app").splitlines() if line[:1] != "#" and line]

    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["unix_socket_permissions"] == "0700"
    assert [rule for rule in rules if "_golive" in rule and rule[0] != "local"] == []
    assert rules[-1] == ["host", "all", "all", "all", "reject"]
    assert not any(word in ("trust", "md5", "password") for rule in rules for word in rule)


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("threadr", "threadr"),
        ("my-app", "my_app"),
        ("postgres", "app_postgres"),
        ("pg-admin", "app_pg_admin"),
        ("_golive", "app__golive"),
        ("a" * 80, "a" * 59),
    ],
)
def test_an_app_gives_its_name_to_role_and_database(app: str, name: str) -> None:
    assert postgres_plan.identifier(app) == name
    assert len(postgres_plan.identifier(app)) <= 63


@pytest.mark.parametrize(
    ("major", "system", "locale"),
    [(15, "linux", "--lc-ctype=C.UTF-8"), (17, "linux", "--builtin-locale=C.UTF-8"), (16, "macos", "--no-locale")],
)
def test_text_is_ordered_without_the_c_library(major: int, system: str, locale: str) -> None:
    arguments = postgres_plan.initdb_arguments(major, system)

    assert {locale, "--data-checksums", "--auth-host=scram-sha-256", "--encoding=UTF8"} <= set(arguments)


def test_passwords_survive_the_url() -> None:
    assert postgres_plan.url("u", "p@s:s/#", 5432, "d") == "postgresql://u:p%40s%3As%2F%23@127.0.0.1:5432/d"
    assert redis_plan.url("p@s", 6379) == "redis://default:p%40s@127.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("wanted", "kept", "files", "start"),
    [
        ("aof", None, [], "aof"),
        ("rdb", None, [], "rdb"),
        ("aof", None, ["dump.rdb"], "rdb"),
        ("aof", None, ["dump.rdb", "appendonlydir"], "aof"),
        ("rdb", None, ["appendonly.aof"], "aof"),
        ("aof", "rdb", ["dump.rdb", "appendonlydir"], "rdb"),
        ("rdb", "aof", ["dump.rdb", "appendonlydir"], "aof"),
        ("none", "aof", ["appendonlydir"], "aof"),
        ("aof", "none", ["dump.rdb"], "none"),
    ],
)
def test_redis_starts_with_what_holds_the_data(
    wanted: Persistence, kept: Persistence | None, files: list[str], start: Persistence
) -> None:
    assert redis_plan.starts_with(wanted, kept, files) == start


def test_redis_settings_hold_limit_policy_and_persistence() -> None:
    lru = Resource(engine="redis", eviction="allkeys-lru")

    settings = redis_plan.redis_settings(lru, 64 * MIB, "aof")

    assert settings["maxmemory"] == str(64 * MIB)
    assert settings["maxmemory-policy"] == "allkeys-lru"
    assert (settings["appendonly"], settings["appendfsync"], settings["save"]) == ("yes", "everysec", "")
    assert redis_plan.redis_settings(REDIS, MIB, "none")["dbfilename"] != redis_plan.RDB_FILE
    assert redis_plan.redis_settings(REDIS, MIB, "rdb")["save"] == redis_plan.RDB_SAVES


def test_redis_conf_has_no_password_and_says_never_as_redis_does() -> None:
    digest = redis_plan.digest("secret-word")
    text = redis_plan.configuration(
        redis_plan.redis_settings(REDIS, MIB, "aof"), {"default": redis_plan.app_rules(digest, (7, 0))}
    )

    assert digest == hashlib.sha256(b"secret-word").hexdigest()
    assert "secret-word" not in text
    assert 'save ""\n' in text
    assert f"user default on #{digest} ~* &*" in text


def test_accounts_are_written_for_the_version_that_reads_them() -> None:
    assert "&*" not in redis_plan.app_rules("0", (6, 0))
    assert "+client|setname" in redis_plan.app_rules("0", (6, 2))
    assert "-client|kill" in redis_plan.app_rules("0", (7, 0))
    for version in ((6, 0), (6, 2), (7, 0), (8, 1)):
        rules = redis_plan.app_rules("0", version)
        assert rules.index("+@all") < rules.index("-@dangerous") < rules.index("+flushdb")
        assert "+flushall" not in rules


def test_neighbours_share_the_memory() -> None:
    assert memory_budget("postgres", MACHINE, 1) == 4 * GIB
    assert memory_budget("postgres", MACHINE, 4) == GIB
    assert memory_budget("redis", MACHINE, 2) == 256 * MIB
    assert memory_budget("postgres", Machine(1, GIB // 2, "linux", "x86_64", "glibc"), 9) == 128 * MIB
    assert memory_budget("redis", Machine(64, 1024 * GIB, "linux", "x86_64", "glibc"), 1) == GIB


def test_socket_paths_fit_whatever_the_home_is(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / ("deep" * 40)):
        place = Placement("a" * 60, "preview/" + "b" * 60, Home(root), 29999, None, MACHINE)
        sockets = place.sockets("postgres", "database")
        assert len(bytes(sockets / ".s.PGSQL.29999")) <= 100
        assert sockets != place.sockets("postgres", "other")


def test_the_version_that_wrote_the_data_is_known(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert kept_major(Resource(engine="postgres"), tmp_path) is None
    (tmp_path / "data/PG_VERSION").write_text("16\n")
    (tmp_path / "version").write_text("7.0.15\n")

    assert kept_major(Resource(engine="postgres"), tmp_path) == 16
    assert kept_major(REDIS, tmp_path) == 7
