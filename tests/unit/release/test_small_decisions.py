"""Retention, environments, changed settings."""

from __future__ import annotations

import random
from typing import Any

import pytest
from release_fakes import SHOP, WEB, World, blueprint

from golive.errors import BlueprintError
from golive.release import dumps, environment
from golive.release.plan import _changed_settings
from golive.release.retention import expired, needed_artifacts
from golive.secret import Secret
from golive.state.records import Release

TOKEN = {"type": "secret"}


def releases(states: list[str]) -> list[Release]:
    return [Release(SHOP, n, state, "{}", {}, None, 0.0, "me") for n, state in enumerate(states, 1)]


def test_the_newest_are_kept_and_what_serves() -> None:
    some = releases(["ready", "ready", "failed", "ready", "pruned", "ready", "making"])
    assert [r.number for r in expired(some, 6, (), 2)] == [2, 1]
    assert [r.number for r in expired(some, 1, (), 1)] == [4, 2]
    assert [r.number for r in expired(some, 6, (2,), 2)] == [1]
    assert expired(some, 6, (), 10) == []
    assert expired([], None, (), 1) == []


@pytest.mark.parametrize("seed", range(30))
def test_what_expires_is_never_live_running_or_among_the_newest(seed: int) -> None:
    choose = random.Random(seed)
    some = releases(choose.choices(["ready", "failed", "pruned", "making"], [6, 1, 1, 1], k=choose.randrange(12)))
    live, running, keep = choose.randrange(1, 13), set(choose.sample(range(1, 13), 3)), choose.randrange(1, 6)
    gone = {r.number for r in expired(choose.sample(some, len(some)), live, running, keep)}
    ready = [r.number for r in some if r.state == "ready"]
    assert gone == set(ready[:-keep]) - running - {live}


def test_artifacts_that_are_needed(world: World) -> None:
    made = blueprint({"web": WEB})
    for number, state in ((1, "ready"), (2, "pruned"), (3, "making"), (4, "failed"), (5, "pruned")):
        world.release(made, number, artifact=f"a{number}")
        world.state.set_release(SHOP, number, state)
    world.state.add_generation(SHOP, "web", 5, 1, "p")
    world.host.building.add("new")
    assert needed_artifacts(world.host) == {"a1", "a3", "a5", "new"}


def test_declared_secrets_are_made_once(world: World) -> None:
    made = blueprint({"web": WEB}, env={"KEY": {**TOKEN, "generate": True}, "OTHER": TOKEN, "NAME": {"default": "x"}})
    world.state.remember_app(SHOP, "/src")
    assert environment.generate_missing(world.host, SHOP, made, "me") == ["KEY"]
    value = world.state.variables(SHOP)["KEY"]
    assert len(value.reveal()) >= 32
    assert environment.generate_missing(world.host, SHOP, made, "me") == []
    assert world.state.variables(SHOP) == {"KEY": value}
    assert [(e.action, e.detail) for e in world.state.audit_log()] == [("env.generate", {"name": "KEY"})]


def test_what_is_missing_is_all_said_at_once() -> None:
    made = blueprint({"web": WEB}, env={"A": TOKEN, "B": TOKEN})
    with pytest.raises(BlueprintError) as caught:
        environment.check(made, {})
    assert {p.path for p in caught.value.problems} == {"env.A", "env.B"}
    environment.check(made, {"A": Secret("x"), "B": Secret("y")})


def test_each_service_gets_its_own_environment() -> None:
    made = blueprint(
        {"web": {**WEB, "env": {"MODE": "web"}}, "api": {**WEB, "route": ["/api"]}},
        env={"KEY": {**TOKEN, "for": ["api"]}},
    )
    found = environment.environments(made, {"KEY": Secret("s")}, {"DATABASE_URL": Secret("u")}, 7)
    shown = {name: {k: v.reveal() for k, v in env.items()} for name, env in found.items()}
    own = {"GOLIVE_APP": "shop", "GOLIVE_ENVIRONMENT": "production", "GOLIVE_RELEASE": "7", "DATABASE_URL": "u"}
    assert shown["web"] == {**own, "GOLIVE_SERVICE": "web", "MODE": "web"}
    assert shown["api"] == {**own, "GOLIVE_SERVICE": "api", "KEY": "s"}


def test_names_whose_values_are_never_shown() -> None:
    made = blueprint(
        {"web": WEB},
        env={"KEY": TOKEN, "NAME": {"default": "x"}},
        resources={"db": {"engine": "postgres"}, "c": {"engine": "redis"}},
    )
    assert environment.secret_names(made) == {
        "KEY", "DATABASE_URL", "DATABASE_DIRECT_URL", "DB_PASSWORD", "PGPASSWORD", "REDIS_URL", "REDIS_PASSWORD"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b: 1 → 2"]),
        ({"a": 1}, {}, ["a: 1 → None"]),
        ({}, {"a": {"b": 1}}, ["a: None → {'b': 1}"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: [1] → [1, 2]"]),
        ({"a": 1, "b": 2}, {"b": 3, "a": 2}, ["a: 1 → 2", "b: 2 → 3"]),
    ],
)
def test_changed_settings_are_told_by_their_path(before: Any, after: Any, lines: list[str]) -> None:
    assert _changed_settings(before, after) == lines


def test_a_url_given_in_parts_is_composed_and_that_is_said() -> None:
    external = {"db": {"engine": "postgres", "url_from": "DATABASE_URL"}}
    made = blueprint({"web": WEB}, env={"DATABASE_URL": TOKEN}, resources=external)
    parts = {"DB_HOST": "db.example.com", "DB_USER": "u", "DB_PASSWORD": "p@ss", "DB_NAME": "d"}
    values, said = environment.with_urls(made, {name: Secret(text) for name, text in parts.items()})
    assert values["DATABASE_URL"] == Secret("postgresql://u:p%40ss@db.example.com:5432/d?sslmode=require")
    assert said == ["DATABASE_URL composed from DB_HOST, DB_USER, DB_PASSWORD, DB_NAME; sslmode=require added"]
    whole = {"DATABASE_URL": Secret("postgresql://u@db.example.com/d")}
    assert environment.with_urls(made, whole) == (whole, ["sslmode=require added to DATABASE_URL"])
    assert environment.with_urls(made, {}) == ({}, [])


def test_a_secret_for_all_previews_is_not_made_again_for_one(world: World) -> None:
    made = blueprint({"web": WEB}, env={"KEY": {**TOKEN, "generate": True}})
    preview = SHOP._replace(environment="preview/a")
    world.state.remember_app(preview, "/src")
    world.state.set_variable(SHOP._replace(environment="preview"), "KEY", Secret("shared"), "me")
    assert environment.generate_missing(world.host, preview, made, "me") == []


def test_a_dump_is_due_a_day_after_the_last_whatever_the_clock_did() -> None:
    assert dumps.is_due(0.0, 1e9)
    assert not dumps.is_due(1e9, 1e9 + 3600)
    assert dumps.is_due(1e9, 1e9 + dumps.DAY)
    assert dumps.is_due(1e9 + dumps.DAY, 1e9)
