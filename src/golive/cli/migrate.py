"""golive migrate: status, plan, up."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options


@click.group(invoke_without_command=True)
@click.pass_context
def migrate(context: click.Context) -> int | None:
    """Schema migrations of the live release: where the database stands, what would run, running it now. A deploy runs
    what is pending by itself.

    \b
    Examples:
      golive migrate
      golive migrate plan
      golive migrate up
    """
    if context.invoked_subcommand is not None:
        return None
    code: int = context.invoke(status)
    return code


@migrate.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def status(target: Target, as_json: bool) -> int:
    """Every migration: applied, pending, changed since, or half done. Exit code 1 when something stops the next one.

    \b
    Example:
      golive migrate status --json | jq .pending
    """
    found = client().get("/v1/migrations", **target.query())
    if as_json:
        output.data(found)
    else:
        _show(target, found)
    return 1 if found["stop"] else 0


def _show(target: Target, found: dict[str, Any]) -> None:
    at = f"schema at {found['version']}" if found["version"] else "nothing applied"
    output.say(f"{target}: {found['tool']} in {found['source']}, {at}, {len(found['pending'])} pending")
    if not found["migrations"]:
        print("there are no migrations")
        return
    rows = [(m["name"], _state(m), output.ago(m["applied_at"]), m["release"]) for m in found["migrations"]]
    output.table(("migration", "state", "applied", "release"), rows, fold=("migration",))
    _say_stop(found)


def _state(migration: dict[str, Any]) -> str:
    if migration["state"] == "unfinished" and migration["statements"]:
        return f"unfinished, {migration['done']} of {migration['statements']} statements"
    return "changed since it was applied" if migration["state"] == "drifted" else str(migration["state"])


def _say_stop(found: dict[str, Any]) -> None:
    if found["stop"]:
        output.say(f"\n{found['stop']['what']}\n  {output.paint('hint:', 'cyan')}  {found['stop']['hint']}")


@migrate.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def plan(target: Target, as_json: bool) -> int:
    """The SQL that `up`, or the next deploy of the same files, would run. Changes nothing.

    \b
    Example:
      golive migrate plan > review.sql
    """
    found = client().get("/v1/migrations", **target.query(), sql="true")
    if as_json:
        output.data(found)
        return 1 if found["stop"] else 0
    _say_stop(found)
    if not found["pending"]:
        output.say(f"nothing to do: {target} has no pending migration")
    elif found["sql"]:
        print(found["sql"])
    for migration in found["migrations"] if not found["sql"] else ():
        if migration["name"] in found["pending"]:
            print(_sql(migration))
    return 1 if found["stop"] else 0


def _sql(migration: dict[str, Any]) -> str:
    rest = f", from statement {migration['done'] + 1}" if migration["done"] else ""
    return f"-- {migration['name']}{rest}\n{migration['sql'] or '-- its tool does not say'}\n"


@migrate.command()
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@place_options
def up(target: Target, as_json: bool) -> int:
    """Run what is pending now, for the release that is live, from the files of its checkout. Refused while a
    deployment is under way.

    \b
    Example:
      golive migrate up
    """
    result: dict[str, Any] = {}
    for line in client().stream("POST", "/v1/migrations", target.query()):
        if line["type"] == "done":
            result = {name: value for name, value in line.items() if name != "type"}
        else:
            output.say(line["text"] if line["kind"] in ("notice", "mended") else f"{line['kind']}: {line['text']}")
    if as_json:
        output.data(result)
    elif not result.get("files"):
        output.say(f"nothing to do: {target} has no pending migration")
    else:
        output.say(f"{len(result['files'])} applied, schema at {result['version_after']}")
    return 0
