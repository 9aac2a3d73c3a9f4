"""golive db branch: create, list, url, reset, drop."""

from __future__ import annotations

import time
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.db_work import which
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError
from golive.units import duration, human_duration, human_size


@click.group(invoke_without_command=True)
@click.pass_context
def branch(context: click.Context) -> int | None:
    """Copies of the live database as it is now, to try things on: made while it goes on, columns masked as golive.toml
    says, removed when their time is over. Where the filesystem clones (XFS, btrfs, APFS) a branch takes a second and
    no room.

    \b
    Examples:
      golive db branch create try-1
      golive db shell db@try-1
      golive db branch drop try-1
    """
    if context.invoked_subcommand is not None:
        return None
    code: int = context.invoke(list_)
    return code


expires = click.option("--expires", metavar="TIME", help="Removed after it: 2h, 30d, never.")
as_json = click.option("--json", "as_json", is_flag=True, help="As JSON, with the URL.")
named = click.argument("name", shell_complete=complete.branches)


@branch.command()
@click.argument("name")
@which
@click.option("--at", "moment", metavar="TIME", help="As it was then, from its backups: 14:30, 2026-12-24T18:00.")
@click.option("--backup", "id", metavar="ID", help="As a backup has it; golive backup list shows them.")
@expires
@as_json
@place_options
def create(target: Target, name: str, expires: str | None, as_json: bool, **of: str | None) -> int:
    """Make the branch NAME; its URL is on stdout. Removed after 7 days unless --expires says otherwise. Ctrl-C leaves
    nothing of it. With --at or --backup it is a restore, and takes as long as one.

    \b
    Examples:
      golive db branch create try-1
      golive db branch create yesterday --at 2026-12-24T18:00
      DATABASE_URL=$(golive db branch create try-1 --expires 2h) ./manage.py test
    """
    if of["moment"] and of["id"]:
        raise UsageError("a branch is of one moment", hint="--at or --backup")
    body: dict[str, Any] = {**target.query(), "name": name, "resource": of["resource"], "backup": of["id"]}
    if of["moment"]:
        from golive.cli.restore import moment_of

        body["at"] = moment_of(of["moment"])
    return _make("/v1/db/branches", {**body, "expires": _seconds(expires or "7d")}, as_json)


@branch.command()
@named
@expires
@as_json
@place_options
def reset(target: Target, name: str, expires: str | None, as_json: bool) -> int:
    """Give the branch the live database's present again. Its URL stays; what was done in it is lost.

    \b
    Example:
      golive db branch reset try-1
    """
    body = {**target.query(), "name": name}
    return _make("/v1/db/branches/reset", {**body, "expires": _seconds(expires) if expires else None}, as_json)


def _make(path: str, body: dict[str, Any], as_json: bool) -> int:
    began, made = time.monotonic(), {}
    for line in client().stream("POST", path, body):
        if line["type"] == "step":
            output.say(f"  {line['text']}")
        else:
            made = {key: value for key, value in line.items() if key != "type"}
    if as_json:
        output.data(made)
        return 0
    sizes = f"{human_size(made['size'])}, {human_size(made['disk'])} of it on the disk for itself"
    output.say(f"{made['name']} is ready after {human_duration(time.monotonic() - began)}: {sizes}")
    output.say(f"  {made['origin']}; {_left(made['expires_at'])}")
    print(made["url"])
    return 0


@branch.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, in bytes and seconds.")
@place_options
def list_(target: Target, as_json: bool) -> int:
    """Every branch: whose, from when, how large, and what of it is not shared with the live database.

    \b
    Example:
      golive db branch list
    """
    found = client().get("/v1/db/branches", **target.query())["branches"]
    if as_json:
        output.data(found)
    elif not found:
        output.say(f"{target} has no branch; golive db branch create NAME makes one")
    else:
        headers = ("branch", "state", "made", "by", "from", "size", "own disk", "expires")
        output.table(headers, [_row(each) for each in found], fold=("by", "from"))
    return 0


def _row(each: dict[str, Any]) -> tuple[Any, ...]:
    sizes = (human_size(each["size"]), human_size(each["disk"]))
    state = ("running" if each["running"] else "stopped") if each["state"] == "ready" else "half made: reset or drop it"
    made = (output.ago(each["created_at"]), each["by"], each["origin"])
    return (each["name"], state, *made, *sizes, _left(each["expires_at"]))


def _left(expires_at: float | None) -> str:
    if expires_at is None:
        return "never removed"
    return f"removed in {' '.join(human_duration(max(expires_at - time.time(), 0)).split()[:2])}"


@branch.command()
@named
@as_json
@place_options
def url(target: Target, name: str, as_json: bool) -> int:
    """The URL of a branch, with its password. It is written down who asked.

    \b
    Example:
      psql $(golive db branch url try-1)
    """
    found = client().send("POST", "/v1/db/branches/url", {**target.query(), "name": name})
    if as_json:
        output.data(found)
    else:
        print(found["url"])
    return 0


@branch.command()
@named
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def drop(target: Target, name: str, as_json: bool) -> int:
    """Remove a branch and its data.

    \b
    Example:
      golive db branch drop try-1
    """
    found = client().send("POST", "/v1/db/branches/drop", {**target.query(), "name": name})
    if as_json:
        output.data(found)
    else:
        output.say(f"{found['dropped']} is gone")
    return 0


def _seconds(text: str) -> float | None:
    if text == "never":
        return None
    try:
        seconds = duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(f"--expires {text}", why=str(error), hint="such as 2h, 7d or never") from error
    if seconds <= 0:
        raise UsageError(f"--expires {text} is over at once", hint="such as 2h, 7d or never")
    return seconds
