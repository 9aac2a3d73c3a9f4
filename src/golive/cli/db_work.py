"""golive db size, shell, vacuum, reindex."""

from __future__ import annotations

import os
import shutil
from typing import Any, NoReturn

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import NotFound
from golive.units import human_duration, human_size

which = click.option(
    "-r", "--resource", help="Which database.  [default: the first PostgreSQL]", shell_complete=complete.resources
)


@click.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@click.option("--json", "as_json", is_flag=True, help="As JSON, in bytes.")
@place_options
def size(target: Target, resource: str | None, as_json: bool) -> int:
    """How large each database is, and each of its tables.

    \b
    Example:
      golive db size
    """
    found = client().get("/v1/db/size", **target.query(), resource=resource)
    if as_json:
        output.data(found)
        return 0
    for each in found["resources"]:
        if each["engine"] == "redis":
            keys = sum(space["keys"] for space in each["keys"].values())
            limit = f" of {human_size(each['limit'])}" if each["limit"] else ""
            print(f"{each['name']}: {human_size(each['size'])}{limit}, {keys:,} keys")
            continue
        print(f"{each['name']}: {human_size(each['size'])}")
        if each["tables"]:
            output.table(("table", "rows", "table", "indexes", "toast"), [table_row(one) for one in each["tables"]])
    return 0


def table_row(each: dict[str, Any]) -> tuple[str, ...]:
    name = each["name"] if each["schema"] == "public" else f"{each['schema']}.{each['name']}"
    return (name, f"{each['rows']:,}", *(human_size(each[part]) for part in ("table", "indexes", "toast")))


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("resource", required=False, shell_complete=complete.resources)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS…]")
@place_options
def shell(target: Target, resource: str | None, words: tuple[str, ...]) -> int:
    """psql or redis-cli, connected as the app. What follows the resource is the program's own.

    \b
    Examples:
      golive db shell
      golive db shell db -- -c 'SELECT count(*) FROM users'
    """
    if resource is not None and resource.startswith("-"):
        words, resource = (resource, *words), None
    _become(client().send("POST", "/v1/db/shell", {**target.query(), "resource": resource}), words)


def _become(spec: dict[str, Any], words: tuple[str, ...]) -> NoReturn:
    """This process becomes it: terminal, signals and exit code are its own. Our own PG* must not lead it elsewhere."""
    program = shutil.which(spec["program"])
    if program is None:
        raise NotFound(
            f"there is no {spec['program']} on this machine",
            where=spec["resource"],
            hint=f"apt-get install {spec['package']}, or your system's package of it",
        )
    env = {key: value for key, value in os.environ.items() if not key.startswith("PG") and key != "REDISCLI_AUTH"}
    os.execve(program, [program, *spec["args"], *words], {**env, **spec["env"]})  # noqa: S606 - no shell


@click.command()
@click.argument("table", required=False)
@which
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
@place_options
def vacuum(target: Target, table: str | None, resource: str | None, as_json: bool) -> int:
    """Make the space of dead rows usable again and count rows anew (VACUUM ANALYZE): TABLE, or all of them. The app
    goes on meanwhile. Ctrl-C stops it on the server too.

    \b
    Examples:
      golive db vacuum
      golive db vacuum orders
    """
    return _maintain(target, {"work": "vacuum", "resource": resource, "name": table}, as_json)


@click.command()
@click.argument("name", required=False, metavar="[INDEX|TABLE]")
@which
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
@place_options
def reindex(target: Target, name: str | None, resource: str | None, as_json: bool) -> int:
    """Make an index, those of a table, or all anew (REINDEX CONCURRENTLY): the old one serves until the new one is
    whole. What an earlier, interrupted one left behind is dropped. Ctrl-C stops it on the server too.

    \b
    Examples:
      golive db reindex orders_customer_idx
      golive db reindex orders
    """
    return _maintain(target, {"work": "reindex", "resource": resource, "name": name}, as_json)


def _maintain(target: Target, body: dict[str, Any], as_json: bool) -> int:
    made, last = [], ""
    for line in client().stream("POST", "/v1/db/maintain", {**target.query(), **body}):
        if line["kind"] == "progress":
            if (text := _progress(line)) != last:
                output.say(f"  {text}")
                last = text
            continue
        if line["kind"] != "begun":
            made.append({key: value for key, value in line.items() if key != "type"})
        output.say(_words(line))
    if as_json:
        output.data(made)
    elif not made:
        output.say("nothing to do: there is none that the app owns")
    return 0


def _words(line: dict[str, Any]) -> str:
    if line["kind"] == "begun":
        return f"{line['name']}, {human_size(line['before'])}"
    if line["kind"] == "done":
        sizes = f"{human_size(line['before'])} -> {human_size(line['after'])}"
        return f"  {sizes} in {human_duration(line['seconds'])}"
    return f"{line['kind']} {line['name']}: {line['text']}"


def _progress(line: dict[str, Any]) -> str:
    share = f", {min(line['done'] / line['total'], 1):.0%}" if line["total"] else ""
    waits = f", for session {line['waits_for']}" if line["waits_for"] else ""
    return f"{line['text']}{share}{waits}"
