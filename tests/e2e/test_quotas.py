"""A quota of a deployed app: the deploy itself uses nothing up, and a kill of everything forgets nothing."""

from __future__ import annotations

import os
import signal

import httpx
from e2e_apps import API, MakeApp
from e2e_harness import App, Golive, until

QUOTA = 'quota = [{ limit = "500/month", per = "service" }, { path = "/counted", limit = "4/day" }]\n'


def statuses(app: App, count: int) -> list[int]:
    return [app.get("/counted").status_code for _ in range(count)]


def running(home: Golive) -> dict[str, int]:
    return {unit: pid for pid, unit in home.supervised().items()}


def counts(app: App) -> bool:
    try:
        return "ratelimit" in app.get("/").headers
    except httpx.TransportError:
        return False


def test_a_quota_survives_the_end_of_everything(own_home: Golive, make_app: MakeApp) -> None:
    home = own_home
    app = make_app(home, toml=API + QUOTA, extra='[resources]\ncounts = "redis"\n')
    app.up().ok()
    first = app.get("/")
    logs = [(home.root / name).read_text() for name in ("quota.log", "edge/envoy.log")]
    assert "ratelimit" in first.headers, logs
    assert first.headers["x-ratelimit-remaining"] == "499"
    assert statuses(app, 3) == [200] * 3
    assert any("quota_server" in line for line in home.processes().values())
    os.kill(running(home)["quota"], signal.SIGKILL)
    passed: list[httpx.Response] = []

    def back() -> bool:
        passed.append(app.get("/"))
        return "ratelimit" in passed[-1].headers

    until("what counts is back", back)
    assert {answer.status_code for answer in passed} == {200}
    home.kill_daemon()
    for unit, pid in running(home).items():
        if unit in ("edge", "quota") or "/resource/" in unit:
            os.kill(pid, signal.SIGKILL)
    assert home.api.get("/v1/status")["apps"]
    until("the edge and what counts are back", lambda: counts(app))
    assert statuses(app, 2) == [200, 429]
    text = (app.folder / "golive.toml").read_text()
    app.write("golive.toml", text.replace(QUOTA, ""))
    app.up().ok()
    assert "ratelimit" not in app.get("/counted").headers
    until("nobody counts", lambda: not any("quota_server" in line for line in home.processes().values()))
    home.no_strays()
