from __future__ import annotations

from typing import Literal

import pytest

from golive.blueprint.models import Resource
from golive.data import external_variables
from golive.data.external import explain
from golive.data.urls import compose, local, parse, pooled_by_name, private, secured
from golive.errors import ResourceFailed
from golive.secret import Secret

POSTGRES = Resource(engine="postgres", url_from="DATABASE_URL")
REDIS = Resource(engine="redis", url_from="REDIS_URL")

Engine = Literal["postgres", "redis"]


def variables(resource: Resource, url: str) -> dict[str, str]:
    found = external_variables(resource, Secret(url))
    return {part: value.reveal() if isinstance(value, Secret) else value for part, value in found.items()}


def test_a_url_is_taken_apart() -> None:
    assert variables(POSTGRES, "postgres://me:p%40ss@db.example.com:6543/app?application_name=x") == {
        "url": "postgresql://me:p%40ss@db.example.com:6543/app?application_name=x&sslmode=require",
        "host": "db.example.com",
        "port": "6543",
        "name": "app",
        "user": "me",
        "password": "p@ss",
    }
    assert variables(REDIS, "rediss://:word@cache.example.com/2") == {
        "url": "rediss://:word@cache.example.com:6379/2",
        "host": "cache.example.com",
        "port": "6379",
        "name": "2",
        "user": "",
        "password": "word",
    }


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("postgresql+asyncpg://me:x@localhost/app", "postgresql://me:x@localhost:5432/app"),
        ("postgresql://me:x@[2001:db8::1]:5433/app", "postgresql://me:x@[2001:db8::1]:5433/app?sslmode=require"),
        ("postgresql://me:x@/app?host=/run/postgresql", "postgresql://me:x@%2Frun%2Fpostgresql:5432/app"),
        ("  postgresql://me:x@127.0.0.1/app\n", "postgresql://me:x@127.0.0.1:5432/app"),
        ("postgresql://me:x@db.example.com/app?sslmode=verify-full", None),
        ("postgresql://me:x@10.0.0.5/app?sslmode=disable", "postgresql://me:x@10.0.0.5:5432/app?sslmode=disable"),
    ],
)
def test_every_spelling_ends_in_one_that_is_understood_everywhere(url: str, parsed: str | None) -> None:
    assert variables(POSTGRES, url)["url"] == (parsed or url.replace("example.com/", "example.com:5432/"))


@pytest.mark.parametrize(
    ("engine", "url", "why"),
    [
        ("postgres", "mysql://me:hunter22@h/app", "begins with mysql://"),
        ("postgres", "db.example.com/app", "has no scheme"),
        ("postgres", "postgresql://me:hunter22@/app", "no host"),
        ("postgres", "postgresql://h/app", "no user"),
        ("postgres", "postgresql://me:hunter22@h", "no database"),
        ("postgres", "postgresql://me:hunter22@h:port/app", "port"),
        ("redis", "redis://:hunter22@h/name", "database number"),
        ("redis", "redis://:hunter22@h/²", "database number"),
        ("redis", "postgresql://me:hunter22@h/app", "begins with postgresql://"),
    ],
)
def test_a_wrong_url_is_explained_and_not_shown(engine: Engine, url: str, why: str) -> None:
    with pytest.raises(ResourceFailed) as caught:
        parse(engine, Secret(url), "DATABASE_URL")

    error = caught.value
    assert why in str(error.why)
    assert "hunter22" not in f"{error.what} {error.why} {error.hint} {error.log}"
    assert error.where == "DATABASE_URL"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        (POSTGRES, "postgresql://me:hunter22@db.example.com/app?sslmode=disable"),
        (POSTGRES, "postgresql://me:hunter22@8.8.8.8/app?sslmode=prefer"),
        (REDIS, "redis://:hunter22@cache.example.com:6379"),
        (REDIS, "redis://:hunter22@[2001:4860::1]:6379"),
    ],
)
def test_no_password_goes_unencrypted_over_a_public_network(resource: Resource, url: str) -> None:
    with pytest.raises(ResourceFailed, match="unencrypted") as caught:
        external_variables(resource, Secret(url))

    assert "hunter22" not in str(caught.value.to_json())


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1", "redis://10.1.2.3:6380/1", "redis://cache:6379", "redis://a.internal"]
)
def test_plain_redis_is_fine_at_home(url: str) -> None:
    assert variables(REDIS, url)["url"].startswith("redis://")


