"""golive env rotate: another value for a secret, with the one before valid until everybody has the new one."""

from __future__ import annotations

import secrets

import click

from golive.cli import complete, output
from golive.cli.env_io import asked, warn_of_weak
from golive.cli.place import Target, client, place_options
from golive.errors import Conflict, NotFound, UsageError, nearest

BYTES = 32


@click.command()
@click.argument("name", shell_complete=complete.variables)
@click.option("--ask", is_flag=True, help="Ask for the new value, or read it from standard input, in any case.")
@click.option("--end", is_flag=True, help="The value before is valid no longer: forget it.")
@place_options
def rotate(target: Target, name: str, ask: bool, end: bool) -> int:
    """Give the secret NAME another value; the one before goes on as NAME_PREVIOUS. golive makes the new one (32 random
    bytes) where golive.toml says `generate = true`; one of somebody else's making, such as an API key, is asked for.

    Services get both with the next deploy: they sign with NAME and accept either, so nobody is signed out while
    releases change. When what was signed before has run out, --end forgets the old value.

    \b
    Examples:
      golive env rotate SESSION_KEY && golive up
      golive env rotate SESSION_KEY --end && golive up
    """
    from golive.blueprint.env import PREVIOUS

    daemon = client()
    checkout = {"checkout": str(target.checkout)} if target.checkout else {}
    rows = {row["name"]: row for row in daemon.get("/v1/env", **target.query(), **checkout)["variables"]}
    row, previous = rows.get(name), f"{name}{PREVIOUS}"
    if row is None or row["type"] != "secret":
        near = nearest(name, [each for each, found in rows.items() if found["type"] == "secret"])
        raise NotFound(
            f"{target} has no secret {name}",
            hint=f"did you mean {near}?" if near else f'declare it: [env.{name}] with type = "secret"',
        )
    if end:
        if daemon.send("DELETE", "/v1/env", {**target.query(), "names": [previous]})["unset"]:
            output.say(f"{previous} is forgotten; golive up puts it in force")
        else:
            output.say(f"nothing to do: no rotation of {name} is under way")
        return 0
    if row["origin"] != "set":
        raise NotFound(f"{name} has no value to be changed", hint=f"golive env set {name}")
    if previous in rows and rows[previous]["origin"] == "set":
        raise Conflict(
            f"a rotation of {name} is under way since {output.ago(rows[previous]['set_at'])}",
            hint=f"golive env rotate {name} --end, when nothing needs the value before any more",
        )
    new = secrets.token_urlsafe(BYTES) if row["generate"] and not ask else asked(name)
    if not new:
        raise UsageError("the new value is empty", hint="type it, or give it on standard input; nothing was changed")
    daemon.send("PUT", "/v1/env", {**target.query(), "values": {name: new}, "rotate": True})
    warn_of_weak(target, {name: new})
    output.say(f"{name} has another value, {previous} the one before; golive up puts both in force")
    output.say(output.wrap(f"golive env rotate {name} --end, when what was signed before has run out", "", "  "))
    return 0
