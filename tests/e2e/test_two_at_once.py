"""Two deploys at once, deploys that are stopped half-way, and the end of an app."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_apps import RELEASE, MakeApp
from e2e_harness import COMMAND, App, until
from e2e_load import Load

from golive.system import users

PATIENT = RELEASE.replace('ready_timeout = "4s"', 'ready_timeout = "60s"')


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """Live, and in no hurry to call the next version a failure."""
    made = make_app(release=PATIENT)
    made.up().ok()
    return made


def generation(app: App, state: str) -> bool:
    return bool(app.golive.query("SELECT 1 FROM generation WHERE app = ? AND state = ?", app.name, state))


def running(app: App, step: str) -> bool:
    sql = "SELECT 1 FROM step s JOIN deployment d ON d.id = s.deployment WHERE app = ? AND name = ? AND s.state = ?"
    return bool(app.golive.query(sql, app.name, step, "running"))


def test_deploys_wait_for_each_other_in_their_order(app: App) -> None:
    """The queue is seen meanwhile; of equal ones that wait, only the last is made."""
    app.change(version="2", gate=str(app.gate))
    first = app.golive.start("up", app.folder)
    until("the first to be under way", lambda: generation(app, "starting"))
    app.change(version="3", gate=None)
    second = app.golive.start("up", app.folder)
    until("the second to wait", lambda: len(app.status()["deployments"]) == 2)
    third = app.golive.start("up", app.folder)
    queue = until("the third to wait", lambda: (d := app.status()["deployments"]) and len(d) == 3 and d)
    assert [d["state"] for d in queue] == ["running", "queued", "queued"]
    assert [d["id"] for d in queue] == sorted(d["id"] for d in queue)

    app.open_gate()
    app.golive.finish(first).ok()
    superseded = app.golive.finish(second)
    assert superseded.code != 0
    assert "newer deploy" in superseded.err
    app.golive.finish(third).ok()
    assert app.version() == "3"
    assert [d["state"] for d in app.deployments()[:3]] == ["done", "undone", "done"]
    assert app.releases() == {1: "ready", 2: "ready", 3: "live"}


@pytest.mark.nightly
def test_apps_do_not_wait_for_each_other(app: App, make_app: MakeApp) -> None:
    other = make_app()
    app.change(version="2", gate=str(app.gate))
    slow = app.golive.start("up", app.folder)
    until("the first to be under way", lambda: generation(app, "starting"))
    other.up().ok()
    assert other.version() == "1"
    os.kill(slow.pid, signal.SIGINT)
    assert app.golive.finish(slow).code == 130


@pytest.mark.parametrize("step", ["build", "ready"])
def test_ctrl_c_undoes(app: App, step: str) -> None:
    before = app.pids()
    if step == "build":
        text = (app.folder / "golive.toml").read_text()
        app.write("golive.toml", text + '\n[services.api.build]\ncommand = "sleep 60"\n')
    app.change(version="2", gate=str(app.gate))
    with Load(app) as load:
        command = app.golive.start("up", app.folder)
        until(f"{step} to be under way", lambda: running(app, step))
        os.kill(command.pid, signal.SIGINT)
        result = app.golive.finish(command)
        load.more()
    load.unharmed()
    assert result.code == 130, result.text
    assert "undone" in result.err
    assert app.pids() == before
    assert app.deployments()[0]["state"] == "undone"
    app.golive.no_strays()


def test_a_deploy_that_waits_can_be_called_off(app: App) -> None:
    app.change(version="2", gate=str(app.gate))
    first = app.golive.start("up", app.folder)
    until("the first to be under way", lambda: generation(app, "starting"))
    app.change(version="3", gate=None)
    second = app.golive.start("up", app.folder)
    until("the second to wait", lambda: len(app.status()["deployments"]) == 2)
    os.kill(second.pid, signal.SIGINT)
    assert app.golive.finish(second).code == 130
    app.open_gate()
    app.golive.finish(first).ok()
    assert app.version() == "2"
    assert [d["state"] for d in app.deployments()[:2]] == ["undone", "done"]


def test_nothing_is_destroyed_or_scaled_while_a_deploy_is_under_way(app: App) -> None:
    app.change(version="2", gate=str(app.gate))
    command = app.golive.start("up", app.folder)
    until("the deploy to be under way", lambda: generation(app, "starting"))
    assert "under way" in app.command("destroy", "--yes", app.name).failed().err
    app.command("scale", "api=1").failed()
    app.open_gate()
    app.golive.finish(command).ok()
    assert app.version() == "2"


def test_destroy_removes_everything_and_up_works_again(make_app: MakeApp) -> None:
    app = make_app(extra='\n[resources.db]\nengine = "postgres"\n\n[resources.cache]\nengine = "redis"\n')
    app.up().ok()
    golive, folder = app.golive, app.golive.home.app(app.name, "production")
    mine = [pid for pid, unit in golive.supervised().items() if unit.startswith(f"{app.name}/")]
    assert len(mine) >= 3  # with what receives the writes, once that runs
    assert folder.is_dir()

    assert "name" in app.command("destroy").failed(2).err
    assert "not the app's name" in app.command("destroy", "--yes", "other").failed(2).err
    assert app.version() == "1"

    assert "is gone" in app.command("destroy", "--yes", app.name).ok().err
    until("its processes to be gone", lambda: not set(mine) & golive.processes().keys())
    assert not folder.parent.exists()
    assert not golive.query("SELECT 1 FROM process WHERE unit LIKE ?", f"{app.name}/%")
    for table in ("app", "release", "deployment", "generation", "resource", "variable"):
        assert not golive.query(f"SELECT 1 FROM {table} WHERE app = ?", app.name), table
    if sys.platform == "linux" and os.geteuid() == 0:
        assert users.find(users.app_user_name(app.name)) is None
    assert app.name not in golive("status", "--all").ok().out

    again = app.command("destroy", "--yes", app.name).failed()
    assert f"there is no {app.name}" in again.err
    app.up().ok()
    assert app.version() == "1"
    until("the writes of the new database to be received", lambda: _receives(app))
    golive.no_strays()


def _receives(app: App) -> bool:
    (one, _) = app.command("backup", "list", "--json").ok().json()["databases"]
    return bool(one["receiving"]["status"] == "ready")


def test_destroy_asks_for_the_name_on_a_terminal(app: App) -> None:
    leader, follower = pty.openpty()
    command = subprocess.Popen(
        [*COMMAND, "destroy", "--app", app.name],
        env=app.golive.environ,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(leader, b"something-else\n")
    _, said = command.communicate(timeout=120)
    os.close(leader)
    os.close(follower)
    assert command.returncode == 2
    assert "nothing was removed" in said
    assert app.version() == "1"
    assert Path(app.golive.home.app(app.name, "production")).is_dir()
