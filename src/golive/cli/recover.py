"""golive recover."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import socket
import ssl
import sys
import time
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golive.cli import output
from golive.errors import GoliveError, NotFound, UsageError
from golive.units import human_duration

if TYPE_CHECKING:
    from golive.backup.archive import Key
    from golive.daemon.client import Client
    from golive.home import Home
    from golive.release.recover import Recovered, Source

KEY = "GOLIVE_BACKUP_KEY"
SERVING = 300.0
"""Seconds for everything to answer once it is all there."""
WITHOUT = 20.0
"""The same for an app whose database begins empty: it may need tables that are not there."""


@click.command()
@click.option("--from", "source", metavar="PLACE", help="A folder, or s3://bucket/folder, as in [backups] to.")
@click.option(
    "--key-file",
    type=click.File(),
    help="The key of the backups; - is stdin.  [default: $GOLIVE_BACKUP_KEY, or asked for]",
)
@click.option("--host", metavar="ID", help="Which host, where PLACE has several.")
@click.option(
    "--without", metavar="APP/ENVIRONMENT/RESOURCE", multiple=True, help="A database that begins empty. Repeatable."
)
@click.option("--rehearse", is_flag=True, help="Only try it: this machine writes no backups, and the old one goes on.")
@click.option("--take-over", is_flag=True, help="Instead, make this machine the one that writes the backups.")
@click.option("--runbook", is_flag=True, help="Instead, print what to do when this machine is lost.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def recover(  # noqa: PLR0913 - its options
    *,
    source: str | None,
    key_file: Any,
    host: str | None,
    without: tuple[str, ...],
    rehearse: bool,
    take_over: bool,
    runbook: bool,
    as_json: bool,
) -> int:
    """Make this machine what another one was: its apps, releases, environment, certificates, domains and data.

    GOLIVE_HOME has to be empty. Ended half way, the same command goes on. For S3, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY (AWS_ENDPOINT_URL where it is not AWS) say how to get in.

    \b
    Examples:
      golive recover --from /mnt/backups
      golive recover --from s3://backups/web-1 --key-file ~/golive-backup.key
      golive recover --runbook > runbook.md
    """
    if runbook:
        return _runbook(as_json)
    if take_over:
        return _take_over(as_json)
    if source is None:
        raise UsageError("where from is missing", hint="golive recover --from PLACE, the place of the backups")
    from golive.backup.credentials import Credentials
    from golive.home import Home
    from golive.release.recover import Source

    home = Home.default()
    given = Source(absolute(source), Credentials.find(os.environ), key_of(key_file), host)
    done = _recover(home, given, without, rehearse=rehearse)
    tell_left(done, "brought back", without, quiet=as_json)
    urls, waiting = serving(home, without)
    _show(done, urls, waiting, as_json, rehearse=rehearse)
    return 1 if waiting else 0


def tell_left(done: Recovered, verb: str, without: tuple[str, ...], *, quiet: bool) -> None:
    """Before anything is waited for: whatever does not serve, this is said."""
    if quiet:
        return
    for line in done.left:
        output.say(f"  not {verb}: {line}")
    if named := [label for label in done.empty if label in without]:
        output.say(
            f"  {', '.join(named)}: it runs, and has no tables. golive up migrates it; or golive restore --backup ID, "
            "then golive restore swap, brings a backup back"
        )


def _take_over(as_json: bool) -> int:
    from golive.cli.place import client

    found = client().send("POST", "/v1/backups/take-over")
    if as_json:
        output.data(found)
    else:
        output.say(f"this machine writes the backups in {', '.join(found['places']) or 'no place: none is set'}")
    return 0


def _runbook(as_json: bool) -> int:
    from golive.cli.place import client
    from golive.cli.runbook import render

    facts = client().get("/v1/runbook")
    if as_json:
        output.data(facts)
    elif not facts["apps"]:
        raise NotFound("nothing is live on this host, so there is nothing to make again", hint="golive up")
    else:
        sys.stdout.write(render(facts, datetime.now(UTC)))
    return 0


def absolute(source: str) -> str:
    """The same for whoever works in another folder."""
    return source if "://" in source else str(Path(source).expanduser().absolute())


def key_of(file: Any) -> Key:
    """Never an argument: those are seen by every user of the machine."""
    from golive.backup.archive import Key

    if file is not None:
        text = file.read()
    elif os.environ.get(KEY):
        text = os.environ[KEY]
    elif sys.stdin.isatty():
        text = click.prompt("key of the backups", hide_input=True, err=True)
    else:
        raise UsageError("the key of the backups is missing", hint=f"--key-file FILE, --key-file - for stdin, or {KEY}")
    return Key.parse(text)


def _recover(home: Home, source: Source, without: tuple[str, ...], *, rehearse: bool) -> Recovered:
    from golive.cli.follow import Narrator
    from golive.cli.passphrase import given
    from golive.daemon.main import held
    from golive.daemon.wiring import build_host
    from golive.release.recover import recover, require_empty

    if not home.recovering.exists():
        require_empty(home)
        end_bare_daemon(home)
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(home), contextlib.closing(Narrator(f"recovering {home.root}")) as narrator:
        work = recover(
            home, source, lambda: build_host(home, given)[0], narrator.event, without=without, rehearse=rehearse
        )
        try:
            return asyncio.run(work)
        except KeyboardInterrupt:
            narrator.close()
            output.say("stopped; the same command goes on from here")
            raise


def end_bare_daemon(home: Home) -> None:
    """One that some command has started in the empty home, or a standby's."""
    from golive.daemon.client import Client, Unreachable, wait_gone

    with contextlib.suppress(Unreachable):
        pid = Client(home).get("/v1/daemon")["pid"]
        Client(home).send("POST", "/v1/daemon/stop")
        wait_gone(pid)


