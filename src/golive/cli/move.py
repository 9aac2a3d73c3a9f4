"""golive move: status, start, compare, cutover, revert, finish."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.env_io import agreed
from golive.cli.follow import follow
from golive.cli.place import Target, client, place_options
from golive.errors import from_json
from golive.units import human_duration

as_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
which = click.argument("name", required=False)
SIDES = {"redis": "Redis", "postgres": "PostgreSQL"}


@click.group(invoke_without_command=True)
@click.pass_context
def move(context: click.Context) -> int | None:
    """Move what an app keeps in Redis to PostgreSQL while it runs, as `[moves.<name>]` in golive.toml says. NAME may be
    left out when there is one.

    \b
    Examples:
      golive move
      golive move start
      golive move cutover
    """
    if context.invoked_subcommand is not None:
        return None
    code: int = context.invoke(status)
    return code


@move.command()
@as_json_option
@place_options
def status(target: Target, as_json: bool) -> int:
    """How far each move is, and which side the app reads. Exit code 1 when one does not get on.

    \b
    Example:
      golive move status --json | jq '.moves[].lag'
    """
    found = client().get("/v1/moves", **target.query())
    if as_json:
        output.data(found)
    else:
        if not found["moves"]:
            output.say(f"{target} has no moves; `[moves.<name>]` in golive.toml says what becomes what")
        for each in found["moves"]:
            _show(each)
    return 1 if any(each["trouble"] or "error" in each for each in found["moves"]) else 0


def _show(each: dict[str, Any]) -> None:
    if "error" in each:
        print(f"{each['name']}: the app reads {SIDES[each['reads']]}")
        output.show_error(from_json(each["error"]))
        return
    print(f"{each['name']}: {each['from']} to {each['to']}, {_state(each)}; the app reads {SIDES[each['reads']]}")
    if each["reads"] != each["wanted"]:
        output.say(f"  {each['switch']} is {each['wanted']}: the next deploy reads {SIDES[each['wanted']]}")
    if each["under_way"] and "copied" in each:
        lag = human_duration(each["lag"]) if each["notices"] else "up to 5 s: this Redis sends no notices"
        output.say(
            f"  {each['copied']:,} copied, {each['deleted']:,} deleted, {each['back']:,} back to Redis; lag {lag}"
        )
        if each["waiting"]:
            output.say(f"  {each['waiting']:,} changes wait for the way back")
        for key, why in each["refused"].items():
            output.say(output.wrap(f"{key}: {why}", f"  {output.paint('refused:', 'yellow')} ", "    "))
    if each["trouble"]:
        output.say(output.wrap(each["trouble"], f"  {output.paint('trouble:', 'red')} ", "    "))
    output.say(f"  next: {_next(each)}")


def _state(each: dict[str, Any]) -> str:
    if not each["under_way"]:
        return "not begun"
    if each.get("both_ways"):
        return "both sides follow each other"
    return "PostgreSQL follows Redis" if each.get("swept") else "is being copied"


def _next(each: dict[str, Any]) -> str:
    name = each["name"]
    if not each["under_way"]:
        return f"golive move start {name}"
    if each["reads"] == "postgres":
        return f"golive move finish {name}, or golive move revert {name}"
    if each.get("swept"):
        return f"golive move cutover {name}, or golive move revert {name}, which ends it"
    return "wait until everything is copied"


@move.command()
@which
@as_json_option
@place_options
def start(target: Target, name: str | None, as_json: bool) -> int:
    """Copy every key, and follow what changes. The app notices nothing; the tables have to be empty.

    \b
    Example:
      golive move start quota
    """
    done = _step(target, "start", name)
    if as_json:
        output.data(done)
        return 0
    output.say(f"{done['move']} has begun; golive move status shows how far it is")
    if not done["notices"]:
        output.say("this Redis lets nobody ask for notices: its keys are looked through every 5 s")
    return 0


@move.command()
@which
@as_json_option
@place_options
def compare(target: Target, name: str | None, as_json: bool) -> int:
    """Hold every key against its row, and the other way round. Exit code 1 when they differ.

    \b
    Example:
      golive move compare
    """
    done = _step(target, "compare", name)
    if as_json:
        output.data(done)
    else:
        _tell(done)
    return 0 if done["equal"] else 1


def _tell(done: dict[str, Any]) -> None:
    kinds = {"different": "another row", "missing": "no row", "extra": "a row without a key", "refused": "refused"}
    for kind, words in kinds.items():
        for key in done[kind]:
            print(f"{words}: {key}")
    answer = "the same on both sides" if done["equal"] else "not the same"
    output.say(f"{done['keys']:,} keys, {done['rows']:,} rows: {answer}")


@move.command()
@which
@as_json_option
@place_options
def cutover(target: Target, name: str | None, as_json: bool) -> int:
    """Let the app read PostgreSQL: both sides are compared, follow each other from here on, the switch is set, and the
    same checkout is deployed. Refused while they differ.

    \b
    Example:
      golive move cutover
    """
    done = _step(target, "cutover", name)
    if not as_json:
        output.say(f"{done['keys']:,} keys and their rows are the same; both sides follow each other now")
    return follow(client(), done["deployment"], f"{target.app} · {target.environment}", as_json=as_json)


@move.command()
@which
@as_json_option
@place_options
def revert(target: Target, name: str | None, as_json: bool) -> int:
    """One step back. After the cut-over the app reads Redis again, which has everything; before it the move is over,
    and the rows stay.

    \b
    Example:
      golive move revert
    """
    done = _step(target, "revert", name)
    if "deployment" in done:
        return follow(client(), done["deployment"], f"{target.app} · {target.environment}", as_json=as_json)
    if as_json:
        output.data(done)
    elif done["over"]:
        output.say(f"{done['move']} is over; its rows stay in PostgreSQL, and another start wants the tables empty")
    else:
        output.say(f"the next deploy reads Redis; {done['move']} goes on, and revert once more ends it")
    return 0


@move.command()
@which
@click.option("--delete-keys", is_flag=True, help="Delete the keys in Redis, too. This cannot be taken back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@place_options
def finish(target: Target, name: str | None, delete_keys: bool, yes: bool, as_json: bool) -> int:
    """End it: nothing follows any more, and PostgreSQL has it. Refused while a release that runs, or is kept warm,
    reads Redis.

    \b
    Examples:
      golive move finish
      golive move finish --delete-keys
    """
    if delete_keys and not agreed(f"delete the keys of {name or 'the move'} in Redis?", yes):
        return 1
    done = _step(target, "finish", name, delete_keys=delete_keys)
    if as_json:
        output.data(done)
        return 0
    keys = f"{done['deleted']:,} keys of Redis were deleted" if delete_keys else "the keys stay in Redis, and get old"
    output.say(f"{done['move']} is finished; {keys}. [moves.{done['move']}] may go from golive.toml")
    return 0


def _step(target: Target, step: str, name: str | None, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client().send("POST", "/v1/moves", {**target.query(), "step": step, "name": name, **more})
    return answer
