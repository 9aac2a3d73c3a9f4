"""The daemon comes and goes; commands find it, start it, and wait for one that another command has started."""

from __future__ import annotations

import os
import signal

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, until
from e2e_load import Load


@pytest.mark.nightly
def test_commands_at_the_same_time_start_one_daemon(own_home: Golive, make_app: MakeApp) -> None:
    app = make_app(own_home)
    app.up().ok()
    own_home.kill_daemon()
    commands = [own_home.start("status", "--json", "--app", app.name) for _ in range(5)]
    for command in commands:
        assert own_home.finish(command).ok().json()["apps"][0]["services"]["api"]["instances"][0]["state"]
    pids = {own_home("daemon", "status", "--json").ok().json()["pid"] for _ in range(2)}
    assert pids == {own_home.daemon()}
    assert app.version() == "1"
    own_home.no_strays()


def test_it_is_killed_and_stopped_again_and_again(app: App) -> None:
    """What runs does not notice: the same processes serve."""
    before = app.pids()
    with Load(app, http2=True) as load:
        app.golive.kill_daemon()
        assert app.pids() == before
        app.golive("daemon", "stop").ok()
        assert "does not run" in app.golive("daemon", "stop").ok().err
        load.more()
        assert app.golive("daemon", "status").failed().err
        app.golive("daemon", "restart").ok()
        load.more()
    load.unharmed()
    assert app.pids() == before
    app.golive.no_strays()


def test_what_died_while_no_daemon_looked_is_started_by_the_next(app: App) -> None:
    golive = app.golive
    (instance,) = app.pids()
    golive("daemon", "stop").ok()
    for pid, unit in golive.supervised().items():
        if unit in ("edge", "static") or pid == instance:
            os.kill(pid, signal.SIGKILL)
    assert app.status()["release"] == 1
    until("the app to answer again", lambda: app.pids() not in ([instance], [None]))
    assert app.version() == "1"
    golive.no_strays()


def test_it_is_stopped_in_the_middle_of_a_deploy(app: App) -> None:
    """As an upgrade does: the deployment is undone by the next daemon, and the command says so."""
    app.change(version="2", fail="deaf")
    command = app.golive.start("up", app.folder)
    until("the new instance to start", lambda: app.golive.query("SELECT 1 FROM generation WHERE state = 'starting'"))
    app.golive("daemon", "stop").ok()
    result = app.golive.finish(command).failed()
    assert "interrupted" in result.err
    assert app.version() == "1"
    assert app.releases() == {1: "live", 2: "failed"}
    app.golive.no_strays()
    log = app.golive.home.daemon_log.read_text()
    assert "Traceback" not in log, log[log.find("Traceback") - 500 :][:4000]
