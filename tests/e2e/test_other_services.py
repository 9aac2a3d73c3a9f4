"""Workers, scheduled services, one-off commands."""

from __future__ import annotations

import os
import signal
import time

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, alive, until

WORKER = """
[services.work]
source = "work"
kind = "worker"
command = "exec python worker.py"
stop_timeout = "3s"
"""
CRON = """
[services.tick]
source = "work"
command = "python tick.py"
schedule = "* * * * *"
"""
PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("leaves in peace", flush=True), sys.exit(0)))
print("works as", os.environ["GOLIVE_SERVICE"], open("version").read(), flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture(scope="module", autouse=True)
def scheduled(shared_home: Golive, make_apps: MakeApp) -> App:
    """Live before the other tests of this file, so that its minute passes meanwhile."""
    app = make_apps(shared_home, toml=CRON, services=())
    app.write("work/tick.py", 'import os\nprint("ticks as", os.environ["GOLIVE_SERVICE"], flush=True)\n')
    app.up().ok()
    return app


def test_a_worker_is_replaced_and_never_doubled(make_app: MakeApp) -> None:
    app = make_app(toml=WORKER, services=())
    app.write("work/worker.py", PROGRAM)
    app.write("work/version", "1")
    app.up().ok()
    (old,) = app.pids("work")
    os.kill(old, signal.SIGKILL)
    (old,) = until("another process", lambda: (p := app.pids("work")) not in ([old], [None]) and p)

    app.write("work/version", "2")
    app.up().ok()
    (new,) = app.pids("work")
    assert new != old
    until("the old one to end", lambda: not alive(old))
    said = app.command("logs", "work").ok().out
    assert "works as work 1" in said
    assert "works as work 2" in said
    assert "leaves in peace" in said

    app.command("rollback").ok()
    until("the new one to end", lambda: not alive(new))
    assert len(app.pids("work")) == 1
    app.golive.no_strays()


def test_one_off_commands_pass_on_their_exit_code_and_see_the_environment(make_app: MakeApp) -> None:
    app = make_app(extra='\n[env.GREETING]\ndefault = "hello"\n')
    app.up().ok()
    told = app.command("run", "--", "sh", "-c", "echo $GREETING $GOLIVE_SERVICE; exit 7")
    assert told.code == 7
    assert told.out.split() == ["hello", "api"]
    version = app.command("run", "--", "python", "-c", "import uvicorn, os; print(uvicorn.__version__, os.getuid())")
    assert version.ok().out.split()[0] == "0.35.0"
    if os.geteuid() == 0:
        assert version.out.split()[1] != "0", "a one-off command of an app runs as root"
    assert "no-such" in app.command("run", "--", "no-such").failed(2).err
    assert app.command("run", "-s", "nobody", "--", "true").failed().err
    killed = app.command("run", "--", "sh", "-c", "kill -9 $$")
    assert killed.code in (-9, 137)
    shell = app.command("shell", input="echo $GREETING\nexit 5\n")
    assert shell.code == 5
    assert "hello" in shell.out


def test_logs_follow_what_is_said(app: App) -> None:
    command = app.golive.start("logs", "-f", "--app", app.name, "api")
    try:
        app.get("/say?text=the+moon+is+found")
        seen = []
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any("the moon is found" in line for line in seen):
            assert command.stdout is not None
            seen.append(command.stdout.readline())
    finally:
        os.kill(command.pid, signal.SIGINT)
        result = app.golive.finish(command)
    assert any("the moon is found" in line for line in seen), seen
    assert result.code in (0, 130)
    found = app.command("logs", "api", "--grep", "moon is").ok().out
    assert found.count("the moon is found") == 1


def test_a_scheduled_service_runs_when_it_is_due(scheduled: App) -> None:
    """A minute at most, as the schedule has it; the run's output and outcome are there to see."""
    service = until("a run to end", lambda: ended(scheduled), timeout=120, pause=0.5)
    assert service["last_run"]["outcome"] == "ok"
    assert service["last_run"]["due_at"] % 60 == 0
    assert "ticks as tick" in scheduled.command("logs", "tick").ok().out
    scheduled.golive.no_strays()


def ended(app: App) -> dict:  # type: ignore[type-arg]
    service = app.status()["services"]["tick"]
    return service if (service["last_run"] or {}).get("ended_at") else {}
