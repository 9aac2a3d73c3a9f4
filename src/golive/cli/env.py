"""golive env: list, set, unset; with files in env_import.py and env_export.py."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from golive.blueprint.strength import OLD
from golive.cli import complete, env_diff, env_export, env_import, env_rotate, output
from golive.cli.env_io import asked, warn_of_weak
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError

ORIGINS = {
    "default": "default",
    "resource": "its resource",
    "golive": "golive makes it",
    "optional": "optional, not set",
    "missing": "MISSING: golive env set",
}


@click.group(invoke_without_command=True)
@click.pass_context
def env(context: click.Context) -> int | None:
    """Variables of an environment: what is declared, set, and missing. Values of secrets are never shown.

    What is set with -e preview holds in every preview; what is set with -e preview/BRANCH, in that one instead.

    \b
    Examples:
      golive env
      golive env set LOG_LEVEL=debug
      golive env set OPENAI_API_KEY < key.txt
    """
    if context.invoked_subcommand is not None:
        return None
    code: int = context.invoke(ls)
    return code


@env.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def ls(target: Target, as_json: bool) -> int:
    """Every variable, its value and where that comes from: set here, set for all previews, a default, a resource.
    Secrets show as dots.

    \b
    Example:
      golive env ls -e preview/new-page
    """
    checkout = {"checkout": str(target.checkout)} if target.checkout else {}
    found = client().get("/v1/env", **target.query(), **checkout)
    if as_json:
        output.data(found)
        return 0
    if found["fault"]:
        output.say(output.wrap(f"golive.toml cannot be used, so this is without it: {found['fault']}", "", "  "))
    if not found["variables"]:
        print(f"{target} has no variables")
        return 0
    rows = [(v["name"], v["type"], v["value"], _origin(v), ", ".join(v["for"]) or "all") for v in found["variables"]]
    output.table(("name", "type", "value", "from", "for"), rows, fold=("value", "for"))
    if old := _old(found["variables"]):
        output.say(f"older than {OLD} days: {', '.join(old)}; golive env rotate {old[0]} gives it another value")
    return 0


def _old(variables: list[dict[str, Any]]) -> list[str]:
    """Secrets that are to be changed."""
    before = time.time() - OLD * 86400
    return [v["name"] for v in variables if v["type"] == "secret" and v["set_at"] and v["set_at"] < before]


def _origin(variable: dict[str, Any]) -> str:
    if variable["origin"] == "undeclared":
        return f"not declared, read in {variable['read']}"
    if variable["origin"] != "set":
        detail = f" ({variable['detail']})" if variable.get("detail") else ""
        return ORIGINS.get(variable["origin"], str(variable["origin"])) + detail
    word = "generated" if variable["set_by"] == "golive" else "set"
    scope = variable.get("scope") or ""
    where = f" for {scope}" if scope.startswith("preview") else ""
    over = f", over that of {variable['over']}" if variable.get("over") else ""
    undeclared = "" if variable["declared"] else ", not declared"
    return f"{word}{where} {output.ago(variable['set_at'])}{over}{undeclared}"


@env.command(name="set")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME[=VALUE]…", shell_complete=complete.variables)
@click.option("--json", "as_json", is_flag=True, help="What was set, as JSON.")
@place_options
def set_(target: Target, assignments: tuple[str, ...], as_json: bool) -> int:
    """Set variables for the next deploy. NAME alone asks for the value, or reads it from standard input: so a secret
    is in no shell history and in no process list. `NAME VALUE` works too for one variable.

    \b
    Examples:
      golive env set LOG_LEVEL=debug RATE_LIMIT_DAILY=10
      golive env set STRIPE_WEBHOOK_SECRET
    """
    given = values(assignments)
    found = client().send("PUT", "/v1/env", {**target.query(), "values": given})
    warn_of_weak(target, {name: given[name] for name in found["set"]})
    if as_json:
        output.data(found)
    elif found["set"]:
        output.say(f"set {', '.join(found['set'])}; golive deploy puts it in force")
    else:
        output.say("nothing to do: unchanged")
    return 0


def values(assignments: tuple[str, ...]) -> dict[str, str]:
    """Names and values as they were given, asked for, or read from standard input."""
    if len(assignments) == 2 and "=" not in assignments[0]:
        return {assignments[0]: assignments[1]}
    bare = [a for a in assignments if "=" not in a]
    if len(bare) > 1 and not sys.stdin.isatty():
        raise UsageError("only one value can be read from standard input", hint="set them one at a time")
    if any(a.startswith("=") for a in assignments):
        raise UsageError("a value has no name before its =", hint="golive env set NAME=VALUE")
    found = {}
    for assignment in assignments:
        name, given, value = assignment.partition("=")
        found[name] = value if given else asked(name)
    return found


@env.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete.variables)
@click.option("--json", "as_json", is_flag=True, help="What was removed, as JSON.")
@place_options
def unset(target: Target, names: tuple[str, ...], as_json: bool) -> int:
    """Remove values; the next deploy goes without them, or stops where one is required.

    \b
    Example:
      golive env unset LOG_LEVEL
    """
    found = client().send("DELETE", "/v1/env", {**target.query(), "names": list(names)})
    if as_json:
        output.data(found)
        return 0
    if found["unset"]:
        output.say(f"unset {', '.join(found['unset'])}; golive deploy puts it in force")
    if found["missing"]:
        output.say(f"nothing to do: {', '.join(found['missing'])} was not set")
    if found["still"]:
        wider = target.environment.partition("/")[0]
        output.say(f"{', '.join(found['still'])}: what is set for {wider} holds; golive env unset … -e {wider}")
    return 0


for _command in (
    env_import.import_,
    env_export.export,
    env_export.pull,
    env_import.push,
    env_diff.diff,
    env_rotate.rotate,
):
    env.add_command(_command)
