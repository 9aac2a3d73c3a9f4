"""golive env: list, set, unset."""

from __future__ import annotations

import sys

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError


@click.group(invoke_without_command=True)
@click.pass_context
def env(context: click.Context) -> None:
    """Variables of an environment: what is declared, set, and missing. Values of secrets are never shown."""
    if context.invoked_subcommand is None:
        context.invoke(ls)


@env.command()
@click.option("--json", "as_json", is_flag=True)
@place_options
def ls(target: Target, as_json: bool) -> int:
    """Every variable, where its value comes from, and who set it."""
    found = client().get("/v1/env", **target.query())
    if as_json:
        output.data(found)
        return 0
    rows = [
        (
            v["name"],
            v["type"],
            v["value"],
            v["origin"],
            ", ".join(v["for"]) or "all",
            output.ago(v["set_at"]),
            v["set_by"],
        )
        for v in found["variables"]
    ]
    output.table(("name", "type", "value", "from", "for", "set", "by"), rows)
    return 0


@env.command(name="set")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME[=VALUE]…")
@click.option("--json", "as_json", is_flag=True)
@place_options
def set_(target: Target, assignments: tuple[str, ...], as_json: bool) -> int:
    """Set variables for the next deploy. NAME alone asks for the value, or reads it from standard input: so a secret
    is in no shell history and in no process list. `NAME VALUE` works too for one variable."""
    values = _values(assignments)
    found = client().send("PUT", "/v1/env", {**target.query(), "values": values})
    if as_json:
        output.data(found)
    elif found["set"]:
        output.say(f"set {', '.join(found['set'])}; golive deploy puts it in force")
    else:
        output.say("nothing to do: unchanged")
    return 0


def _values(assignments: tuple[str, ...]) -> dict[str, str]:
    if len(assignments) == 2 and "=" not in assignments[0]:
        return {assignments[0]: assignments[1]}
    values = {}
    bare = [a for a in assignments if "=" not in a]
    if len(bare) > 1 and not sys.stdin.isatty():
        raise UsageError("only one value can be read from standard input", hint="set them one at a time")
    for assignment in assignments:
        name, given, value = assignment.partition("=")
        values[name] = value if given else _ask(name)
    return values


def _ask(name: str) -> str:
    if sys.stdin.isatty():
        value: str = click.prompt(name, hide_input=True, err=True)
        return value
    return sys.stdin.read().removesuffix("\n")


@env.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True)
@place_options
def unset(target: Target, names: tuple[str, ...], as_json: bool) -> int:
    """Remove values; the next deploy goes without them, or stops where one is required."""
    found = client().send("DELETE", "/v1/env", {**target.query(), "names": list(names)})
    if as_json:
        output.data(found)
    else:
        output.say(f"unset {', '.join(found['unset'])}" if found["unset"] else "nothing to do: not set")
    return 0
