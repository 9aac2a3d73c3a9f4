"""The example that design.md prints works as printed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from golive.blueprint.load import load
from golive.blueprint.models import Blueprint, ServiceKind

EXAMPLE = (Path(__file__).parent / "design_example.toml").read_text()

FILES = {
    "golive.toml": EXAMPLE,
    "frontend/public/index.html": "<h1>Threadr</h1>",
    "backend/requirements.txt": "fastapi==0.115.0\nuvicorn[standard]\n",
    "backend/src/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
}


def test_it_resolves(tree):
    blueprint = load(tree(FILES)).blueprint
    web, api = blueprint.services["web"], blueprint.services["api"]
    assert blueprint.domains == ("threadr.localhost",)
    assert (web.kind, web.route, web.build.builder) == (ServiceKind.STATIC, ("/",), "static")
    assert (api.kind, api.route, api.build.framework) == (ServiceKind.WEB, ("/api",), "fastapi")
    assert api.command == (
        "uvicorn src.main:app --host 127.0.0.1 --port $PORT"
        " --proxy-headers --forwarded-allow-ips 127.0.0.1 --no-server-header"
    )
    assert api.health.ready is not None and api.health.ready.path == "/readiness"
    assert api.health.live is not None and api.health.live.path == "/health"
    assert (api.scale.min, api.scale.max, api.scale.cpu) == (1, 3, 0.7)
    assert (api.rate_limit[0].limit.count, api.rate_limit[0].limit.seconds) == (5, 86400)
    assert blueprint.env["OPENAI_API_KEY"].services == ("api",)
    assert blueprint.release.drain == timedelta(minutes=2)


def test_every_value_says_where_it_came_from(tree):
    resolved = load(tree(FILES)).resolved
    origins = {path: str(origin) for path, _, origin in resolved.leaves()}
    assert origins["services.api.route"] == "golive.toml:8"
    assert origins["services.api.health.ready.path"] == "golive.toml:9"
    assert origins["services.api.rate_limit[1].limit"] == "golive.toml:11"
    assert origins["services.api.build.dependencies"] == "detected from backend/requirements.txt"
    assert origins["services.api.command"] == "detected from backend/src/main.py"
    assert origins["services.web.kind"] == "detected from frontend/public/index.html"
    assert origins["release.keep"] == "default"
    assert origins["domains"] == "default"


def test_it_survives_being_stored(tree):
    blueprint = load(tree(FILES)).blueprint
    stored = blueprint.model_dump_json(by_alias=True)
    assert Blueprint.model_validate_json(stored) == blueprint
