"""golive migrate: status, plan, lint, up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.errors import NotFound, UsageError
from golive.errors import from_json as error_of
from golive.migrate.account import describe, from_json, summary
from golive.migrate.lint.finding import Finding, Held, Level
from golive.migrate.lint.text import finding, waits


@click.group(invoke_without_command=True)
@click.pass_context
def migrate(context: click.Context) -> int | None:
    """Schema migrations of the live release: where the database stands, what would run, running it now. A deploy runs
    what is pending by itself.

    \b
    Examples:
      golive migrate
      golive migrate plan
      golive migrate rehearse
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
    held = {one["file"]: one for one in (found.get("lint") or {"held": ()})["held"]}
    rows = [(m["name"], _state(m, held), output.ago(m["applied_at"]), m["release"]) for m in found["migrations"]]
    output.table(("migration", "state", "applied", "release"), rows, fold=("migration",))
    for one in held.values():
        output.say(waits(Held(**one)))
    _say_stop(found)


def _state(migration: dict[str, Any], held: Collection[str]) -> str:
    if migration["name"] in held:
        return "waits"
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
    linted = found.get("lint") or {"findings": [], "held": []}
    stops = bool(found["stop"]) or any(each["level"] == "stop" for each in linted["findings"])
    if as_json:
        output.data(found)
        return 1 if stops else 0
    _say_stop(found)
    if not found["pending"]:
        output.say(f"nothing to do: {target} has no pending migration")
    elif found["sql"]:
        print(found["sql"])
    for migration in found["migrations"] if not found["sql"] else ():
        if migration["name"] in found["pending"]:
            print(_sql(migration))
    tell(linted, output.say)
    return 1 if stops else 0


@migrate.command("lint")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@place_options
def lint_(target: Target, files: tuple[Path, ...], as_json: bool) -> int:
    """Whether what is pending, or FILEs as if they were, endangers what runs: locks, rewrites, what the live release
    still reads. Without a live release no sizes are known, and every migration of the checkout is read. Exit code 1
    when something would stop a deploy.

    \b
    Examples:
      golive migrate lint
      golive migrate lint migrations/0007_drop_old.sql
      golive migrate lint --json | jq '.findings[] | select(.level == "stop")'
    """
    found = _linted(target, [(str(path), _text(path)) for path in files])
    if as_json:
        output.data(found)
    else:
        tell(found, print)
        _count(found)
    return 1 if any(each["level"] == "stop" for each in found["findings"]) else 0


def _linted(target: Target, texts: list[tuple[str, str]]) -> dict[str, Any]:
    """By the daemon when the app is live, which knows the database; else here."""
    from golive.daemon.client import Unreachable

    body = {**target.query(), "files": [{"name": name, "text": text} for name, text in texts]}
    try:
        answer: dict[str, Any] = client(start=False).send("POST", "/v1/migrations/lint", body)
    except (NotFound, Unreachable):
        from golive.migrate.lint.local import lint

        return lint(target.checkout, target.environment, texts).to_json()
    return answer


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def tell(linted: dict[str, Any], say: Callable[[str], object]) -> None:
    """Every finding, the worst first; then what waits."""
    colours = {"stop": "red", "held": "yellow", "warning": "yellow", "note": "cyan"}
    for level, colour in colours.items():
        for each in linted["findings"]:
            if each["level"] == level:
                say(f"{output.paint(level, colour)}  {finding(Finding(**{**each, 'level': Level(level)}))}\n")
    for held in linted["held"]:
        say(waits(Held(**held)))


def _count(linted: dict[str, Any]) -> None:
    levels = [each["level"] for each in linted["findings"]]
    statements = linted["statements"]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in ("stop", "held", "warning", "note"))
    output.say(f"{statements} statement{'s' * (statements != 1)}: {counts}")
    if not linted["sized"]:
        output.say("no database was asked, so every table that is not made here counts as large")


def _sql(migration: dict[str, Any]) -> str:
    rest = f", from statement {migration['done'] + 1}" if migration["done"] else ""
    return f"-- {migration['name']}{rest}\n{migration['sql'] or '-- its tool does not say'}\n"


@migrate.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def rehearse(target: Target, as_json: bool) -> int:
    """Run what is pending on a copy of the live database, which goes on meanwhile, and say what it took: time, locks
    and how long they were held, tables rewritten, indexes, size. The copy is removed afterwards, also after Ctrl-C.
    Exit code 1 when a deploy would stop.

    \b
    Examples:
      golive migrate rehearse
      golive migrate rehearse --json | jq .account.longest_lock
    """
    found: dict[str, Any] = {}
    for line in client().stream("POST", "/v1/migrations/rehearse", target.query()):
        if line["type"] == "step":
            output.say(f"  {line['text']}")
        else:
            found = {name: value for name, value in line.items() if name != "type"}
    if as_json:
        output.data(found)
    elif found["account"] is None:
        output.say(f"nothing to rehearse: {target} has no migration that may run now")
    else:
        _show_account(found)
    return 1 if found["stops"] else 0


def _show_account(found: dict[str, Any]) -> None:
    account = from_json(found["account"])
    for line in describe(account):
        print(line)
    tell(found["lint"], output.say)
    if account.error:
        output.show_error(error_of(account.error), note="a deploy would say the same")
    for said in found["stops"]:
        output.say(f"{output.paint('stops a deploy:', 'red')} {said}")
    output.say(f"{summary(account)}, which was there after {found['copied']:.1f} s and is gone again")


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
        output.say(f"nothing to do: {target} has no migration that may run now")
    else:
        output.say(f"{len(result['files'])} applied, schema at {result['version_after']}")
    return 0
