"""golive backup: create, list, show, verify, delete, key."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.env_io import agreed
from golive.cli.place import Target, client, place_options
from golive.cli.status import full_line
from golive.errors import NotFound, UsageError, from_json, nearest
from golive.units import human_duration, human_size

STYLES = {"proven": "green", "unproven": "yellow", "failed": "bold red"}
which = click.option(
    "-r", "--resource", help="Which database.  [default: the first]", shell_complete=complete.resources
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, in bytes and seconds.")


@click.group(invoke_without_command=True)
@click.pass_context
def backup(context: click.Context) -> int | None:
    """Backups of the databases that golive runs: a base backup every night, every write since, and proof that they can
    be restored.

    \b
    Examples:
      golive backup
      golive backup create
      golive restore --to-time 14:30
    """
    if context.invoked_subcommand is not None:
        return None
    code: int = context.invoke(list_)
    return code


@backup.command("list")
@which
@as_json_option
@place_options
def list_(target: Target, resource: str | None, as_json: bool) -> int:
    """Every backup, newest first: *proven* when a drill has restored it, and how long that took; *unproven* when it is
    whole and nobody has; *failed* when it cannot be used. Exit code 1 when something is wrong.

    \b
    Examples:
      golive backup list
      golive backup list --json | jq '.databases[].backups[0].status'
    """
    found = client().get("/v1/backups", **target.query(), resource=resource)
    if as_json:
        output.data(found)
    else:
        for at, each in enumerate(found["databases"]):
            if at:
                print()
            _show(each)
        remind(found["key_kept"])
    return 1 if any(_is_wrong(each) for each in found["databases"]) else 0


def _is_wrong(found: dict[str, Any]) -> bool:
    newest = found["backups"][0]["status"] if found["backups"] else ""
    return bool("error" in found or found["trouble"] or newest == "failed")


def _show(found: dict[str, Any]) -> None:
    receiving = found["receiving"]
    writes = "snapshots, and nothing between them"
    if receiving:
        writes = "writes are received" if receiving["status"] == "ready" else f"writes: {receiving['status']}"
    print(f"{found['name']} to {found['to']}, at {found['schedule']}; {writes}")
    if found["own_disk"]:
        output.say("warning: this is the disk that the database is on, and is lost with it")
        output.say('         [backups] to = "/mnt/other" or "s3://bucket/folder" in golive.toml keeps them elsewhere')
    if found.get("increments", "never") != "never" and not found["increments_possible"]:
        output.say("warning: no increments are made: PostgreSQL can from version 17 on (golive db upgrade)")
    failure = found["last_failure"]
    failed = f"the last backup failed, {output.ago(failure['at'])}: {failure['what']}" if failure else None
    full = full_line(found) if found["soon_full"] else None
    for trouble in dict.fromkeys(filter(None, (found["trouble"], failed, full))):
        output.say(output.wrap(trouble, f"{output.paint('warning:', 'yellow')} ", "  "))
    if found["under_way"]:
        output.say(f"{found['under_way']} is under way")
    if "error" in found:
        output.show_error(from_json(found["error"]))
        return
    if found["backups"]:
        output.table(
            ("backup", "when", "status", "data", "size", "restored in"), [_row(each) for each in found["backups"]]
        )
    else:
        output.say("no backup yet: the first is made within minutes; golive backup create makes one now")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    status = output.paint(each["status"], STYLES[each["status"]], sys.stdout)
    if "ended" not in each:
        return (each["id"], "", status, "", "", each["why"])
    drill = each["drill"]
    id = f"{each['id']} +" if each.get("parent") else each["id"]
    took = each["why"] or (f"{human_duration(drill['seconds'])}, {output.ago(drill['at'])}" if drill else "")
    return (id, output.ago(each["ended"]), status, human_size(each["data"]), human_size(each["size"]), took)


def remind(kept: bool) -> None:
    if not kept:
        output.say()
        output.say("The key of the backups is only on this machine. Without it they cannot be read elsewhere:")
        output.say("  golive backup key    shows it; keep it where you keep passwords")


@backup.command()
@which
@click.option("--increment", is_flag=True, help="Only what changed since the last one: PostgreSQL 17, `increments`.")
@as_json_option
@place_options
def create(target: Target, resource: str | None, increment: bool, as_json: bool) -> int:
    """A base backup now. The app goes on meanwhile. Ctrl-C stops it, and leaves nothing.

    \b
    Examples:
      golive backup create
      golive backup create --increment
    """
    done = follow(target, "/v1/backups", {"resource": resource, "increment": increment})
    if as_json:
        output.data(done)
    else:
        what = f"increment {done['id']} of {done['parent']}" if done.get("parent") else f"backup {done['id']}"
        if increment and not done.get("parent"):
            output.say(
                "  a base backup: an increment wants PostgreSQL 17, [backups] increments, and a backup before it"
            )
        output.say(f"{what}: {human_size(done['data'])} of data in {human_size(done['size'])}")
        for id in done["went"]:
            output.say(f"  {id} went: it is kept no longer")
        remind(client().get("/v1/backups", **target.query())["key_kept"])
    return 0


def follow(target: Target, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Progress as it comes; the result."""
    done: dict[str, Any] = {}
    last = ""
    for line in client().stream("POST", path, {**target.query(), **body}):
        if line["type"] == "done":
            done = {key: value for key, value in line.items() if key != "type"}
        elif (text := _progress(line)) != last:
            output.say(f"  {text}")
            last = text
    return done


