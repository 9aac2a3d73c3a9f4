"""A protected, shielded environment as users have it: deployed, verified by golive's own requests, closed to others."""

from __future__ import annotations

import json

import httpx
from e2e_apps import API, MakeApp
from e2e_harness import App, until

EXTRA = """
[env.PASS]
type = "secret"
generate = true

[protect]
password = "PASS"
link = true
open = ["/hooks"]

[edge.shield]
allow = ["10.0.0.0/8"]
"""

POINT = {"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
KEYS = {"keys": [{"kty": "EC", "crv": "P-256", **POINT}]}  # RFC 7517, A.1
TOKENS = 'jwt = { jwks = "keys.json", paths = ["/private"] }'


def statuses(app: App, *paths: str) -> list[int]:
    return [app.get(path).status_code for path in paths]


def test_a_deploy_passes_what_stops_strangers(make_app: MakeApp) -> None:
    app = make_app(toml=API + TOKENS, extra=EXTRA)
    app.write("keys.json", json.dumps(KEYS))
    done = app.up().ok()
    assert "0 failed" in done.err
    assert statuses(app, "/", "/.env") == [403, 403]
    app.write("golive.toml", (app.folder / "golive.toml").read_text().replace("allow", "deny"))
    app.up().ok()
    assert statuses(app, "/", "/hooks/x", "/.env") == [401, 200, 404]
    (link,) = app.command("link").ok().out.split()
    with app.client() as browser:
        sni = {"sni_hostname": app.domain}
        opened = browser.get(httpx.URL(link).raw_path.decode(), extensions=sni)
        assert opened.status_code == 303
        assert browser.get("/", extensions=sni).status_code == 200
        assert browser.get("/private", extensions=sni).headers["www-authenticate"].startswith("Bearer")
    assert "KEY" not in app.command("status", "--json").ok().out

    def counted() -> dict[str, int]:
        return {rule["rule"]: rule["stopped"] for rule in app.command("shield", "--json").ok().json()["rules"]}

    until("the log", lambda: counted() == {"allow": 2, "scanner:dotfiles": 1}, pause=0.2)
