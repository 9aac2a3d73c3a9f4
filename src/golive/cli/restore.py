"""golive restore: into a copy, side by side, swap, undo, drop."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.backup import as_json_option, follow, which
from golive.cli.env_io import agreed
from golive.cli.place import Target, client, environment_option, find, place_options
from golive.errors import UsageError
from golive.units import human_duration, human_size

LINES = 20
"""Tables that are shown; --json has them all."""


@click.group(invoke_without_command=True)
@click.option("--to-time", "moment", metavar="TIME", help="To the last write before it: 14:30, 2026-12-24T18:00.")
@click.option("--backup", "id", metavar="ID", help="To a backup as it was taken; golive backup list shows them.")
@click.option("--before-migration", is_flag=True, help="To the moment before the last migrations.")
@click.option("--latest", is_flag=True, help="To the last write that was received; so it is when nothing is said.")
@click.option("--yes", is_flag=True, help="Swap it in at once, without looking at it first.")
@which
@as_json_option
@click.option("--app", metavar="APP", help="Name of the app; else that of the golive.toml here or above.")
@environment_option
@click.option("-C", "--directory", type=click.Path(path_type=Path), default=Path(), help="Checkout to look in.")
@click.pass_context
def restore(context: click.Context, /, **asked: Any) -> int | None:
    """Bring a database back as it was, to latest, a time, a backup, or before a migration. First as a copy beside it,
    shown side by side; nothing of the live database changes until `golive restore swap`.

    \b
    Examples:
      golive restore --to-time 14:30
      golive restore swap
      golive restore undo
    """
    if context.invoked_subcommand is not None:
        return None
    given = [bool(asked["moment"]), bool(asked["id"]), asked["before_migration"], asked["latest"]]
    if sum(given) > 1:
        raise UsageError(
            "a restore goes to one moment", hint="one of --to-time, --backup, --before-migration, --latest"
        )
    target = find(asked["directory"], asked["environment"], asked["app"])
    at = moment_of(asked["moment"]) if asked["moment"] else None
    body = {"resource": asked["resource"], "id": asked["id"], "at": at, "before_migration": asked["before_migration"]}
    done = follow(target, "/v1/restores", body)
    if asked["yes"]:
        done["swap"] = follow(target, "/v1/restores/swap", {"copy_name": done["copy"]})
    if asked["as_json"]:
        output.data(done)
    else:
        _show(done)
    return 0


def passed_over(done: dict[str, Any]) -> None:
    if done["passed_over"]:
        failed = ", ".join(done["passed_over"])
        output.say(f"warning: {failed} failed and was passed over; golive backup show says why, --backup ID takes it")


def moment_of(text: str) -> float:
    """A time of day is today's, or yesterday's when that is still to come."""
    from datetime import timedelta

    now = datetime.now().astimezone()
    try:
        if len(text) <= 8 and ":" in text:
            at = datetime.combine(now.date(), datetime.fromisoformat(f"2000-01-01T{text.zfill(5)}").time()).astimezone()
            return (at if at <= now else at - timedelta(days=1)).timestamp()
        found = datetime.fromisoformat(text)
    except ValueError:
        hint = "such as 14:30, 2026-12-24T18:00 or 2026-12-24T18:00:30+01:00"
        raise UsageError(f"{text!r} is not a time", hint=hint) from None
    if found.timestamp() > now.timestamp():
        raise UsageError(f"{text} is still to come", hint="a restore goes to a time that has been")
    return found.timestamp()


def _show(done: dict[str, Any]) -> None:
    lines = done["kinds"] if "kinds" in done else done["tables"]
    if "kinds" in done:
        heads: tuple[str, ...] = ("keys", "now", "restored", "size now", "restored", "newest now", "restored")
        rows = [_kind(each) for each in lines[:LINES]]
    else:
        heads = ("table", "rows now", "restored", "newest now", "restored")
        rows = [_row(each) for each in lines[:LINES]]
    if rows:
        output.table(heads, rows)
    if len(lines) > LINES:
        output.say(f"and {len(lines) - LINES} more; --json shows them all")
    if done["uncompared"]:
        output.say(f"warning: the live database could not be compared with it: {done['uncompared']}")
    output.say()
    last = f", last write {done['last_commit'][:19]} UTC" if done["last_commit"] else ""
    output.say(f"{done['copy']}: backup {done['id']}, usable after {human_duration(done['seconds'])}{last}")
    passed_over(done)
    if done["behind"]:
        output.say("warning: there are later writes that no good backup leads to: the WAL has a gap before them")
    if "swap" in done:
        _swapped(done["swap"])
        return
    output.say("nothing of the live database has changed")
    output.say(f"  golive restore swap {done['copy']}    puts it in its place; what it replaces is kept")
    output.say(f"  golive restore drop {done['copy']}    removes it; by itself it goes in 7 days")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    live, copy = each["live"], each["copy"]
    same = live == copy
    return (
        each["table"],
        _count(live),
        f"{_count(copy)}{'' if same else '  *'}",
        (live or {}).get("newest", "")[:19],
        (copy or {}).get("newest", "")[:19],
    )


def _kind(each: dict[str, Any]) -> tuple[str, ...]:
    live, copy = each["live"], each["copy"]
    same = live is not None and copy is not None and live["keys"] == copy["keys"]
    sizes = [human_size(seen["bytes"]) if seen else "" for seen in (live, copy)]
    newest = [(seen or {}).get("newest", "") for seen in (live, copy)]
    return (each["kind"], _keys(live), f"{_keys(copy)}{'' if same else '  *'}", *sizes, *newest)


def _keys(seen: dict[str, Any] | None) -> str:
    if seen is None:
        return "none"
    return f"{seen['keys']:,}" if seen["exact"] else f"over {seen['keys']:,}"


def _count(seen: dict[str, Any] | None) -> str:
    if seen is None:
        return "none"
    return f"{seen['rows']:,}" if seen["exact"] else f"about {seen['rows']:,}"


@restore.command("list")
@as_json_option
@place_options
def list_(target: Target, as_json: bool) -> int:
    """What was restored and not swapped in, and what was replaced.

    \b
    Example:
      golive restore list
    """
    found = client().get("/v1/restores", **target.query())
    if as_json:
        output.data(found)
    elif not found["copies"]:
        output.say("there is none: golive restore makes one")
    else:
        rows = [
            (each["name"], each["kind"], each["origin"], human_size(each["disk"]), _until(each["expires_at"]))
            for each in found["copies"]
        ]
        output.table(("copy", "what", "from", "disk", "goes"), rows, fold=("from",))
    return 0


def _until(moment: float | None) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M") if moment else "never"


@restore.command()
@click.argument("copy", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@place_options
def swap(target: Target, copy: str | None, yes: bool, as_json: bool) -> int:
    """Put what was restored, the newest copy when none is named, in the place of the database. Requests wait at the
    edge for the moment, and the app's instances start anew. What is replaced is kept for 7 days.

    \b
    Examples:
      golive restore swap
      golive restore swap db@restored-1121-043000 --yes
    """
    return _exchange(target, "swap", copy, (yes, as_json))


@restore.command()
@click.argument("copy", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@place_options
def undo(target: Target, copy: str | None, yes: bool, as_json: bool) -> int:
    """Put back what a swap replaced. What took its place is kept, with everything that was written since.

    \b
    Example:
      golive restore undo
    """
    return _exchange(target, "undo", copy, (yes, as_json))


def _exchange(target: Target, what: str, copy: str | None, how: tuple[bool, bool]) -> int:
    yes, as_json = how
    kind = "restored" if what == "swap" else "replaced"
    question = f"Put {copy or f'the newest {kind} copy'} in the place of the database of {target}?"
    if not agreed(question, yes):
        return 1
    done = follow(target, f"/v1/restores/{what}", {"copy_name": copy})
    if as_json:
        output.data(done)
    else:
        _swapped(done)
    return 0


def _swapped(done: dict[str, Any]) -> None:
    output.say(f"{done['resource']} is what {done['swapped']} was; requests waited {done['seconds_away']:.1f} s")
    output.say(f"what it was before is kept as {done['kept']}: golive restore undo puts it back")


@restore.command()
@click.argument("copy", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@place_options
def drop(target: Target, copy: str | None, yes: bool, as_json: bool) -> int:
    """Remove a copy that a restore has made or replaced, the newest when none is named.

    \b
    Example:
      golive restore drop db@restored-1121-043000
    """
    if not agreed(f"Remove {copy or 'the newest restored or replaced copy'} of {target} for good?", yes):
        return 1
    done = client().send("POST", "/v1/restores/drop", {**target.query(), "copy_name": copy})
    if as_json:
        output.data(done)
    else:
        output.say(f"{done['dropped']} is gone")
    return 0
