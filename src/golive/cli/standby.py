"""golive standby."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import click

from golive.cli import output
from golive.errors import UsageError
from golive.units import human_duration, human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from golive.home import Home
    from golive.release.recover import Recovered
    from golive.release.standby import Standing

LATE = 120.0
"""Seconds without a look, after which a standby is not well."""


@click.group(invoke_without_command=True)
@click.option("--from", "source", metavar="PLACE", help="A folder, or s3://bucket/folder, as in [backups] to.")
@click.option(
    "--key-file",
    type=click.File(),
    help="The key of the backups; - is stdin.  [default: $GOLIVE_BACKUP_KEY, or asked for]",
)
@click.option("--host", metavar="ID", help="Which host, where PLACE has several.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def standby(
    context: click.Context, *, source: str | None, key_file: Any, host: str | None, as_json: bool
) -> int | None:
    """A machine that follows another one by its backups, and takes its place with one command.

    GOLIVE_HOME has to be empty. Bundles and writes are taken over as they arrive in PLACE; nothing is served. For S3,
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say how to get in; they are kept in GOLIVE_HOME, as the key is.

    \b
    Examples:
      golive standby --from s3://backups/web-1 --key-file ~/golive-backup.key
      golive standby status
      golive standby promote
    """
    if context.invoked_subcommand is not None:
        return None
    if source is None:
        raise UsageError("where from is missing", hint="golive standby --from PLACE, the place of the other's backups")
    from golive.backup.credentials import Credentials
    from golive.cli import recover
    from golive.home import Home
    from golive.release.recover import Source

    home = Home.default()
    given = Source(recover.absolute(source), Credentials.find(os.environ), recover.key_of(key_file), host)
    standing = _begin(home, given)
    if as_json:
        output.data({"host": standing.source.host, "hostname": standing.hostname, "apps": standing.apps})
    else:
        output.say(f"\nthis host follows {standing.hostname}: golive standby status")
        output.say("golive service install, so that it goes on when this machine starts")
    return 0


def _begin(home: Home, source: Any) -> Standing:
    from golive.cli.follow import Narrator
    from golive.cli.passphrase import given
    from golive.daemon.main import held
    from golive.daemon.wiring import build_host
    from golive.release.recover import require_empty
    from golive.release.standby import begin

    if not home.standby.exists():
        require_empty(home)
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _without_daemon(home), held(home), contextlib.closing(Narrator(f"{home.root} becomes a standby")) as narrator:
        return asyncio.run(begin(home, source, lambda: build_host(home, given)[0], narrator.event))


@contextlib.contextmanager
def _without_daemon(home: Home) -> Iterator[None]:
    """Afterwards a standby goes on, whatever came of it."""
    from golive.cli.passphrase import ask
    from golive.cli.recover import end_bare_daemon
    from golive.daemon.client import connect

    end_bare_daemon(home)
    try:
        yield
    finally:
        if home.standby.exists() and not home.recovering.exists():
            connect(home, ask=ask)


@standby.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> int:
    """How far each database is behind, and whether the other host is still there.

    \b
    Example:
      golive standby status --json
    """
    from golive.cli.place import client
    from golive.home import Home
    from golive.release.standby import require

    require(Home.default())
    found = client().get("/v1/standby")
    if as_json:
        output.data(found)
    else:
        show(found)
    return 0


def show(found: dict[str, Any]) -> None:
    """This host, which is a standby."""
    now = time.time()
    there = f"was there {_ago(found['heard'], now)}" if found["heard"] else "has not been heard of yet"
    print(f"standby of {found['hostname']} by {found['from']}, begun {_ago(found['since'], now)}; that host {there}")
    print(f"bundle {found['bundle']['id']}, {_ago(found['bundle']['made'], now)}")
    for each in found["databases"]:
        print(f"{each['name']}: {_line(each, now)}")
    for what, text in found["trouble"].items():
        output.say(f"warning: {what}: {text}")


def follower_lines(found: list[dict[str, Any]], now: float) -> list[str]:
    """The standbys of this host, as they said last."""
    lines = []
    for each in found:
        late = now - each["looked"] > LATE
        looked = f"it {'has not looked since' if late else 'looked'} {_ago(each['looked'], now)}"
        since = f", begun {_ago(each['since'], now)}" if each["since"] else ""
        lines.append(f"{'warning: ' if late else ''}a standby follows this host{since}; {looked}")
        lines += [f"  {one['name']}: {_line(one, now)}" for one in each["databases"]]
    return lines


def _line(each: dict[str, Any], now: float) -> str:
    if each["behind_bytes"] is None:
        return str(each["state"])
    behind = "has all that has arrived"
    if each["behind_bytes"]:
        late = human_duration(each["behind_seconds"])
        behind = f"{human_size(each['behind_bytes'])}, {each['behind_files']} files and {late} behind"
    last = f"; newest write {_ago(each['last_write'], now)}" if each.get("last_write") else ""
    return f"{each['state']}, {behind}{last}"


def _ago(at: float, now: float) -> str:
    return f"{human_duration(max(now - at, 0))} ago"


@standby.command()
@click.option("--force", is_flag=True, help="Also when the other host is alive: it ends everything when it sees that.")
@click.option(
    "--without", metavar="APP/ENVIRONMENT/RESOURCE", multiple=True, help="A database that begins empty. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def promote(*, force: bool, without: tuple[str, ...], as_json: bool) -> int:
    """Take the place of the other host: it is fenced, the last writes are fetched, and everything is served here.

    Ended half way, the same command goes on.

    \b
    Example:
      golive standby promote
    """
    from golive.cli.recover import serving, tell_left
    from golive.home import Home
    from golive.release.standby import settle

    home = Home.default()
    settle(home)
    if not home.standby.exists() and home.state.exists() and _was_promoted():
        output.say("nothing to do: this host was promoted, and serves (golive status --all)")
        return 0
    done = _promote(home, force, without)
    tell_left(done, "brought along", without, quiet=as_json)
    urls, waiting = serving(home, without)
    _show(done, urls, waiting, as_json)
    return 1 if waiting else 0


def _was_promoted() -> bool:
    from golive.cli.place import client

    return any(each["action"] == "standby.promote" for each in client().get("/v1/audit")["entries"])


def _promote(home: Home, force: bool, without: tuple[str, ...]) -> Recovered:
    from golive.cli.follow import Narrator
    from golive.cli.passphrase import given
    from golive.daemon.main import held
    from golive.daemon.wiring import build_host
    from golive.release.standby import promote as take_over
    from golive.release.standby import require

    require(home)
    with _without_daemon(home), held(home), contextlib.closing(Narrator(f"{home.root} takes over")) as narrator:
        work = take_over(home, lambda: build_host(home, given)[0], narrator.event, without=without, force=force)
        try:
            return asyncio.run(work)
        except KeyboardInterrupt:
            narrator.close()
            output.say("stopped; the same command goes on from here")
            raise


def _show(done: Recovered, urls: list[str], waiting: list[str], as_json: bool) -> None:
    from golive.cli.recover import facts, tell_waiting

    seconds = time.time() - done.begun
    if as_json:
        output.data(facts(done, urls, waiting, seconds))
        return
    tell_waiting(waiting)
    for name, last in done.databases:
        output.say(f"  {name}: {last}; what was written after that is missing")
    output.say(f"\nserving after {human_duration(seconds)}")
    for url in urls:
        print(url)
    output.say("\nnext: point the domains here, and golive backup create")
