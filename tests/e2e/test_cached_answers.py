"""`cache` in golive.toml through the daemon: deploys, a killed cache, purge and counts."""

from __future__ import annotations

import json
import os
import signal

from e2e_apps import API, MakeApp
from e2e_harness import alive, until
from e2e_load import Load

CACHED = API + 'cache = { path = "/*", ttl = "1h", stale = "1h" }\n'


def test_kept_answers_survive_no_deploy_and_a_dead_cache_fails_nothing(make_app: MakeApp) -> None:
    app = make_app(toml=CACHED)
    golive = app.golive

    def cache() -> int:
        return next((pid for pid, unit in golive.supervised().items() if unit == "cache" and alive(pid)), 0)

    app.up().ok()
    old = until("the cache", cache)
    until("a hit", lambda: "; hit" in app.get("/").headers.get("cache-status", ""))
    with Load(app) as load:
        load.more()
        os.kill(old, signal.SIGKILL)
        load.more()
        until("another cache", cache)
        app.change(version="2")
        app.up().ok()
        assert app.version() == "2"
        load.more()
    load.unharmed()
    until("a hit", lambda: "; hit" in app.get("/").headers.get("cache-status", ""))
    stats = json.loads(app.command("cache", "stats", "--json").ok().out)
    assert stats["hits"] > 0
    assert stats["answers"] > 0
    assert "forgotten" in app.command("cache", "purge", "/").ok().err
    assert "nothing to do" in app.command("cache", "purge").ok().err
    app.write("golive.toml", (app.folder / "golive.toml").read_text().replace('cache = { path = "/*"', "# "))
    app.up().ok()
    assert "cache-status" not in app.get("/").headers
    assert "no answer" in app.command("cache", "stats").failed().err
    until("the cache's end", lambda: not cache())
    golive.no_strays()
