"""A broken deploy leaves the old release serving, says why, and leaves nothing behind."""

from __future__ import annotations

import os
import signal

import httpx
import pytest
from e2e_apps import API, MakeApp
from e2e_harness import App, until
from e2e_load import Load

from golive.system import ports

PORT = ports.choose()
WRONG = {
    "exits": ({"fail": "exit"}, ("exited with 3 before it was ready", "cannot find the moon", "hint:")),
    "never listens": ({"fail": "deaf"}, ("never listened on $PORT", "no port at all", "listening to nobody", "hint:")),
    "listens elsewhere": (
        {"fail": "elsewhere", "port": PORT},
        ("never listened on $PORT", f"127.0.0.1:{PORT} instead", "$PORT", f"listening on {PORT}"),
    ),
    "is never ready": ({"fail": "unready"}, ("did not become ready", "500", "the database is on fire", "hint:")),
}


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=[pytest.mark.nightly] if way in ("listens elsewhere", "is never ready") else [])
        for way in WRONG
    ],
)
def test_a_broken_deploy_leaves_the_old_release_serving(app: App, way: str) -> None:
    settings, words = WRONG[way]
    before = app.pids()
    app.change(version="2", **settings)
    with Load(app) as load:
        result = app.up()
        load.more()
    load.unharmed()
    assert result.failed().out == ""
    for word in words:
        assert word in result.err, result.text
    assert load.seen.keys() == {"1"}
    assert app.pids() == before
    unharmed(app, live=1, failed=2)

    app.change(version="3", fail=None)
    app.up().ok()
    assert app.version() == "3"
    assert app.releases() == {1: "ready", 2: "failed", 3: "live"}


def test_a_start_command_that_is_missing(app: App) -> None:
    text = (app.folder / "golive.toml").read_text()
    app.write("golive.toml", text.replace("python -m uvicorn", "./no-such-program"))
    with Load(app) as load:
        result = app.up().failed()
        load.more()
    load.unharmed()
    assert "no-such-program" in result.err
    assert "hint:" in result.err
    unharmed(app, live=1, failed=2)

    app.write("golive.toml", text)
    assert "nothing to do" in app.up().ok().err
    assert app.version() == "1"


def test_a_release_that_answers_its_probe_and_nothing_else_is_taken_back(make_app: MakeApp) -> None:
    """Traffic has moved when this is found out; it goes back, and the old processes were never touched."""
    app = make_app(toml=API.replace('route = "/"', 'route = "/api"'))
    app.up().ok()
    before = app.pids()
    app.change(version="2", fail="broken")
    result = app.up().failed()
    assert "does not answer as it should" in result.err
    assert "500" in result.err
    assert app.version("/api") == "1"
    assert app.pids() == before
    unharmed(app, live=1, failed=2)


def test_a_first_deploy_that_fails_leaves_nothing(app: App, make_app: MakeApp) -> None:
    other = make_app()
    other.change(fail="exit")
    other.up().failed()
    assert other.status()["services"] == {}
    assert other.status()["release"] is None
    with pytest.raises(httpx.ConnectError, match="unrecognized name"):
        other.get()
    app.golive.no_strays()
    other.change(fail=None)
    other.up().ok()
    assert other.version() == "1"


def test_a_new_release_that_dies_after_it_is_live_is_started_again(app: App) -> None:
    (pid,) = app.pids()
    os.kill(pid, signal.SIGKILL)
    until("another process", lambda: app.pids() not in ([pid], [None]))
    assert app.version() == "1"


def unharmed(app: App, *, live: int, failed: int) -> None:
    """Only the live release runs; the other counts as failed; nothing is under way."""
    assert app.releases()[live] == "live"
    assert app.releases()[failed] == "failed"
    until("the failed generation to be gone", lambda: app.status()["old"] == [])
    app.golive.no_strays()
    last = app.deployments()[0]
    assert last["state"] == "failed"
    assert [s["state"] for s in last["steps"]].count("failed") == 1
