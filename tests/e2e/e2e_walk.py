"""An app with everything that has steps, and the walk over them: a daemon dies at one, the next one carries on."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from e2e_harness import App, Golive, Result, until
from e2e_load import Load

from golive.daemon.client import Client
from golive.errors import GoliveError

DOOMED = Path(__file__).with_name("doomed.py")
UNCOMMITTED = ("validate", "build", "resources", "migrate", "start", "ready", "changeover", "shift")
COMMITTED = ("verify", "drain")
EVERY_TIME = ("migrate", "changeover", "shift", "verify")
"""What can be left half done: a database, a port, the traffic, a commit. The other steps are walked nightly."""
COMMAND = "python -m uvicorn main:app --port $PORT --log-level warning --timeout-graceful-shutdown 3"
TOML = f"""
[services.web]
source = "site"
route = "/site"
strip_prefix = true

[services.api]
source = "api"
command = "{COMMAND}"
route = "/"
health = {{ ready = "/ready" }}
stop_timeout = "3s"

[services.solo]
source = "solo"
command = "{COMMAND}"
route = "/solo"
overlap = false
health = {{ ready = "/ready" }}
stop_timeout = "3s"

[services.work]
source = "api"
kind = "worker"
command = "sleep 1000"

[resources.db]
engine = "postgres"

[migrations]
tool = "sql"
source = "migrations"
resource = "db"
"""
NUMBERS = itertools.count(2)


def walk(steps: Iterable[str]) -> list[Any]:
    """Parameters for a test that kills at each of the steps."""
    return [pytest.param(step, marks=() if step in EVERY_TIME else pytest.mark.nightly) for step in steps]


def write(app: App, version: int) -> None:
    """Every service in another version, and one migration more."""
    app.change("api", version=str(version))
    app.change("solo", version=str(version))
    app.write("site/index.html", f"<p>{version}</p>")
    app.write(f"migrations/{version:04}_table.sql", f"CREATE TABLE t{version} (n bigint);\n")


def doom(golive: Golive, step: str, moment: str) -> subprocess.Popen[bytes]:
    """A daemon that will die, in place of the one that runs."""
    golive("daemon", "stop").ok()
    with golive.home.daemon_log.open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, str(DOOMED), "golive.daemon", step, moment],
            env=golive.environ,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    until("the doomed daemon to answer", lambda: _answers(golive) or daemon.poll() is not None, timeout=120)
    assert daemon.poll() is None, golive.home.daemon_log.read_text()[-3000:]
    return daemon


def _answers(golive: Golive) -> bool:
    try:
        return bool(Client(golive.home).get("/v1/daemon"))
    except GoliveError:
        return False


def interrupted(app: App, step: str, moment: str, *command: object) -> Result:
    """One deployment whose daemon dies on the way, watched by users of every service; what the command said of it."""
    golive = app.golive
    daemon = doom(golive, step, moment)
    with Load(app, ("/", "/solo", "/site/"), users=3) as load:
        result = golive(*command)
        assert daemon.wait(20) == -9, f"{step} was never reached: {result.text}"
        load.more()
    load.unharmed()
    golive.no_strays()
    until("the old generations to end", lambda: _settled(app), timeout=120)
    golive.no_strays()
    singletons(app)
    return result


def _settled(app: App) -> bool:
    return all(old["state"] == "warm" for old in app.status()["old"])


def singletons(app: App) -> None:
    """Of what may not overlap, and of workers, one process runs."""
    alive = list(app.golive.processes())
    units = [unit for pid, unit in app.golive.supervised().items() if pid in alive]
    for service in ("solo", "work"):
        mine = [unit for unit in units if unit.startswith(f"{app.name}/production/{service}/")]
        assert len(mine) == 1, mine


def versions(app: App) -> set[str]:
    site = app.get("/site/").text.removeprefix("<p>").removesuffix("</p>")
    return {app.version("/"), app.version("/solo"), site}


def was_undone(app: App, result: Result, before: str) -> None:
    result.failed()
    assert "interrupted" in result.err, result.text
    assert versions(app) == {before}
    last = app.deployments()[0]
    assert last["state"] == "undone"
    assert {s["state"] for s in last["steps"]} <= {"done", "skipped", "undone"}


def was_finished(app: App, result: Result, after: str) -> None:
    result.ok()
    assert versions(app) == {after}
    last = app.deployments()[0]
    assert last["state"] == "done"
    assert {s["state"] for s in last["steps"]} <= {"done", "skipped"}
