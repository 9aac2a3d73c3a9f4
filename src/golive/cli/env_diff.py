"""golive env diff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.place import ENVIRONMENT, Target, client, place_options
from golive.errors import UsageError

SAME = {"unchanged": "same", "changed": "differs"}


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option("--all", "every", is_flag=True, help="Also what is the same in both.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def diff(target: Target, first: str, second: str | None, every: bool, as_json: bool) -> int:
    """What differs between A and B, each an environment or one of them a file; B is -e's environment when left out.

    Defaults count as values. Of secrets only whether they are equal is told. Variables of resources differ by nature
    and are left out.

    \b
    Examples:
      golive env diff preview production
      golive env diff .env.local -e development
    """
    one, other = first, second or target.environment
    found = _ask(target, one, other)
    rows = [
        c for c in found["changes"] if not c["kept_out"].startswith("given") and (every or c["state"] != "unchanged")
    ]
    if as_json:
        output.data({"a": one, "b": other, "differences": [_told(change) for change in rows]})
        return 0
    if found["fault"]:
        output.say(output.wrap(f"golive.toml cannot be used, so this is without it: {found['fault']}", "", "  "))
    if not rows:
        output.say(f"{one} and {other} have the same variables and values")
        return 0
    words = SAME | {"added": f"only in {other}", "absent": f"only in {one}"}
    table = [(c["name"], words[c["state"]], c["before"], c["after"]) for c in rows]
    output.table(("name", "", one, other), table, fold=(one, other))
    return 0


def _told(change: dict[str, Any]) -> dict[str, Any]:
    kept = ("name", "secret", "declared")
    words = SAME | {"added": "only in b", "absent": "only in a"}
    return {k: change[k] for k in kept} | {
        "state": words[change["state"]], "a": change["before"], "b": change["after"]
    }  # fmt: skip


def _ask(target: Target, one: str, other: str) -> dict[str, Any]:
    """The changes from `one` to `other`."""
    files = [name for name in (one, other) if _is_file(name)]
    if len(files) == 2:
        raise UsageError("one of the two has to be an environment", hint="such as production; or use diff")
    call: dict[str, Any] = {"app": target.app, "absent": True}
    call["checkout"] = str(target.checkout) if target.checkout else None
    if not files:
        call |= {"environment": one, "other": other}
        return _sent(call)
    from golive.cli.env_io import read

    values = read(Path(files[0])).values
    found = _sent(call | {"environment": other if one == files[0] else one, "values": values})
    if one == files[0]:
        found["changes"] = [_turned(change) for change in found["changes"]]
    return found


def _sent(call: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client().send("POST", "/v1/env/diff", call)
    return found


def _turned(change: dict[str, Any]) -> dict[str, Any]:
    """The same seen from the other side."""
    state = {"added": "absent", "absent": "added"}.get(change["state"], change["state"])
    return {**change, "state": state, "before": change["after"], "after": change["before"]}


def _is_file(name: str) -> bool:
    if Path(name).is_file():
        return True
    if ENVIRONMENT.fullmatch(name):
        return False
    raise UsageError(f"{name} is neither a file nor an environment", hint="production, preview/BRANCH, .env.local")