def test_hosts_are_told_apart() -> None:
    assert [local(host) for host in ("/run", "localhost", "127.8.0.1", "::1", "10.0.0.1", "db.example.com")] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]
    assert [private(host) for host in ("10.0.0.1", "fd00::1", "redis", "a.internal", "1.1.1.1", "a.example.com")] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("url", "pooled"),
    [
        ("postgresql://me:x@ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech/db", True),
        ("postgresql://me:x@ep-cool-darkness-123456.us-east-2.aws.neon.tech/db", False),
        ("postgresql://me:x@aws-0-eu-central-1.pooler.supabase.com:6543/postgres", True),
        ("postgresql://me:x@db.abc.supabase.co:5432/postgres", False),
        ("postgresql://me:x@10.0.0.5:6432/app", True),
        ("postgresql://me:x@db.example.com/app?pgbouncer=true", True),
    ],
)
def test_pooled_urls_are_known_by_their_names(url: str, pooled: bool) -> None:
    assert pooled_by_name(secured(parse("postgres", Secret(url), "X"), "X")) is pooled


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('FATAL:  password authentication failed for user "me" hunter22', "the user or password is wrong"),
        ("server does not support SSL, but SSL was required", "TLS is demanded and the server has none"),
        ('FATAL:  database "app" does not exist', "there is no such database or role"),
        ("[Errno 111] Connect call failed: Connection refused", "nothing listens there"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "the user or password is wrong"),
        ("something new", "something new"),
    ],
)
def test_a_failed_connection_is_explained_without_secrets(said: str, why: str) -> None:
    target = parse("postgres", Secret("postgresql://me:hunter22@db.example.com/app"), "DATABASE_URL")

    error = explain(target, "DATABASE_URL", OSError(said))

    assert error.why == why
    assert error.hint
    assert "hunter22" not in str(error.to_json())
    assert "db.example.com:5432" in error.what


def test_a_url_is_composed_of_its_parts_with_every_letter_quoted() -> None:
    parts: dict[str, Secret | str] = {"host": "localhost", "user": "a b", "password": Secret("p@:/#%?é"), "name": "d/x"}
    target = compose(parts, "DATABASE_URL")
    assert target.url.reveal() == "postgresql://a%20b:p%40%3A%2F%23%25%3F%C3%A9@localhost:5432/d%2Fx"
    assert parse("postgres", target.url, "DATABASE_URL") == target


@pytest.mark.parametrize(
    ("host", "more", "url"),
    [
        ("db.example.com", {}, "postgresql://u@db.example.com:5432/d?sslmode=require"),
        ("db.example.com", {"sslmode": "verify-full"}, "postgresql://u@db.example.com:5432/d?sslmode=verify-full"),
        ("db", {"sslmode": "disable", "port": "6543"}, "postgresql://u@db:6543/d?sslmode=disable"),
        ("::1", {}, "postgresql://u@[::1]:5432/d"),
        ("[2001:db8::1]", {}, "postgresql://u@[2001:db8::1]:5432/d?sslmode=require"),
        ("/run/postgresql", {}, "postgresql://u@%2Frun%2Fpostgresql:5432/d"),
    ],
)
def test_a_composed_url_demands_tls_of_another_machine(host: str, more: dict[str, str], url: str) -> None:
    assert compose({"host": host, "user": "u", "name": "d", **more}, "DATABASE_URL").url.reveal() == url


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"host": "db:5433"}, "not a name or an address alone"),
        ({"host": "u@h"}, "not a name or an address alone"),
        ({"host": "a b"}, "not a name or an address alone"),
        ({"host": "h", "port": "x"}, "not a number from 1"),
        ({"host": "h", "port": "70000"}, "not a number from 1"),
        ({"host": "db.example.com", "sslmode": "disable"}, "not on this machine"),
    ],
)
def test_parts_that_make_no_url(parts: dict[str, str], why: str) -> None:
    with pytest.raises(ResourceFailed) as caught:
        compose({"user": "u", "name": "d", **parts}, "DATABASE_URL")
    assert why in str(caught.value.why)
