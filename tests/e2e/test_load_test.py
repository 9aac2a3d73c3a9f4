"""golive load on a small app: a rate that holds, the search for one that does not, and what it refuses.

Bars are wide: what is looked at is whether it measures and says what is there, not how fast this machine is.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_apps import API, MakeApp
from e2e_harness import App, Golive, until

PROGRAM = """
import collections
import json
import time

SEEN = collections.Counter()
RECENT = collections.deque()


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    message = await receive()
    if scope["path"] != "/seen":
        query, body = scope["query_string"].decode(), message.get("body", b"").decode()
        SEEN[f"{scope['method']} {scope['path']}?{query} {body}"] += 1
    status = 200
    if scope["path"] == "/fragile":  # 25 within 0.3 s, then it breaks
        now = time.monotonic()
        while RECENT and RECENT[0] < now - 0.3:
            RECENT.popleft()
        RECENT.append(now)
        status = 200 if len(RECENT) <= 25 else 500
    body = json.dumps(SEEN).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""
SCENARIO = """
[[requests]]
path = "/items?page=2"
weight = 3

[[requests]]
path = "/items"
method = "POST"
body = { name = "tea" }
"""
WIDE = ("--p95", "8s", "--arrivals", "constant")


@pytest.fixture(scope="module")
def loaded(make_apps: MakeApp, shared_home: Golive) -> App:
    """`/limited` takes two requests at once and one a second."""
    app = make_apps(shared_home, toml=API + 'rate_limit = [{ path = "/limited", limit = "1/s", burst = 2 }]\n')
    app.write("api/main.py", PROGRAM)
    app.up().ok()
    return app


def test_a_rate_that_holds_asks_what_the_scenario_says(loaded: App, tmp_path: Path) -> None:
    file, page = tmp_path / "visit.toml", tmp_path / "report.html"
    file.write_text(SCENARIO)
    options = ("--rate", "40/s", "--for", "1s", "--http", "2", "--scenario", file, "--html", page)
    found = loaded.golive("load", loaded.name, *options, *WIDE, "--json").ok().json()
    (step,) = found["steps"]
    assert (step["sent"], step["failed"], step["limited"], step["holds"]) == (40, 0, 0, True)
    assert found["capacity"]["at_least"] is True
    assert found["capacity"]["users"] == 400
    used = {(use["name"], use["kind"]): use["used"] for use in step["uses"]}
    assert {("api.0", "cpu"), ("edge", "edge"), ("machine", "machine-memory")} <= used.keys()
    assert used["machine", "machine"] > 0
    seen = loaded.get("/seen").json()
    read, written = seen["GET /items?page=2 "], seen['POST /items? {"name": "tea"}']
    assert read > written > 0
    assert 40 <= read + written <= 44, "and the first one of each connection that was made before"
    assert "<svg" in page.read_text()


def test_the_search_ends_where_the_app_breaks(loaded: App) -> None:
    url = loaded.status()["urls"][0].rstrip("/") + "/fragile"
    done = loaded.golive("load", url, "--from", "20/s", "--for", "300ms", *WIDE, "--json").ok()
    found = done.json()
    assert found["target"].startswith(loaded.name), "the address of an app of golive's own is known as that"
    assert 20 <= found["capacity"]["rate"] < 400
    assert found["capacity"]["at_least"] is False
    broken = [step for step in found["steps"] if not step["holds"]]
    assert broken
    assert {step["why"] for step in broken} == {"errors"}
    assert any("status 500" in reason for step in broken for reason in step["failures"])


def test_a_limit_is_told_apart_from_a_failure(loaded: App) -> None:
    url = loaded.status()["urls"][0].rstrip("/") + "/limited"
    done = loaded.golive("load", url, "--rate", "40/s", "--for", "300ms", *WIDE)
    assert done.code == 1, done.text
    assert "rate limit: " in done.out
    assert "429s" in done.out


def test_the_mix_of_the_access_log_leaves_golives_own_requests_out(loaded: App) -> None:
    for path in ("/tea?token=secret", "/tea", "/coffee"):
        assert loaded.get(path).status_code == 200
    log = loaded.golive.root / "edge/access.log"
    until("the edge has written it", lambda: "/coffee" in log.read_text())
    found = loaded.golive("load", loaded.name, "--from-log", "--rate", "20/s", "--for", "300ms", *WIDE, "--json")
    mix = found.ok().json()["mix"]
    assert any(line.endswith("GET /tea") for line in mix)
    assert not any("token" in line or "/fragile" in line for line in mix)


def test_what_it_refuses(golive: Golive) -> None:
    assert "--mine" in golive("load", "http://127.0.0.1:9").failed(2).err
    assert "--most 60/s" in golive("load", "http://127.0.0.1:9", "--mine", "--rate", "60/s").failed(2).err
    assert "exclude" in golive("load", "http://127.0.0.1:9", "--rate", "9/s", "--find").failed(2).err
    done = golive("load", "http://127.0.0.1:9", "--mine", "--rate", "20/s", "--for", "200ms")
    assert done.code == 1, done.text
    assert "No rate held" in done.out
