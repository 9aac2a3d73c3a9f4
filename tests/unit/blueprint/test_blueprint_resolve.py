"""Short forms, overlays, defaults, and where every value came from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from golive.blueprint.load import load
from golive.blueprint.models import Blueprint, VariableType
from golive.blueprint.resolve import merge
from golive.blueprint.sugar import expand

FILES = {
    "site/index.html": "",
    "api/requirements.txt": "fastapi\nuvicorn\n",
    "api/main.py": 'from fastapi import FastAPI\n\napp = FastAPI()\n\n@app.get("/health")\ndef health(): ...\n',
    "api/migrations/001_first.sql": "",
    "jobs/x.py": "",
}


def resolved(tree: Any, text: str, environment: str = "production") -> tuple[Blueprint, dict[str, str]]:
    loaded = load(tree({**FILES, "golive.toml": text}), environment)
    return loaded.blueprint, {path: str(origin) for path, _, origin in loaded.resolved.leaves()}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"domains": "a.example"}, {"domains": ["a.example"]}),
        ({"services": {"a": {"route": "/x"}}}, {"services": {"a": {"route": ["/x"]}}}),
        ({"services": {"a": {"health": "/h"}}}, {"services": {"a": {"health": {"ready": {"path": "/h"}}}}}),
        (
            {"services": {"a": {"health": {"live": "/h", "ready": {"tcp": True}}}}},
            {"services": {"a": {"health": {"live": {"path": "/h"}, "ready": {"tcp": True}}}}},
        ),
        ({"services": {"a": {"scale": 3}}}, {"services": {"a": {"scale": {"min": 3, "max": 3}}}}),
        ({"services": {"a": {"scale": {"min": 2}}}}, {"services": {"a": {"scale": {"min": 2, "max": 2}}}}),
        ({"services": {"a": {"scale": True}}}, {"services": {"a": {"scale": True}}}),
        ({"services": {"a": {"rate_limit": "1/s"}}}, {"services": {"a": {"rate_limit": [{"limit": "1/s"}]}}}),
        (
            {"services": {"a": {"rate_limit": {"limit": "1/s"}}}},
            {"services": {"a": {"rate_limit": [{"limit": "1/s"}]}}},
        ),
        ({"resources": {"a": "redis"}}, {"resources": {"a": {"engine": "redis"}}}),
        ({"resources": {"a": "postgres:17"}}, {"resources": {"a": {"engine": "postgres", "version": 17}}}),
        ({"env": {"A": "x"}}, {"env": {"A": {"type": "string", "default": "x"}}}),
        ({"env": {"A": 1}}, {"env": {"A": {"type": "int", "default": 1}}}),
        ({"env": {"A": 1.5}}, {"env": {"A": {"type": "float", "default": 1.5}}}),
        ({"env": {"A": False}}, {"env": {"A": {"type": "bool", "default": False}}}),
        ({"env": {"A": ["x"]}}, {"env": {"A": {"type": "string[]", "default": ["x"]}}}),
        ({"env": {"A": [1]}}, {"env": {"A": {"type": "int[]", "default": [1]}}}),
        ({"env": {"A": {"for": "api"}}}, {"env": {"A": {"for": ["api"]}}}),
        ({"migrations": "db"}, {"migrations": {"source": "db"}}),
        ({"migrations": False}, {"migrations": False}),
        ({"services": 3, "env": [], "resources": {"x": 1}}, {"services": 3, "env": [], "resources": {"x": 1}}),
        ({"environments": {}}, {}),
    ],
)
def test_short_forms(short, long):
    assert expand(short) == long
    assert expand(long) == long


def test_merging_replaces_lists_and_merges_tables():
    assert merge({"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3]}, "b": {"z": 2}}) == {
        "a": {"x": 1, "y": [3]},
        "b": {"z": 2},
    }


def test_a_probe_of_another_kind_replaces_the_base():
    base = {"health": {"ready": {"path": "/x", "interval": "5s"}}}
    for kind in ({"tcp": True}, {"grpc": ""}, {"command": "true"}):
        assert merge(base, {"health": {"ready": kind}}) == {"health": {"ready": {"interval": "5s", **kind}}}


def test_a_command_is_replaced_and_the_rest_stays():
    base = {"source": "api", "command": "x", "output": "dist"}
    assert merge(base, {"command": "y"}) == {"source": "api", "command": "y", "output": "dist"}
    grpc = {"route": ["/demo.Greeter"]}
    assert merge({"grpc": grpc}, {"command": "y"}, ("services", "api")) == {"grpc": grpc, "command": "y"}


OVERLAY = """\
name = "a"
[services.api]
source = "api"
scale = 2
health = "/ready"
[resources.db]
engine = "postgres"
[env.LOG]
type = "enum"
values = ["debug", "info"]
default = "info"

