"""A protected, shielded environment as users have it: deployed, verified by golive's own requests, closed to others."""

from __future__ import annotations

import json

import httpx
import pytest
from e2e_apps import API, MakeApp
from e2e_browser import browser
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
        key = browser.cookies["golive-key"]
    said = app.golive("check", app.name, "--only", "health", "--json").ok()
    assert {one["status"] for one in said.json()["checks"] if one["id"] != "health-honest"} == {"pass"}, said.text
    url = app.status()["urls"][0]
    asked = app.golive("debug", "request", url, "--json").ok()
    assert asked.json()["verdict"].startswith("200")
    assert key not in said.out + said.err + asked.out + asked.err
    # The key follows from that of golive's state: with another one it opens nothing any more.
    app.golive("vault", "rotate").ok()
    mine = {"cookie": f"golive-key={key}"}
    until("the key of before to be refused", lambda: app.request("GET", "/", headers=mine).status_code == 401)
    (another,) = app.command("link").ok().out.split()
    assert another != link
    assert app.request("GET", httpx.URL(another).raw_path.decode()).status_code == 303
    assert "KEY" not in app.command("status", "--json").ok().out

    def counted() -> dict[str, int]:
        return {rule["rule"]: rule["stopped"] for rule in app.command("shield", "--json").ok().json()["rules"]}

    until("the log", lambda: counted() == {"allow": 2, "scanner:dotfiles": 1}, pause=0.2)


SITE = """
[services.site]
source = "site"
kind = "static"
route = "/"
csp = true

[services.docs]
source = "docs"
kind = "static"
route = "/docs"

[edge.csp.directives]
script-src = ["'none'"]
"""
PAGE = """<!doctype html><title>t</title><link rel=icon href="data:,"><p id=said>nothing</p>
<script>document.getElementById("said").textContent = "it ran"</script>"""


@pytest.mark.nightly
def test_a_browser_runs_the_scripts_of_a_page_and_no_others(make_app: MakeApp) -> None:
    app = make_app(toml=SITE, services=())
    app.write("site/index.html", PAGE)
    app.write("site/evil.html", "<p>evil</p><img src=x onerror=\"document.title='evil ran'\">")
    app.write("docs/index.html", PAGE.replace("it ran", "so did this"))
    app.up().ok()
    policies = [app.request("GET", path).headers["content-security-policy"] for path in ("/", "/docs/")]
    assert [("form-action" in one, one.count("'sha256-")) for one in policies] == [(True, 1), (True, 1)]
    assert len({one.partition("'sha256-")[2] for one in policies}) == 2, "each knows its own scripts"
    with browser(app.golive, app.domain) as tab:
        tab.open("/docs/")
        tab.shows("so did this")
        tab.open()
        tab.shows("it ran")
        tab.is_content()
        tab.open("/evil")
        tab.shows("evil")
        until("the refusal", lambda: any("CSP: script-src-attr" in one for one in tab.complaints))
        assert tab.page.title() != "evil ran"
