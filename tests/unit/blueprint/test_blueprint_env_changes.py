"""Values beside each other, and the declarations as the text of a .env file."""

from __future__ import annotations

from typing import Any

from golive.blueprint.env_changes import compare, faults, with_defaults
from golive.blueprint.env_example import example_text, values_text
from golive.blueprint.models import Blueprint

ENV: dict[str, Any] = {
    "KEY": {"type": "secret", "for": ["web"], "description": "Signs things."},
    "SIZE": {"type": "int", "default": 3},
    "MODE": {"type": "enum", "values": ["a", "b"]},
    "SITE": {"type": "url", "required": False, "example": "https://example.com", "build": True},
    "MADE": {"type": "secret", "generate": True},
}


def blueprint(env: dict[str, Any], resources: dict[str, Any] | None = None) -> Blueprint:
    services = {"web": {"kind": "web", "command": "x"}}
    return Blueprint.model_validate({"name": "a", "services": services, "env": env, "resources": resources or {}})


def test_what_a_file_would_change() -> None:
    made = blueprint(ENV, {"db": {"engine": "postgres"}})
    before = with_defaults(made, {"KEY": "k", "MODE": "a", "GONE": "x"})
    after = {"KEY": "k", "SIZE": "4", "SITE": "https://x", "NOPE": "1", "DATABASE_URL": "x", "PORT": "1", "MADE": ""}
    found = {c.name: (c.state, c.declared, c.kept_out) for c in compare(made, before, after)}
    assert found == {
        "KEY": ("unchanged", True, ""),
        "SIZE": ("changed", True, ""),
        "SITE": ("added", True, ""),
        "NOPE": ("added", False, ""),
        "DATABASE_URL": ("added", False, "given by the resource db"),
        "PORT": ("added", False, "given by golive"),
        "MADE": ("added", True, "empty"),
    }
    assert [c.name for c in compare(made, before, after, absent=True) if c.state == "absent"] == ["GONE", "MODE"]


def test_a_value_that_equals_the_default_is_no_change() -> None:
    made = blueprint(ENV)
    assert [c.state for c in compare(made, with_defaults(made, {}), {"SIZE": "3"})] == ["unchanged"]


def test_the_url_of_another_ones_database_may_be_taken() -> None:
    env = {"DATABASE_URL": {"type": "secret"}}
    made = blueprint(env, {"db": {"engine": "postgres", "url_from": "DATABASE_URL"}})
    assert [c.kept_out for c in compare(made, {}, {"DATABASE_URL": "x", "DB_HOST": "h"})] == ["", ""]


def test_faults_of_values_are_all_told_and_show_none() -> None:
    found = list(faults(blueprint(ENV), {"SIZE": "canary", "MODES": "a", "SITE": "canary", "KEY": "anything"}))
    assert {p.path for p in found} == {"env.SIZE", "env.MODES", "env.SITE"}
    assert "did you mean `MODE`?" in str(found)
    assert "canary" not in str(found)
    assert list(faults(None, {"SIZE": "x"})) == []


def test_the_example_says_what_each_variable_is() -> None:
    text = example_text(blueprint(ENV, {"cache": {"engine": "redis"}}), lambda value: value)
    assert text == (
        "# Written by `golive env export --example` from golive.toml; change that, and write it again.\n\n"
        "# Signs things.\n# secret, required, for web\nKEY=\n\n"
        "# int, this is the default\n# SIZE=3\n\n"
        "# enum: a | b, required\nMODE=a\n\n"
        "# url, optional, also given to the build\n# SITE=https://example.com\n\n"
        "# secret, made by golive\n# MADE=\n\n"
        "# Given by golive for the resource `cache`; needed only where the app runs without golive.\n"
        "# REDIS_URL=redis://localhost:6379/0\n"
    )


def test_a_file_with_values_keeps_a_place_for_the_secrets_it_lacks() -> None:
    text = values_text(blueprint(ENV), {"SIZE": "9", "OTHER": "x"}, "title", lambda value: f"<{value}>")
    assert "# KEY=\n" in text
    assert "\nSIZE=<9>\n" in text
    assert text.endswith("# Not declared in golive.toml\nOTHER=<x>\n")
    assert "MODE" not in text
