"""A canary as a person sees it: signed in on the old release, in a real browser, with its pages' own assets."""

from __future__ import annotations

import json

import pytest
from e2e_apps import MakeApp
from e2e_browser import Tab, browser
from e2e_harness import App, until

TOML = """
[services.site]
kind = "static"
source = "site"

[services.api]
source = "api"
route = "/api"
command = "python -m uvicorn main:app --port $PORT --lifespan off --log-level warning"
health = { ready = "/api/ready" }
stop_timeout = "3s"
"""
RELEASE = """
[release]
strategy = "canary"
ready_timeout = "6s"
stable = "100ms"
verify = "200ms"
drain = "2s"

[release.canary]
steps = ["50%"]
every = "100ms"
requests = 1000000
slower = false
"""
PROGRAM = """
import json, secrets
from pathlib import Path

VERSION = json.loads(Path(__file__).with_name("settings.json").read_text())["version"]
SESSIONS = set()  # of this process: whoever is sent to another one is signed out


async def app(scope, receive, send):
    headers, more = dict(scope["headers"]), []
    mine = {part.strip() for part in headers.get(b"cookie", b"").decode().split(";")}
    if scope["path"] == "/api/login":
        SESSIONS.add(made := f"session={secrets.token_hex(8)}")
        more = [(b"set-cookie", f"{made}; HttpOnly; Path=/".encode())]
    user = "anna" if mine & SESSIONS else "nobody"
    body = json.dumps({"user": user, "version": VERSION}).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
PAGE = """<!doctype html><html lang="en"><title>shop</title><link rel="icon" href="/icon.svg">
<p id="who"></p><p id="said"></p>
<button id="in">sign in</button> <button id="ask">ask</button> <button id="more">more</button>
<button id="late">late</button><script type="module" src="/assets/app-{v}c0ffee5.js"></script></html>
"""
SCRIPT = """
const at = (id) => document.getElementById(id);
async function ask() {
  const { user, version } = await (await fetch("/api/me")).json();
  at("who").textContent = `${user} on ${version}, page {v}`;
}
at("ask").onclick = async () => { at("who").textContent = ""; await ask(); };
at("in").onclick = async () => { await fetch("/api/login", { method: "POST" }); await ask(); };
for (const name of ["more", "late"])
  at(name).onclick = async () => { at("said").textContent = (await import(`./${name}-{v}c0ffee5.js`)).text; };
ask();
"""


def build(app: App, version: str) -> None:
    """As a bundler would: assets under names of their own, those of the build before gone."""
    for old in (app.folder / "site/assets").glob("*.js"):
        old.unlink()
    app.write("site/index.html", PAGE.replace("{v}", version))
    app.write("site/icon.svg", '<svg xmlns="http://www.w3.org/2000/svg"/>')
    app.write(f"site/assets/app-{version}c0ffee5.js", SCRIPT.replace("{v}", version))
    for name in ("more", "late"):
        app.write(f"site/assets/{name}-{version}c0ffee5.js", f'export const text = "{name} of {version}";')
    app.write("api/main.py", PROGRAM)
    app.write("api/settings.json", json.dumps({"version": version}))


def asked(tab: Tab, expected: str) -> None:
    tab.page.locator("#ask").click()
    tab.shows(expected)


@pytest.mark.nightly
def test_who_is_signed_in_stays_on_his_release_and_its_assets_load(make_app: MakeApp) -> None:
    app = make_app(toml=TOML, release=RELEASE)
    build(app, "1")
    app.up().ok()
    with browser(app.golive, app.domain) as tab:
        tab.open()
        tab.shows("nobody on 1, page 1")
        tab.page.locator("#in").click()
        tab.shows("anna on 1, page 1")

        build(app, "2")
        command = app.golive.start("up", app.folder)
        until("a canary", lambda: app.golive.api.get("/v1/traffic", app=app.name)["canary"])
        app.command("traffic", "0%").ok()
        asked(tab, "anna on 1, page 1")
        app.command("traffic", "50%").ok()
        until("strangers on both", lambda: {app.get("/api/me").json()["version"] for _ in range(20)} == {"1", "2"})
        for _ in range(5):
            asked(tab, "anna on 1, page 1")
            tab.open()
            tab.shows("anna on 1, page 1")
        tab.page.locator("#more").click()
        tab.shows("more of 1")

        mine = tab.page.context.cookies()
        assert {each["name"] for each in mine} == {"session", "golive-release"}
        other = Tab(tab.page.context.new_page(), tab.base)
        for _ in range(40):  # somebody new: each is drawn
            other.page.context.clear_cookies()
            other.open()
            other.page.locator("#who:not(:empty)").wait_for()
            if "on 2, page 2" in other.page.locator("#who").inner_text():
                break
        asked(other, "nobody on 2, page 2")
        other.page.locator("#more").click()
        other.shows("more of 2")
        other.page.close()
        tab.page.context.clear_cookies()
        tab.page.context.add_cookies(mine)  # type: ignore[arg-type]
        asked(tab, "anna on 1, page 1")

        app.command("traffic", "100%").ok()
        app.golive.finish(command).ok()
        tab.page.locator("#late").click()
        tab.shows("late of 1")  # an asset that the new release does not have, asked for by a page of the old one
        tab.open()
        tab.shows("on 2, page 2")
        tab.is_content()
