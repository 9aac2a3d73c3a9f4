"""Whether the pools of all instances fit into PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from release_fakes import WEB, WORKER, blueprint

from golive.release.connections import POOL, warnings
from golive.secret import Secret

DB: dict[str, Any] = {"db": {"engine": "postgres"}}


def said(
    services: dict[str, Any], environments: dict[str, dict[str, str]], resources: dict[str, Any] = DB
) -> list[str]:
    made = blueprint(services, resources=resources)
    secret = {name: {key: Secret(value) for key, value in env.items()} for name, env in environments.items()}
    return warnings(made, secret)


def api(most: int, **more: Any) -> dict[str, Any]:
    return {"api": {**WEB, "scale": {"min": 1, "max": most}, **more}}


def test_the_numbers_and_what_to_set() -> None:
    assert said(api(3), {"api": {"DB_POOL_MAX": "25"}}) == [
        "db: up to 150 connections while two releases overlap (api: DB_POOL_MAX 25 × 3 instances × 2); PostgreSQL "
        "gives 97 to the app (max_connections 100, 3 kept back) and refuses the rest. Set DB_POOL_MAX to 16 at most, "
        "or lower `scale.max`"
    ]
    assert said(api(3), {"api": {"DB_POOL_MAX": "16"}}) == []


@pytest.mark.parametrize(
    ("services", "environments", "warns"),
    [
        (api(1), {"api": {"DB_POOL_MAX": "48"}}, False),
        (api(1), {"api": {"DB_POOL_MAX": "49"}}, True),
        (api(1, overlap=False), {"api": {"DB_POOL_MAX": "97"}}, False),
        (api(1, overlap=False), {"api": {"DB_POOL_MAX": "98"}}, True),
        (api(9), {"api": {"DB_POOL_MAX": "many", "POOL": "900", "DATABASE_URL": "9"}}, False),
        (api(9), {"api": {"DB_POOL_MAX": "9" * 5000}}, False),
        (api(9), {}, False),
        ({**api(1), "work": {**WORKER, "scale": {"min": 2, "max": 2}}}, {
            "api": {"DB_POOL_SIZE": "20"}, "work": {"DB_POOL_SIZE": "20"}}, True),
        ({"site": {"kind": "static", "route": ["/"]}}, {"site": {"DB_POOL_MAX": "500"}}, False),
        ({"job": {"kind": "cron", "command": "x", "schedule": "@daily"}}, {"job": {"DB_POOL_MAX": "60"}}, False),
    ],
)  # fmt: skip
def test_only_what_does_not_fit_is_told(services: dict[str, Any], environments: Any, warns: bool) -> None:
    assert bool(said(services, environments)) is warns


def test_databases_of_others_and_several_are_not_judged() -> None:
    env = {"api": {"DB_POOL_MAX": "500"}}
    assert said(api(1), env, {"db": {"engine": "postgres", "url_from": "URL"}}) == []
    assert said(api(1), env, {**DB, "log": {"engine": "postgres"}}) == []
    assert said(api(1), env, {"c": {"engine": "redis"}}) == []


def test_what_fits_is_advised_for_each_variable() -> None:
    services = {**api(2), "work": {**WORKER}}
    (text,) = said(services, {"api": {"DB_POOL_MAX": "40"}, "work": {"DATABASE_POOL_SIZE": "20"}})
    assert "Set DATABASE_POOL_SIZE to 9 at most and DB_POOL_MAX to 19 at most" in text
    assert not said(services, {"api": {"DB_POOL_MAX": "19"}, "work": {"DATABASE_POOL_SIZE": "9"}})


@pytest.mark.parametrize(
    "name",
    [
        "DB_POOL_MAX", "DATABASE_POOL_SIZE", "DB_POOL_SIZE", "DATABASE_POOL", "DB_MAX_OPEN_CONNS", "DB_MAX_CONNECTIONS",
        "PGPOOL_MAX", "PG_POOL_SIZE", "SQLALCHEMY_POOL_SIZE", "DATABASE_CONNECTION_LIMIT",
    ],
)  # fmt: skip
def test_names_of_pools(name: str) -> None:
    assert POOL.fullmatch(name)
    assert not POOL.fullmatch(f"REDIS_{name}")
