"""`cache` and `[edge.images]` in golive.toml through the daemon: deploys, a killed cache, purge, counts, a picture."""

from __future__ import annotations

import io
import json
import os
import signal

from e2e_apps import API, MakeApp
from e2e_harness import alive, until
from e2e_load import Load
from PIL import Image

CACHED = API + 'cache = { path = "/*", ttl = "1h", stale = "1h" }\n'
PICTURES = '\n[services.pics]\nsource = "pics"\nroute = "/pics"\n\n[edge.images]\nsources = ["/pics/*"]\n'


def test_kept_answers_survive_no_deploy_and_a_dead_cache_fails_nothing(make_app: MakeApp) -> None:
    app = make_app(toml=CACHED, extra=PICTURES)
    app.write("pics/index.html", "<img>")
    Image.new("RGB", (400, 200), "red").save(app.folder / "pics/red.png")
    golive = app.golive

    def running(name: str) -> int:
        return next((pid for pid, unit in golive.supervised().items() if unit == name and alive(pid)), 0)

    def cache() -> int:
        return running("cache")

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
    made = app.get("/_golive/image?url=/pics/red.png&w=64")
    assert (made.status_code, Image.open(io.BytesIO(made.content)).size) == (200, (64, 32))
    assert stats["answers"] > 0
    assert "forgotten" in app.command("cache", "purge", "/").ok().err
    assert "nothing to do" in app.command("cache", "purge").ok().err
    app.write(
        "golive.toml",
        (app.folder / "golive.toml").read_text().replace('cache = { path = "/*"', "# ").replace(PICTURES, ""),
    )
    app.up().ok()
    assert "cache-status" not in app.get("/").headers
    assert "no answer" in app.command("cache", "stats").failed().err
    assert app.get("/_golive/image?url=/pics/red.png&w=64").headers["content-type"] == "application/json"
    until("the end of both", lambda: not cache() and not running("images"))
    golive.no_strays()
