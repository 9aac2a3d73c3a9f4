"""A database URL that is given in parts: which parts count, and what is said when some lack."""

from __future__ import annotations

from typing import Any

import pytest

from golive.blueprint.database_parts import parts_of, wanted_parts
from golive.blueprint.env import check_environment, scopes
from golive.blueprint.models import Blueprint

EXTERNAL = {"db": {"engine": "postgres", "url_from": "DATABASE_URL"}}
DB = {"DB_HOST": "db.example", "DB_USER": "u", "DB_NAME": "d"}


def blueprint(env: dict[str, Any], resources: dict[str, Any] | None = None) -> Blueprint:
    services = {"web": {"kind": "web", "command": "x"}}
    return Blueprint.model_validate({"name": "a", "services": services, "env": env, "resources": resources or {}})


@pytest.mark.parametrize(
    ("values", "given"),
    [
        (DB, {"host": "DB_HOST", "user": "DB_USER", "name": "DB_NAME"}),
        ({"PGHOST": "h", "PGUSER": "u", "PGDATABASE": "d", "PGPORT": "1"},
         {"host": "PGHOST", "user": "PGUSER", "name": "PGDATABASE", "port": "PGPORT"}),
        ({"DB_HOST": "half", "POSTGRES_HOST": "h", "POSTGRES_USER": "u", "POSTGRES_DB": "d"},
         {"host": "POSTGRES_HOST", "user": "POSTGRES_USER", "name": "POSTGRES_DB"}),
    ],
)  # fmt: skip
def test_the_first_whole_family_counts(values: dict[str, str], given: dict[str, str]) -> None:
    found = parts_of("DATABASE_URL", values)
    assert found
    assert (found.given, found.missing) == (given, ())


def test_another_url_has_parts_of_its_own_name() -> None:
    assert parts_of("REPORTS_URL", DB) is None
    found = parts_of("REPORTS_URL", {"REPORTS_HOST": "h", "REPORTS_USER": "u", "REPORTS_NAME": "d"})
    assert found
    assert found.missing == ()


def test_a_url_that_is_set_or_that_golive_gives_is_not_composed() -> None:
    env = {"DATABASE_URL": {"type": "secret"}}
    assert wanted_parts(blueprint(env, EXTERNAL), DB).keys() == {"DATABASE_URL"}
    assert wanted_parts(blueprint(env), DB).keys() == {"DATABASE_URL"}
    assert not wanted_parts(blueprint(env, EXTERNAL), DB | {"DATABASE_URL": "postgres://x"})
    assert not wanted_parts(blueprint(env, {"db": {"engine": "postgres"}}), DB)
    assert not wanted_parts(blueprint({}), DB)


def test_parts_stand_for_the_url_and_are_no_conflict() -> None:
    made = blueprint({"DATABASE_URL": {"type": "secret"}}, EXTERNAL)
    assert check_environment(made, DB) == []
    (problem,) = check_environment(made, {"DB_HOST": "db.example", "DB_USER": "u"})
    assert "of its parts there is DB_HOST, DB_USER, but DB_NAME has none" in problem.message
    assert "db.example" not in str(problem)
    beside = check_environment(made, DB | {"DATABASE_URL": "postgres://u@h/d"})
    assert {p.path for p in beside} == {"env.DB_HOST", "env.DB_USER", "env.DB_NAME"}


def test_scopes() -> None:
    assert scopes("production") == ("production",)
    assert scopes("preview/new-page") == ("preview", "preview/new-page")
