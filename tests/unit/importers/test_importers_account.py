"""Every key of every file is carried or listed, whatever the file says, and no secret's value is ever shown."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from golive.blueprint.positions import KeyPath, key_path
from golive.importers.files import IMPORTERS, import_text
from golive.importers.hush import holds_secret, is_own_secret, is_secret
from golive.importers.ledger import UNKNOWN, Ledger
from golive.importers.report import Imported

JSON_KINDS = ("vercel.json", "app.json", "render.yaml", "compose")
WORDS = (
    "services", "web", "build", "env", "image", "ports", "routes", "src", "dest", "source", "destination", "headers",
    "key", "value", "type", "name", "databases", "formation", "addons", "rewrites", "redirects", "command", "crons",
    "environment", "healthcheck", "test", "volumes", "deploy", "x-unknown", "projects", "environments", "envVars",
)  # fmt: skip


def leaves(value: Any, path: KeyPath = ()) -> list[str]:
    children = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    if not children:
        return [key_path(path)] if path else []
    return [leaf for key, child in children for leaf in leaves(child, (*path, key))]


def listed(imported: Imported) -> list[str]:
    carried = [key for entry in imported.carried for key in entry.keys]
    return sorted(carried + [key for entry in imported.lost for key in entry.keys])


def made_up(chance: random.Random, depth: int = 0) -> Any:
    if depth > 4 or chance.random() < 0.3:
        return chance.choice(["", "x", "postgres:16", "/a/:b", "${X}", "../..", 0, 1, -5, 1.5, True, None, [], {}])
    if chance.random() < 0.4:
        return [made_up(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    return {chance.choice(WORDS): made_up(chance, depth + 1) for _ in range(chance.randint(0, 5))}


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_whatever_is_in_the_file_every_leaf_is_accounted_for_once(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(120):
        data = {chance.choice(WORDS): made_up(chance) for _ in range(4)}
        imported = import_text(kind, json.dumps(data), "file", {"web": "x", "worker": "y"})
        assert imported.problem is None
        assert listed(imported) == sorted(leaves(data))
        assert imported.accounted == imported.keys


@pytest.mark.parametrize("kind", [kind for kind, _, _ in IMPORTERS])
@pytest.mark.parametrize("text", ["", " \n", "\0", "{", "a: [", "= = =", "<html></html>", "\u202e"])
def test_what_is_no_such_file_says_so_or_gives_nothing(kind: str, text: str) -> None:
    imported = import_text(kind, text, "file.toml" if kind == "railway" else "file")
    assert imported.accounted == imported.keys
    assert imported.problem is not None or not imported.proposal.get("env")


def test_unknown_keys_are_listed_as_such_at_the_highest_place_nobody_knows() -> None:
    ledger = Ledger("f", "k", {"a": {"b": 1, "c": {"d": 2, "e": 3}}, "z": [], "y": None})
    ledger.root.get("a", "b").carry("x")
    found = ledger.close()
    assert [(entry.path, entry.why, entry.keys) for entry in found.lost] == [("a.c", UNKNOWN, ("a.c.d", "a.c.e"))]
    assert [entry.path for entry in found.carried] == ["a.b", "z", "y"]


def test_a_claimed_key_is_not_claimed_again() -> None:
    ledger = Ledger("f", "k", {"a": {"b": 1}})
    ledger.root.get("a", "b").carry("x")
    ledger.root.get("a").lose("why", "instead")
    found = ledger.close()
    assert found.accounted == found.keys == 1
    assert not found.lost


SECRETS = {
    "compose": "services:\n  api:\n    build: .\n    ports: ['8000']\n    command: run --token s3cr3tvalue\n"
    "    environment:\n      API_TOKEN: s3cr3tvalue\n      PLAIN_URL: https://u:s3cr3tvalue@h/x\n"
    "    unknown: {password: s3cr3tvalue}\n    labels: ['token=s3cr3tvalue']\n",
    "render.yaml": "services:\n- type: web\n  name: a\n  startCommand: x --password=s3cr3tvalue\n"
    "  envVars:\n  - {key: STRIPE_SECRET_KEY, value: s3cr3tvalue}\n  - {key: X, value: 'postgres://a:s3cr3tvalue@b/c'}\n",
    "app.json": '{"env": {"SECRET_TOKEN": "s3cr3tvalue", "B": {"value": "redis://:s3cr3tvalue@h"}}}',
    "vercel.json": '{"env": {"API_KEY": "s3cr3tvalue"}, "build": {"env": {"NPM_TOKEN": "s3cr3tvalue"}}}',
    "fly.toml": '[env]\nDB_PASSWORD = "s3cr3tvalue"\n[build.args]\nNPM_TOKEN = "s3cr3tvalue"\n',
    "railway": '{"environments": {"production": {"variables": {"JWT_SECRET": "s3cr3tvalue"}}}, "deploy": '
    '{"startCommand": "API_KEY=s3cr3tvalue run"}, "other": {"env": {"a": "s3cr3tvalue"}}}',
    "nixpacks.toml": '[variables]\nPRIVATE_KEY = "s3cr3tvalue"\n[phases.build]\ncmds = ["x --token s3cr3tvalue"]\n',
    ".env": "API_SECRET=s3cr3tvalue\nexport URL='mysql://a:s3cr3tvalue@h/d'\nbad line s3cr3tvalue\n",
    "Procfile": "web: gunicorn --password s3cr3tvalue app\n",
}


@pytest.mark.parametrize("kind", sorted(SECRETS))
def test_no_secret_is_shown_or_carried(kind: str) -> None:
    imported = import_text(kind, SECRETS[kind], "file")
    assert imported.problem is None
    shown = json.dumps([entry.value for entry in imported.lost]) + json.dumps(imported.proposal) + str(imported.notes)
    assert "s3cr3tvalue" not in shown
    assert imported.accounted == imported.keys > 0


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("JWT_SECRET", "x", True),
        ("STRIPE_API_KEY", "", True),
        ("DB_PASSWORD", "x", True),
        ("SENTRY_DSN", "", True),
        ("LINK", "postgres://a:b@c/d", True),
        ("ANYTHING", "ghp_0123456789abcdefghij0123", True),
        ("JWT_EXPIRES_IN", "7d", False),
        ("TOKEN_URL", "https://a.example/token", False),
        ("NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY", "", False),
        ("LOG_LEVEL", "info", False),
        ("MONKEY", "george", True),
        ("KEYBOARD", "us", False),
    ],
)
def test_which_variables_are_secrets(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret


def test_which_secrets_golive_can_make() -> None:
    assert all(map(is_own_secret, ("JWT_SECRET", "FORM_SECRET", "SECRET_KEY", "NEXTAUTH_SECRET", "PASSWORD_PEPPER")))
    assert not any(
        map(is_own_secret, ("STRIPE_WEBHOOK_SECRET", "GOOGLE_CLIENT_SECRET", "AWS_SECRET", "OPENAI_API_KEY"))
    )


def test_commands_with_credentials_are_noticed() -> None:
    assert holds_secret("redis-server --requirepass hunter2")
    assert holds_secret("curl https://a:b@example.com")
    assert not holds_secret("redis-server --requirepass $REDIS_PASSWORD")
    assert not holds_secret("uvicorn main:app --port 8000")
