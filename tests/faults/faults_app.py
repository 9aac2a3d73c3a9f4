"""A deployment that is as it should be, as the daemon tells of it; faults change one thing."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from golive.blueprint.checkout import Checkout
from golive.blueprint.document import parse_document
from golive.blueprint.resolve import resolve
from golive.checks.app import App
from golive.errors import GoliveError

TOML = """
name = "tea"

[services.api]
kind = "web"
source = "api"
command = "python -m tea"
route = "/api"
health = "/api/health"
rate_limit = "100/min"
limits = { memory = "256MB" }
build = { builder = "python", python = "3.13", dependencies = "requirements.txt" }

[services.box]
kind = "web"
source = "box"
route = "/box"
health = "/box/health"
build = { dockerfile = "Dockerfile" }

[resources]
db = "postgres:17"
cache = "redis"

[env]
ENVIRONMENT = "production"
DEBUG = false
SENTRY_DSN = { type = "secret" }
JWT_SECRET = { type = "secret" }
OPENAI_API_KEY = { type = "secret", for = ["api"] }
SITE_URL = { type = "url", default = "https://tea.test" }

[migrations]
tool = "sql"
source = "migrations"
resource = "db"
"""
DAY = 86400.0


def variable(name: str, value: str | None, kind: str = "string", **given: Any) -> dict[str, Any]:
    plain = {"origin": "set", "declared": True, "read": None, "set_at": time.time() - 20 * DAY, "for": []}
    return {"name": name, "value": value, "type": kind, **plain, **given}


def instance(**given: Any) -> dict[str, Any]:
    return {"state": "ready", "reason": "", "restarts": 0, "memory": 60_000_000, **given}


def answer(status: int | None = 200, **given: Any) -> dict[str, Any]:
    return {"status": status, "text": "{}" if status else "no answer in 5 s", "after": 0.2, **given}


def outage() -> dict[str, Any]:
    """What a copy of an app says that needs its database, and does without its cache."""

    def one(store: str, engine: str, during: int) -> dict[str, Any]:
        live = {"path": "/live", "status": 200, "text": "{}"}
        said = {"during": answer(during), "live": live, "ended": "", "back": answer()}
        return {"resource": store, "engine": engine, "services": {"api": said}}

    services = {"api": {"path": "/api/health", "before": {"status": 200, "text": "{}"}}}
    return {
        "services": services,
        "outages": [one("db", "postgres", 503), one("cache", "redis", 200)],
        "left_out": {"box": "it runs in a container"},
    }


def drill(name: str, engine: str) -> dict[str, Any]:
    proof = {"seconds": 2.0, "tables": 3, "rows": 40, "checks": ["checksums: every page is right"]}
    backup = {"id": "20270101T020000Z", "engine": engine, "data": 50_000_000, "drill": proof}
    return {"name": name, "backup": backup}


def facts() -> dict[str, Any]:
    now = time.time()
    services = {
        name: {"kind": "web", "instances": [instance()], "wanted": 1, "suspended_since": None}
        for name in ("api", "box")
    }
    stores = {"db": {"engine": "postgres", "version": "17.6"}, "cache": {"engine": "redis", "version": "7.0"}}
    backup = {"id": "20270101T020000", "status": "proven", "ended": now - 3600, "why": "", "drill": {"at": now - 3000}}
    database = {"server": {"version": "17.6", "max_connections": 100}, "connections": {"idle": 4, "active": 1}}
    return {
        "status": {"apps": [{"release": 3, "services": services, "resources": stores}]},
        "env": {
            "variables": [
                variable("ENVIRONMENT", "production", origin="default"),
                variable("DEBUG", "false", "bool", origin="default"),
                variable("SENTRY_DSN", "••••••", "secret"),
                variable("JWT_SECRET", "••••••", "secret"),
                variable("OPENAI_API_KEY", "••••••", "secret"),
                variable("SITE_URL", "https://tea.test", "url", origin="default"),
            ]
        },
        "values": {
            "values": {
                "SENTRY_DSN": "https://5f1d2a@o1.ingest.test/7",
                "JWT_SECRET": "Zk3v9Qw7LpX2sR8tYbN4mC6hJ1dF5gA0eUiOq+Ty",
                "OPENAI_API_KEY": "sk-live-8fK2mQ9xWz4LrT7v",
            }
        },
        "releases": {
            "releases": [
                {"release": 3, "state": "live", "created_at": now - 2 * DAY, "artifacts": {"api": "ab12" * 8}},
                {"release": 2, "state": "ready", "created_at": now - 9 * DAY, "artifacts": {}},
            ]
        },
        "deployments": {
            "deployments": [
                {
                    "id": 7,
                    "kind": "deploy",
                    "state": "done",
                    "error": None,
                    "steps": [{"name": "verify", "state": "done", "detail": "200 requests, 0 failed"}],
                }
            ]
        },
        "migrations": {
            "pending": [],
            "stop": None,
            "lint": None,
            "migrations": [{"name": "001_tea.sql", "state": "applied"}],
        },
        "insight": {
            "resources": [
                {"name": "db", "engine": "postgres", "findings": [], "facts": database},
                {"name": "cache", "engine": "redis", "findings": [], "facts": {"version": "7.0", "up": 9000.0}},
            ]
        },
        "backups": {
            "key_kept": True,
            "databases": [
                {
                    "name": "db",
                    "to": "s3://tea/backups",
                    "schedule": "0 2 * * *",
                    "own_disk": False,
                    "trouble": "",
                    "receiving": {"status": "ready"},
                    "backups": [backup],
                }
            ],
        },
        "secrets": [{"type": "done", "findings": [], "stops": 0}],
        "logs": [{"level": "info", "source": "api.0", "text": f"request {n}", "time": None} for n in range(20)],
        "access": [{"text": json.dumps({"service": "tea/production/api", "user_agent": "UptimeRobot/2.0"})}],
        "outage": outage(),
        "drills": [drill("db", "postgres"), drill("cache", "redis")],
        "parts": ((), 2.0),
        "audit": {"entries": [{"at": now, "actor": "ann@desk", "action": "deploy"}]},
        "machine": {"disk_free": 60e9, "disk_total": 100e9, "memory_free": 4e9, "memory_total": 8e9},
    }


class Deployment:
    """What faults change: the file, the facts, the checkout's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.toml = TOML
        self.facts = copy.deepcopy(facts())
        self.files = {
            "api/requirements.txt": "fastapi==0.118.0\n",
            "api/tests/test_tea.py": "",
            "box/Dockerfile": "FROM python:3.13-slim\n",
            "migrations/001_tea.sql": "CREATE TABLE tea (id int);",
            ".git/HEAD": "ref: refs/heads/main\n",
            ".github/workflows/ci.yml": "on: push\njobs: {audit: {steps: [{run: pip-audit}]}}\n",
        }
        self.silent: set[str] = set()

    def app(self) -> App:
        for name, text in self.files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        (self.folder / "golive.toml").write_text(self.toml)
        blueprint = resolve(parse_document(self.toml), Checkout(self.folder), "production").blueprint
        return App("tea", "production", self.ask, blueprint, site=None, checkout=self.folder)

    def ask(self, name: str) -> Any:
        if name in self.silent:
            raise GoliveError("no golive daemon answers")
        return self.facts[name]

    # What faults do

    def swap(self, old: str, new: str) -> None:
        assert old in self.toml
        self.toml = self.toml.replace(old, new)

    def row(self, name: str, **given: Any) -> None:
        next(row for row in self.facts["env"]["variables"] if row["name"] == name).update(given)

    @property
    def live(self) -> dict[str, Any]:
        found: dict[str, Any] = self.facts["status"]["apps"][0]
        return found

    @property
    def backup(self) -> dict[str, Any]:
        found: dict[str, Any] = self.facts["backups"]["databases"][0]
        return found

    def outage(self, store: str) -> dict[str, Any]:
        """What the API said while that store was gone."""
        one = next(each for each in self.facts["outage"]["outages"] if each["resource"] == store)
        found: dict[str, Any] = one["services"]["api"]
        return found

    def drill(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(each for each in self.facts["drills"] if each["name"] == name)
        return found

    def store(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.facts["insight"]["resources"] if one["name"] == name)
        return found


Plant = Callable[[Deployment], Any]