[environments.preview]
domains = "preview.example"
[environments.preview.services.api]
scale = 1
health.ready = { tcp = true }
[environments."preview/big".services.api]
scale.max = 3
[environments.development.env.LOG]
default = "debug"
"""


def test_production_does_not_see_other_overlays(tree):
    blueprint, origins = resolved(tree, OVERLAY)
    assert blueprint.environment == "production"
    assert (blueprint.domains, blueprint.services["api"].scale.max) == (("a.localhost",), 2)
    assert origins["services.api.scale.max"] == "golive.toml:4"


def test_an_overlay_is_merged(tree):
    blueprint, origins = resolved(tree, OVERLAY, "preview/fix-login")
    api = blueprint.services["api"]
    assert (blueprint.environment, blueprint.domains) == ("preview/fix-login", ("preview.example",))
    assert (api.scale.min, api.scale.max) == (1, 1)
    assert api.health.ready is not None and (api.health.ready.tcp, api.health.ready.path) == (True, None)
    assert origins["domains"] == "environments.preview (golive.toml:14)"
    assert origins["services.api.scale.max"] == "environments.preview (golive.toml:16)"
    assert origins["services.api.health.ready.tcp"] == "environments.preview (golive.toml:17)"
    assert origins["services.api.health.ready.path"] == "default"
    assert origins["services.api.source"] == "golive.toml:3"


def test_a_branch_has_an_overlay_of_its_own_over_the_previews(tree):
    blueprint, origins = resolved(tree, OVERLAY, "preview/big")
    assert (blueprint.services["api"].scale.min, blueprint.services["api"].scale.max) == (1, 3)
    assert origins["services.api.scale.max"] == "environments.preview/big (golive.toml:19)"
    assert origins["services.api.scale.min"] == "environments.preview (golive.toml:16)"


def test_a_variable_can_differ(tree):
    blueprint, origins = resolved(tree, OVERLAY, "development")
    assert blueprint.env["LOG"].default == "debug"
    assert blueprint.env["LOG"].type is VariableType.ENUM
    assert origins["env.LOG.default"] == "environments.development (golive.toml:21)"


def test_a_bare_value_in_an_overlay_keeps_the_declared_type(tree):
    text = OVERLAY + '[environments.staging]\nenv.LOG = "debug"\nenv.NEW = 1\n'
    env = resolved(tree, text, "staging")[0].env
    assert (env["LOG"].type, env["LOG"].default) == (VariableType.ENUM, "debug")
    assert (env["NEW"].type, env["NEW"].default) == (VariableType.INT, 1)


def test_an_environment_nobody_wrote_about_is_the_base(tree):
    assert resolved(tree, OVERLAY, "staging")[0].services["api"].scale.max == 2


def test_every_leaf_has_an_origin(tree):
    _, origins = resolved(tree, OVERLAY)
    assert set(origins.values()) >= {"default", "detected from api/main.py", "golive.toml:1"}
    assert origins["services.api.command"] == "detected from api/main.py"
    assert origins["environment"] == "default"
    assert all(origins.values())


def test_migrations_are_found(tree):
    blueprint, origins = resolved(tree, OVERLAY)
    migrations = blueprint.migrations
    assert migrations is not None
    assert (migrations.tool, migrations.source, migrations.resource) == ("sql", "api/migrations", "db")
    assert migrations.lock_timeout == timedelta(milliseconds=50)
    assert origins["migrations.source"] == "detected from api/migrations/001_first.sql"
    assert origins["migrations.resource"] == "detected from the only PostgreSQL resource"


@pytest.mark.parametrize(
    "text",
    [
        'name = "a"\nmigrations = false\n[services.api]\nsource = "api"\n[resources]\ndb = "postgres"\n',
        'name = "a"\n[services.api]\nsource = "api"\n',
        'name = "a"\n[services.api]\nsource = "api"\n[resources]\ncache = "redis"\n',
    ],
    ids=["false", "no resource", "no postgres"],
)
def test_no_migrations(tree, text):
    assert resolved(tree, text)[0].migrations is None


def test_alembic_runs_in_the_service_it_lies_in(tree):
    tree({"api/alembic.ini": ""})
    text = 'name = "a"\nmigrations = "api"\n[services.api]\nsource = "api"\n[resources]\ndb = "postgres"\n'
    migrations = resolved(tree, text)[0].migrations
    assert migrations is not None
    assert (migrations.tool, migrations.service) == ("alembic", "api")


WEB_AND_API = 'name = "a"\n[services.web]\nsource = "site"\n[services.api]\nsource = "api"\n'


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ('name = "a"\n[services.api]\nsource = "api"\n', {"api": ("/",)}),
        (WEB_AND_API + 'route = "/api"\n', {"web": ("/",), "api": ("/api",)}),
        (WEB_AND_API + 'domains = "api.example"\n', {"web": ("/",), "api": ("/",)}),
        (
            WEB_AND_API + 'route = "/api"\n[services.job]\nsource = "jobs"\ncommand = "x"\nkind = "worker"\n',
            {"web": ("/",), "api": ("/api",), "job": ()},
        ),
    ],
    ids=["alone", "static beside", "own domain", "a worker needs none"],
)
def test_routes(tree, text, routes):
    blueprint, _ = resolved(tree, text)
    assert {name: service.route for name, service in blueprint.services.items()} == routes


def test_a_fixed_port_without_overlap_is_fine(tree):
    text = 'name = "a"\n[services.api]\nsource = "api"\nport = 9000\noverlap = false\ncommand = "./run"\n'
    assert resolved(tree, text)[0].services["api"].port == 9000


def test_values_are_typed(tree):
    text = (
        'name = "a"\n[services.api]\nsource = "api"\nlimits.memory = "512MB"\ntimeout = "1m30s"\n'
        'rate_limit = "10/30s"\nscale = { min = 1, max = 4, cpu = 0.5 }\n[release]\ndrain = 5\n'
    )
    api = resolved(tree, text)[0].services["api"]
    assert (api.limits.memory, api.timeout, api.scale.cpu) == (512_000_000, timedelta(seconds=90), 0.5)
    assert (api.rate_limit[0].limit.count, api.rate_limit[0].limit.seconds) == (10, 30)


def test_a_stored_blueprint_is_the_same(tree):
    blueprint, _ = resolved(tree, OVERLAY + "[environments.x.services.api]\nrate_limit = '7/30s'\ntimeout = 1.5\n", "x")
    assert Blueprint.model_validate_json(blueprint.model_dump_json(by_alias=True)) == blueprint


@pytest.mark.parametrize(
    ("service", "strips", "origin"),
    [
        ('source = "site"\nroute = "/docs"', True, "detected from site"),
        ('source = "site"\nroute = ["/", "/docs"]', True, "detected from site"),
        ('source = "site"\nroute = "/"', False, "default"),
        ('source = "site"\nroute = "/img"', False, "default"),
        ('source = "site"\nroute = "/about"', False, "default"),
        ('source = "site"\nroute = "/docs"\nstrip_prefix = false\nspa = true', False, "golive.toml:5"),
        ('source = "site"\nroute = "/docs"\nbuild = { command = "make", output = "out" }', True, "detected from site"),
    ],
)
def test_a_prefix_that_the_folder_lacks_is_what_the_folder_is_shown_under(tree, service, strips, origin):
    tree({"site/img/logo.svg": "", "site/about.html": ""})
    made, origins = resolved(tree, f'name = "a"\n[services.web]\n{service}\n')
    assert made.services["web"].strip_prefix is strips
    assert origins["services.web.strip_prefix"] == origin
