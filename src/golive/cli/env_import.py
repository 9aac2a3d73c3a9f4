"""golive env import, push: set an environment's variables from a .env file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.env_io import (
    LOCAL,
    PATH,
    agreed,
    checkout,
    count,
    dry_run_option,
    json_option,
    left_out,
    read,
    show,
    yes_option,
)
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError


@click.command(name="import")
@click.argument("file", type=PATH, metavar="FILE")
@click.option("--undeclared", is_flag=True, help="Also what golive.toml does not declare.")
@dry_run_option
@yes_option
@json_option
@place_options
def import_(target: Target, file: Path, undeclared: bool, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Set an environment's variables from a .env file; `-` is standard input.

    What would be added and changed is shown first, secrets as dots. Every value is checked against its declaration;
    nothing is set when one is at fault. `${NAME}` in a value is taken as it stands.

    \b
    Examples:
      golive env import .env.production
      golive env import .env.preview -e preview --yes
    """
    return _take(target, file, undeclared=undeclared, dry_run=dry_run, yes=yes, as_json=as_json)


@click.command()
@click.argument("file", type=PATH, default=LOCAL, metavar="[FILE]")
@click.option("--undeclared", is_flag=True, help="Also what golive.toml does not declare.")
@dry_run_option
@yes_option
@json_option
@place_options
def push(target: Target, file: Path, undeclared: bool, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Set an environment's variables to what FILE (.env.local) says. What only the environment has stays.

    \b
    Example:
      golive env push -e development
    """
    return _take(target, file, undeclared=undeclared, dry_run=dry_run, yes=yes, as_json=as_json)


def _take(target: Target, file: Path, *, undeclared: bool, dry_run: bool, yes: bool, as_json: bool) -> int:
    parsed = read(file)
    daemon = client()
    call = {**target.query(), "checkout": checkout(target)}
    found = daemon.send("POST", "/v1/env/diff", {**call, "values": parsed.values})
    _refuse(found["faults"], file)
    taken = [c for c in found["changes"] if not left_out(c, undeclared) and c["state"] != "unchanged"]
    if not as_json:
        show(found["changes"], undeclared)
    for note in parsed.notes:
        output.say(note)
    answer: dict[str, Any] = {"changes": found["changes"], "set": []}
    if not taken:
        output.say("nothing to do: unchanged")
    elif not dry_run and agreed(f"Set {count(taken)} of {target}?", yes):
        values = {c["name"]: parsed.values[c["name"]] for c in taken}
        answer["set"] = daemon.send("PUT", "/v1/env", {**target.query(), "values": values})["set"]
        output.say(f"set {', '.join(answer['set'])}; golive deploy puts it in force")
    if as_json:
        output.data(answer)
    return 0


def _refuse(faults: list[dict[str, Any]], file: Path) -> None:
    if faults:
        lines = [f"  {f['path'].removeprefix('env.')} {f['message']}" + _hinted(f.get("hint")) for f in faults]
        raise UsageError(f"{file} cannot be taken, and nothing was set:\n" + "\n".join(lines), hint="correct the file")


def _hinted(hint: str | None) -> str:
    return f"; {hint}" if hint else ""