def _progress(line: dict[str, Any]) -> str:
    if not line.get("total"):
        return str(line["what"])
    share = 10 * int(10 * line["done"] / line["total"])
    return f"{line['what']}: {share} % of {human_size(line['total'])}"


@backup.command()
@click.argument("id", required=False)
@which
@as_json_option
@place_options
def show(target: Target, id: str | None, resource: str | None, as_json: bool) -> int:
    """One backup, the newest when none is named: what it holds, and what the last drill found.

    \b
    Example:
      golive backup show 20261121T020000Z
    """
    found = client().get("/v1/backups", **target.query(), resource=resource)["databases"][0]
    known = {each["id"]: each for each in found["backups"]}
    if "error" in found:
        raise from_json(found["error"])
    if not known or (id is not None and id not in known):
        near = nearest(id or "", known)
        hint = f"did you mean {near}?" if near else "golive backup list shows what there is"
        raise NotFound(f"{found['name']} has no backup {id or 'yet'}", hint=hint)
    each = known[id] if id else found["backups"][0]
    if as_json:
        output.data(each)
        return 0
    for name, value in _facts(each):
        print(f"{name:<12} {value}")
    return 0


def _facts(each: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("backup", each["id"]), ("status", each["status"] + (f": {each['why']}" if each["why"] else ""))]
    if "ended" not in each:
        return facts
    began, ended = (datetime.fromisoformat(each[name]) for name in ("begun", "ended"))
    taken = f"{ended.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, in {human_duration((ended - began).total_seconds())}"
    facts += [
        *([("increment of", each["parent"])] if each.get("parent") else []),
        ("taken", taken),
        ("Redis" if each.get("engine") == "redis" else "PostgreSQL", each["version"]),
        ("data", f"{human_size(each['data'])}, sealed {human_size(each['size'])}"),
        ("key", each["key"]),
    ]
    if drill := each["drill"]:
        facts += [
            ("restored", f"{output.ago(drill['at'])}, usable after {human_duration(drill['seconds'])}"),
            ("checked", _checked(each, drill)),
            *[("", check) for check in drill["checks"]],
        ]
    return facts


def _checked(each: dict[str, Any], drill: dict[str, Any]) -> str:
    if each.get("engine") == "redis":
        return f"{drill['rows']:,} keys"
    return f"{drill['tables']} tables, {drill['rows']:,} rows, in {human_duration(drill['checking'])}"


@backup.command()
@click.argument("id", required=False)
@which
@as_json_option
@place_options
def verify(target: Target, id: str | None, resource: str | None, as_json: bool) -> int:
    """Read all of a backup, the newest when none is named, and of the writes after it: nothing is missing, no byte has
    changed. What is damaged counts as failed from then on. `golive backup drill` restores it too.

    \b
    Example:
      golive backup verify
    """
    found = client().send("POST", "/v1/backups/verify", {**target.query(), "resource": resource, "id": id})
    if as_json:
        output.data(found)
    else:
        wal = "" if found.get("engine") == "redis" else f", {found['segments']} WAL segments"
        output.say(f"{found['id']} is whole: {human_size(found['verified'])} of data{wal}")
    return 0


@backup.command()
@click.argument("id", required=False)
@which
@as_json_option
@place_options
def drill(target: Target, id: str | None, resource: str | None, as_json: bool) -> int:
    """Prove a backup, the newest when none is named: restore it with all writes since beside the database, check every
    page, table and index and the app's own `checks`, and remove it all. Once a week it happens by itself.

    \b
    Example:
      golive backup drill
    """
    done = follow(target, "/v1/backups/drill", {"resource": resource, "id": id})
    if as_json:
        output.data(done)
        return 0
    for name, value in _facts(done):
        print(f"{name:<12} {value}")
    return 0


@backup.command()
@click.argument("id")
@which
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@place_options
def delete(target: Target, id: str, resource: str | None, yes: bool, as_json: bool) -> int:
    """Remove a backup before its time, and the writes that only it needed.

    \b
    Example:
      golive backup delete 20261121T020000Z
    """
    if not agreed(f"Remove the backup {id} of {target} for good?", yes):
        return 1
    found = client().send("POST", "/v1/backups/delete", {**target.query(), "resource": resource, "id": id})
    if as_json:
        output.data(found)
    else:
        output.say(f"{id} is gone; {found['left']} left" + ("" if found["left"] else ": nothing can be restored now"))
    return 0


@backup.command()
@click.option("--import", "add", is_flag=True, help="Take a key that was kept, from standard input or a prompt.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def key(add: bool, yes: bool, as_json: bool) -> int:
    """The key that the backups of this machine are sealed with. Keep it where you keep passwords, not beside the
    backups: whoever has it can read them, and without it nobody can.

    \b
    Examples:
      golive backup key
      golive backup key --import < key.txt
    """
    if add:
        text = click.prompt("Key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
        found = client().send("POST", "/v1/backups/key", {"add": text.strip()})
        if as_json:
            output.data(found)
        else:
            output.say(f"new backups are sealed with {found['id']}; older ones stay readable here")
        return 0
    if not yes and not sys.stdin.isatty():
        raise UsageError("this shows the key of all backups", hint="golive backup key --yes shows it")
    if not agreed("Show the key of all backups?", yes):
        return 1
    found = client().send("POST", "/v1/backups/key", {})
    if as_json:
        output.data(found)
        return 0
    print(found["key"])
    if not found["kept"] and sys.stdin.isatty() and click.confirm("Is it kept elsewhere now?", err=True):
        client().send("POST", "/v1/backups/key", {"kept": True})
    return 0
