"""golive daemon: run, start, stop, restart, status."""

from __future__ import annotations

import click

from golive.cli import output
from golive.cli.place import client
from golive.errors import GoliveError, Locked


@click.group()
def daemon() -> None:
    """The process that looks after everything. It may be stopped at any time: what runs goes on running.

    \b
    Example:
      golive daemon status
    """


@daemon.command()
def run() -> int:
    """Serve in the foreground, as systemd and launchd want it."""
    from golive.daemon.main import run as serve
    from golive.home import Home

    home = Home.default()
    try:
        serve(home)
    except Locked:
        from golive.cli.passphrase import ask

        ask()
        serve(home)
    return 0


@daemon.command()
def start() -> int:
    """Start it, unless it runs. Any other command that needs it does the same."""
    from golive.daemon.client import Unreachable

    try:
        before = client(start=False).get("/v1/daemon")["pid"]
    except Unreachable:
        before = None
    pid = client().get("/v1/daemon")["pid"]
    output.say(f"nothing to do: the daemon runs, pid {pid}" if pid == before else f"the daemon runs now, pid {pid}")
    return 0


@daemon.command()
def stop() -> int:
    """Stop it. Apps, databases and the edge go on serving; nothing is restarted until it is back."""
    from golive.daemon.client import Unreachable, wait_gone

    try:
        daemon = client(start=False)
        info = daemon.get("/v1/daemon")
        daemon.send("POST", "/v1/daemon/stop")
    except Unreachable:
        output.say("nothing to do: it does not run")
        return 0
    wait_gone(info["pid"])
    output.say("stopped; everything it started goes on running")
    return 0


@daemon.command()
@click.pass_context
def restart(context: click.Context) -> int:
    """Stop and start it, as an upgrade does."""
    from golive.cli.passphrase import prepare
    from golive.home import Home

    prepare(Home.default())
    context.invoke(stop)
    code: int = context.invoke(start)
    return code


@daemon.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> int:
    """Whether it runs, since when, and where its files are. Exit code 1 when it does not."""
    from golive.daemon.client import Unreachable

    try:
        info = client(start=False).get("/v1/daemon")
    except Unreachable as error:
        if as_json:
            output.data({"running": False})
            return 1
        why = "apps, databases and the edge need it only to change and to be restarted"
        raise GoliveError("the daemon does not run", why=why, hint="golive daemon start") from error
    if as_json:
        output.data({"running": True, **info})
    else:
        print(f"golive {info['version']}, pid {info['pid']}, up {output.age(info['started_at'])}, {info['home']}")
    return 0
