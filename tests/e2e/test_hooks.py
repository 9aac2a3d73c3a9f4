"""Commands before and after a release: when they run, what a failure leaves, and a daemon that dies in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_apps import API, MakeApp
from e2e_harness import App, Golive, new_home, until
from e2e_load import Load

HOOKS = """
[hooks]
pre_deploy = { run = "sh hook.sh before", timeout = "3s" }
post_deploy = "sh hook.sh after"
"""
TELL = 'echo "$1 $GOLIVE_HOOK $GOLIVE_RELEASE $GOLIVE_DEPLOYMENT_KIND $(id -u)" | tee -a "$HOME/told"'
STEPS = ["validate", "build", "pre_deploy", "start", "ready", "shift", "verify", "drain", "post_deploy"]


@pytest.fixture(scope="module")
def home() -> Iterator[Golive]:
    with new_home() as golive:
        yield golive


@pytest.fixture(scope="module")
def hooked(home: Golive, make_apps: MakeApp) -> App:
    """Live, and carried from one test to the next."""
    app = make_apps(home, toml=API, extra=HOOKS)
    app.write("api/hook.sh", TELL)
    app.up().ok()
    return app


def told(app: App) -> list[list[str]]:
    """What every hook that ever ran has said of itself."""
    return [line.split() for line in _file(app).read_text().splitlines()]


def _file(app: App) -> Path:
    return app.golive.home.app(app.name, "production") / "work" / "told"


def misbehave(app: App, which: str, how: str, version: int) -> None:
    """The next release's hook of that kind does so, once it has told that it runs."""
    app.write("api/hook.sh", f'{TELL}\n[ "$1" != {which} ] || {{ echo "oh dear"; {how}; }}')
    app.change(version=str(version))


def test_each_runs_once_at_its_place(hooked: App) -> None:
    first = hooked.deployments()[-1]
    names = [s["name"] for s in first["steps"] if s["name"] in STEPS]
    assert names == STEPS
    (before, after) = told(hooked)
    assert (before[:4], after[:4]) == (["before", "pre_deploy", "1", "deploy"], ["after", "post_deploy", "1", "deploy"])
    owner = hooked.golive.query("SELECT pid FROM process WHERE unit LIKE ?", f"{hooked.name}/production/api/%")[0][0]
    assert int(before[4]) == int(after[4]) == Path(f"/proc/{owner}").stat().st_uid
    assert "before pre_deploy 1" in hooked.command("logs", "pre-deploy").ok().out
    hooked.up().ok()
    hooked.command("restart").ok()
    assert len(told(hooked)) == 2
    hooked.change(version="2")
    hooked.up().ok()
    hooked.command("rollback").ok()
    assert [t[:4] for t in told(hooked)[2:]] == [
        ["before", "pre_deploy", "2", "deploy"],
        ["after", "post_deploy", "2", "deploy"],
        ["after", "post_deploy", "1", "rollback"],
    ]


def test_a_failure_before_leaves_the_old_release_serving(hooked: App) -> None:
    version, live = hooked.version(), hooked.status()["release"]
    with Load(hooked) as load:
        misbehave(hooked, "before", "exit 3", 3)
        failed = hooked.up().failed()
        assert "pre_deploy `sh hook.sh before` exited with 3" in failed.err
        assert "│ oh dear" in failed.err
        assert f"release {live} goes on serving" in failed.err
        misbehave(hooked, "before", "sleep 1000", 4)
        assert "was ended after 3s" in hooked.up().failed().err
        load.more()
    load.unharmed()
    assert (hooked.version(), hooked.status()["release"]) == (version, live)
    hooked.golive.no_strays()


def test_a_failure_after_is_told_and_takes_nothing_back(hooked: App) -> None:
    misbehave(hooked, "after", "exit 4", 5)
    failed = hooked.up().failed()
    release = hooked.status()["release"]
    assert f"release {release} is live, but post_deploy `sh hook.sh after` exited with 4" in failed.err
    assert f"release {release} is live, after" in failed.err
    assert hooked.version() == "5"
    last = hooked.deployments()[0]
    assert (last["state"], last["error"]["kind"], last["result"]["release"]) == ("done", "HookFailed", release)


@pytest.mark.parametrize("which", ["before", "after"])
def test_a_daemon_that_dies_in_a_hook(hooked: App, which: str) -> None:
    version, count = hooked.version(), len(told(hooked))
    hooked.write("golive.toml", (hooked.folder / "golive.toml").read_text().replace('"3s" }', '"300s" }'))
    misbehave(hooked, which, "exec sleep 1000", 6 if which == "before" else 7)
    command = hooked.golive.start("up", hooked.folder)
    until("the hook to run", lambda: any(t[0] == which for t in told(hooked)[count:]))
    until("the hook to sleep", lambda: "sleep 1000" in str(hooked.golive.processes()))
    hooked.golive.kill_daemon()
    result = hooked.golive.finish(command).failed()
    assert "sleep 1000" not in str(hooked.golive.processes())
    assert len([t for t in told(hooked)[count:] if t[0] == which]) == 1
    last = hooked.deployments()[0]
    if which == "before":
        assert "pre_deploy was interrupted, and the deployment undone" in result.err
        assert (last["state"], hooked.version()) == ("undone", version)
    else:
        assert "is live, but post_deploy was interrupted" in result.err
        assert (last["state"], hooked.version()) == ("done", "7")
        assert last["steps"][-1]["state"] == "failed"
    hooked.golive.no_strays()