def serving(home: Home, without: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """The daemon started, and every app answering; their addresses, and what does not answer of apps whose databases
    are in `without`. GoliveError names what does not of the others."""
    from golive.cli.passphrase import ask
    from golive.daemon.client import connect

    client = connect(home, ask=ask)
    began = time.monotonic()
    excused = {label.rsplit("/", 1)[0] for label in without}
    while late := _late(client):
        others = [text for place, text in late if place not in excused]
        if others and time.monotonic() - began > SERVING:
            raise GoliveError(
                f"everything is back, and {others[0]} does not serve yet", why="; ".join(others[1:]) or None,
                hint="golive status --all and golive logs say why; the daemon goes on trying",
            )  # fmt: skip
        if not others and time.monotonic() - began > WITHOUT:
            break
        time.sleep(0.2)
    urls = [url for app in client.get("/v1/status")["apps"] for url in app["urls"]]
    return urls, [text for _, text in late]


def _late(client: Client) -> list[tuple[str, str]]:
    """Services that are not ready, and addresses that do not answer; the app of each first."""
    found: list[tuple[str, str]] = []
    for app in client.get("/v1/status")["apps"]:
        name = f"{app['app']}/{app['environment']}"
        if app["release"] is None:
            continue
        for each, service in app["services"].items():
            states = [instance["state"] for instance in service["instances"]]
            if len(states) < service["wanted"] or any(state != "ready" for state in states):
                found.append((name, f"{name}/{each} is {', '.join(states) or 'not started'}"))
        silent = [url for url in app["urls"] if not _answers(url)] if app["urls"] else [f"the edge of {name}"]
        found += [(name, text) for text in silent]
    return found


def _answers(url: str) -> bool:
    """Asked on this machine: the name may still lead to the old one."""
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with contextlib.closing(_connection(parts.scheme, parts.hostname or "", port)) as connection:
            connection.request("GET", "/", headers={"Host": parts.netloc, "User-Agent": "golive recover"})
            return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False


def _connection(scheme: str, name: str, port: int) -> http.client.HTTPConnection:
    door = socket.create_connection(("127.0.0.1", port), timeout=5)
    if scheme == "https":  # whether it answers is asked, not who has signed it
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        door = tls.wrap_socket(door, server_hostname=name)
    connection = http.client.HTTPConnection(name, port)
    connection.sock = door
    return connection


def facts(done: Recovered, urls: list[str], waiting: list[str], seconds: float) -> dict[str, Any]:
    """What is on this host now, as JSON."""
    return {
        "host": done.bundle.host,
        "made": done.bundle.made,
        "apps": done.bundle.apps,
        "databases": [{"name": name, "last_write": last} for name, last in done.databases],
        "empty": done.empty,
        "left": done.left,
        "not_serving": waiting,
        "urls": urls,
        "seconds": round(seconds, 1),
    }


def tell_waiting(waiting: list[str]) -> None:
    for text in waiting:
        output.say(f"  does not serve yet, on an empty database: {text}")


def _show(done: Recovered, urls: list[str], waiting: list[str], as_json: bool, *, rehearse: bool) -> None:
    seconds = time.time() - done.begun
    met = seconds <= done.objective
    if as_json:
        output.data({**facts(done, urls, waiting, seconds), "objective": done.objective, "met": met})
        return
    tell_waiting(waiting)
    verdict = "met" if met else "MISSED"
    output.say(
        f"\nserving after {human_duration(seconds)}; the objective is {human_duration(done.objective)}: {verdict}"
    )
    for url in urls:
        print(url)
    if rehearse:
        output.say(
            "\nonly tried: this machine writes no backups. golive recover --take-over makes it the one that does;"
        )
        output.say("golive destroy ends it")
        return
    output.say("\nnext: point the domains here, end the old machine for good, and golive backup create")
