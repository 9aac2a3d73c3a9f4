"""What a variable's value must be, what is missing, and what each service gets."""

from __future__ import annotations

from typing import Any

import pytest

from golive.blueprint.acme import Acme
from golive.blueprint.env import (
    build_environment,
    check_environment,
    connection_variables,
    environment_for,
    fault_of,
    list_items,
    resource_variables,
)
from golive.blueprint.models import Blueprint, Variable
from golive.secret import Secret

CANARY = "canary-7f3a9c"


def blueprint(env: dict[str, Any] | None = None, resources: dict[str, Any] | None = None, api: Any = None) -> Blueprint:
    services = {"api": {"kind": "web", **(api or {})}, "job": {"kind": "worker"}, "site": {"kind": "static"}}
    return Blueprint.model_validate({"name": "a", "services": services, "env": env or {}, "resources": resources or {}})


def problems(values: dict[str, Any], env: dict[str, Any], resources: dict[str, Any] | None = None) -> list[str]:
    return [str(problem) for problem in check_environment(blueprint(env, resources), values)]


GOOD = [
    ("string", "anything\nat all"), ("string", ""), ("secret", "x"), ("int", "-42"), ("int", " 7 "), ("float", "1e3"),
    ("bool", "TRUE"), ("bool", "off"), ("url", "https://a.example/x?y"), ("url", "postgres://u:p@h:5432/d"),
    ("url", "redis://[::1]:6379"), ("email", "a+b@c.example"), ("json", '{"a": [1]}'), ("json", "null"),
    ("string[]", "a, b"), ("string[]", '["a,b"]'), ("int[]", "1,2"), ("int[]", "[1, 2]"), ("int[]", ""),
    ("url[]", "https://a.example,https://b.example"),
]  # fmt: skip
BAD = [
    ("int", "4.2"), ("int", "٤٢"), ("int", "9" * 40), ("float", "nan"), ("float", "inf"), ("float", "1,5"),
    ("bool", "maybe"), ("url", "example.com"), ("url", "https://"), ("url", "https://a b"), ("url", "https://a:99999"),
    ("url", "http://[x"), ("email", "a@b"), ("email", "a b@c.example"), ("json", "{"), ("json", "[" * 100_000),
    ("string", "a\0b"),    ("int[]", "1,x"), ("string[]", "[1"), ("url[]", "https://a.example,nope"),
    ("string[]", "[{}]"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), GOOD)
def test_good_values(kind, text):
    assert fault_of(Variable.model_validate({"type": kind}), text) is None


@pytest.mark.parametrize(("kind", "text"), BAD, ids=[f"{kind} {text[:12]!r}" for kind, text in BAD])
def test_bad_values(kind, text):
    fault = fault_of(Variable.model_validate({"type": kind}), text)
    assert fault


def test_enum_values():
    variable = Variable.model_validate({"type": "enum", "values": ["on", "off"]})
    assert fault_of(variable, "on") is None
    assert fault_of(variable, "On") == "must be one of on, off"


def test_lists():
    assert list_items(" a, b ,,c ") == ["a", "b", "c"]
    assert list_items('["a,b", 1]') == ["a,b", "1"]
    with pytest.raises(ValueError):
        list_items("[1, ")


def test_everything_wrong_is_said_at_once():
    env = {
        "KEY": {"type": "secret", "for": ["api"], "description": "From the console."},
        "PORT_COUNT": {"type": "int", "example": "4"},
        "MODE": {"type": "enum", "values": ["a", "b"]},
        "SITE": {"type": "url"},
        "EMPTY": {},
    }
    assert problems({"PORT_COUNT": CANARY, "MODE": CANARY, "SITE": Secret(CANARY), "EMPTY": ""}, env) == [
        "env.KEY: has no value and is required by api (From the console.)\n"
        "    hint: golive env set KEY (it asks for the value, which is kept encrypted)",
        "env.PORT_COUNT: is not an integer: such as 42\n    hint: golive env set PORT_COUNT 4",
        "env.MODE: must be one of a, b\n    hint: golive env set MODE a|b",
        "env.SITE: is not a URL: with a scheme and a host, such as https://example.com\n"
        "    hint: golive env set SITE …",
        "env.EMPTY: is empty and is required by api, job\n    hint: golive env set EMPTY …",
    ]


def test_no_problem_shows_a_value():
    kinds = ["int", "float", "bool", "url", "email", "json", "int[]", "url[]"]
    env = {f"V{n}": {"type": kind} for n, kind in enumerate(kinds)}
    found = problems({name: Secret(CANARY) for name in env}, env)
    assert len(found) == len(kinds)
    assert CANARY not in "\n".join(found)


@pytest.mark.parametrize(
    "variable",
    [{"required": False}, {"default": "x"}, {"type": "secret", "generate": True}, {"type": "int[]", "default": [1]}],
)
def test_what_may_be_missing(variable):
    assert problems({}, {"A": variable}) == []


def test_what_a_resource_injects_is_there():
    assert problems({}, {"DATABASE_URL": {"type": "url"}}, {"db": {"engine": "postgres"}}) == []
    assert problems({}, {"REDIS_URL": {"type": "url"}}, {"db": {"engine": "postgres"}}) != []


def test_an_external_resource_needs_its_url():
    env = {"DATABASE_URL": {"type": "secret", "required": False}}
    external = {"db": {"engine": "postgres", "url_from": "DATABASE_URL"}}
    (problem,) = problems({}, env, external)
    assert "env.DATABASE_URL: has no value" in problem
    assert problems({"DATABASE_URL": Secret("postgres://h/d")}, env, external) == []


def test_reserved_names_and_those_of_resources_are_not_set_by_hand():
    found = problems({"PORT": "80", "DATABASE_URL": Secret(CANARY)}, {}, {"db": {"engine": "postgres"}})
    assert "env.PORT: is given by golive and cannot be set" in found[0]
    assert "env.DATABASE_URL: is set by hand, and the resource `db` gives it too" in found[1]


def test_a_slip_is_recognised():
    found = problems({"OPENAI_KEY": "x"}, {"OPENAI_API_KEY": {"type": "secret"}})
    assert "did you mean `OPENAI_API_KEY`?" in found[1]


def test_names_of_resource_variables():
    resources = {
        "db": {"engine": "postgres"},
        "stats": {"engine": "postgres"},
        "cache": {"engine": "redis", "prefix": "HOT"},
        "queue": {"engine": "redis"},
        "my-locks": {"engine": "redis"},
    }
    names = resource_variables(blueprint(resources=resources))
    assert names["db"] == {
        "url": "DATABASE_URL", "host": "DB_HOST", "port": "DB_PORT",
        "name": "DB_NAME", "user": "DB_USER", "password": "DB_PASSWORD", "direct_url": "DATABASE_DIRECT_URL",
    }  # fmt: skip
    assert (names["stats"]["url"], names["stats"]["user"]) == ("STATS_URL", "STATS_USER")
    assert (names["cache"]["url"], names["queue"]["url"], names["my-locks"]["url"]) == (
        "HOT_URL",
        "REDIS_URL",
        "MY_LOCKS_URL",
    )
    assert set(names["queue"]) == {"url", "host", "port", "password"}


def test_the_first_database_also_speaks_libpq():
    described = blueprint(resources={"db": {"engine": "postgres"}, "other": {"engine": "postgres"}})
    parts = {"url": Secret("u"), "host": "h", "name": "n", "password": Secret("p")}
    assert connection_variables(described, "db", parts) == {
        "DATABASE_URL": Secret("u"), "DB_HOST": "h", "DB_NAME": "n", "DB_PASSWORD": Secret("p"),
        "PGHOST": "h", "PGDATABASE": "n", "PGPASSWORD": Secret("p"),
    }  # fmt: skip
    assert connection_variables(described, "other", parts) == {
        "OTHER_URL": Secret("u"), "OTHER_HOST": "h", "OTHER_NAME": "n", "OTHER_PASSWORD": Secret("p"),
    }  # fmt: skip


ENV = {
    "ORIGINS": {"type": "url[]", "default": ["https://a.example", "https://b.example"]},
    "DEBUG": {"type": "bool", "default": False},
    "LIMITS": {"type": "json", "default": {"a": 1}},
    "WORDS": {"type": "string[]", "default": ["a,b", "c"]},
    "KEY": {"type": "secret", "for": ["api"]},
    "LEVEL": {"default": "info"},
}


def test_the_environment_of_a_service():
    described = blueprint(ENV, api={"env": {"LEVEL": "debug", "MODE": "x"}})
    values = {"KEY": CANARY, "EXTRA": "1", "PORT": "1"}
    assert environment_for(described, "api", values, {"PORT": "9000", "DATABASE_URL": Secret("u")}) == {
        "ORIGINS": "https://a.example,https://b.example",
        "DEBUG": "false",
        "LIMITS": '{"a": 1}',
        "WORDS": '["a,b", "c"]',
        "LEVEL": "debug",
        "MODE": "x",
        "KEY": Secret(CANARY),
        "EXTRA": "1",
        "PORT": "9000",
        "DATABASE_URL": Secret("u"),
    }


def test_only_those_it_is_for_get_a_variable():
    values = {"KEY": Secret(CANARY), "KEY_PREVIOUS": Secret(CANARY), "LEVEL": "warn"}
    given = environment_for(blueprint(ENV), "job", values, {})
    assert given.keys() & values.keys() == {"LEVEL"}
    assert given["LEVEL"] == "warn"
    assert environment_for(blueprint(ENV), "api", values, {}).keys() >= {"KEY", "KEY_PREVIOUS"}


def test_what_gets_certificates_goes_to_no_service_that_does_not_declare_it() -> None:
    account = {"https://ca/dir": {"key_id": "kid", "secret_from": "HMAC"}}
    dns = {"server": "ns1.a.dev", "key": "k", "secret_from": "DNS_KEY"}
    made = blueprint({"HMAC": {"type": "secret"}})
    edge = made.edge.model_copy(update={"acme": Acme.model_validate({"accounts": account, "dns": dns})})
    values = {"HMAC": "1", "DNS_KEY": "2", "OTHER": "3"}
    assert set(environment_for(made.model_copy(update={"edge": edge}), "api", values, {})) == {"HMAC", "OTHER"}


def test_a_secret_never_prints():
    assert CANARY not in repr(environment_for(blueprint(ENV), "api", {"KEY": CANARY}, {}))


def test_builds_get_what_is_declared_for_them_and_no_secret():
    env = {
        "PUBLIC_URL": {"type": "url", "build": True},
        "VERSION": {"default": "1", "build": True, "for": ["api"]},
        "RUNTIME": {"default": "x"},
        "KEY": {"type": "secret"},
    }
    described = blueprint(env, api={"build": {"env": {"MODE": "release"}}})
    values = {"PUBLIC_URL": Secret("https://a.example"), "KEY": Secret(CANARY), "RUNTIME": "y"}
    assert build_environment(described, "api", values) == {
        "PUBLIC_URL": "https://a.example",
        "VERSION": "1",
        "MODE": "release",
    }
    assert build_environment(described, "site", values) == {"PUBLIC_URL": "https://a.example"}
