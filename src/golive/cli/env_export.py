"""golive env export, pull: a .env file from the declarations or from an environment's values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    read,
    show,
    write,
    yes_option,
)
from golive.cli.place import FILE, Target, client, place_options
from golive.errors import UsageError

if TYPE_CHECKING:
    from golive.blueprint.models import Blueprint
    from golive.importers.env_file import EnvFile

EXAMPLE = ".env.example"


@click.command()
@click.argument("file", type=PATH, required=False, metavar="[FILE]")
@click.option("--example", is_flag=True, help="The declarations, without values: for .env.example. The default.")
@click.option("--values", is_flag=True, help="The values of this environment.")
@click.option("--secrets", is_flag=True, help="Secrets too, into FILE. Asks first.")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when FILE is not what would be written.")
@yes_option
@place_options
def export(
    target: Target, file: Path | None, example: bool, values: bool, secrets: bool, check: bool, yes: bool
) -> int:
    """Write .env.example from golive.toml, or with --values a real .env file; to standard output without FILE.

    A file with values is readable by you alone, and has no secret unless you ask for them.

    \b
    Examples:
      golive env export .env.example
      golive env export --values --secrets .env.backup
    """
    values = values or secrets
    if values and example:
        raise UsageError("--example has no values", hint="one of --example and --values")
    if check and (values or file is None):
        raise UsageError("--check compares FILE with the declarations", hint=f"golive env export --check {EXAMPLE}")
    if secrets and (file is None or str(file) == "-"):
        raise UsageError("secrets go into a file, never to standard output", hint="name one: … --secrets .env.backup")
    text = _values_of(target, secrets, file, yes) if values else _example(target)
    if text is None:
        return 0
    if check and file:
        return _compare(file, text)
    if file is None or str(file) == "-":
        sys.stdout.write(text)
        return 0
    return _export_to(file, text, values, yes)


def _example(target: Target) -> str:
    from golive.blueprint.env_example import example_text
    from golive.importers.env_file import written

    return example_text(_blueprint(target), written)


def _blueprint(target: Target) -> Blueprint:
    from golive.blueprint.load import load

    if target.checkout is None:
        raise UsageError(f"what is declared stands in {FILE}", hint="go to its checkout, or name it with -C, not --app")
    return load(target.checkout, target.environment).blueprint


def _compare(file: Path, text: str) -> int:
    if file.is_file() and file.read_text(encoding="utf-8-sig", errors="replace") == text:
        output.say(f"{file} is up to date")
        return 0
    output.say(f"{file} is not what {FILE} declares now; golive env export {file}")
    return 1


def _export_to(file: Path, text: str, values: bool, yes: bool) -> int:
    if file.exists():
        if file.is_file() and file.read_text(encoding="utf-8-sig", errors="replace") == text:
            output.say("nothing to do: unchanged")
            return 0
        if not agreed(f"Replace {file}?", yes):
            return 0
    write(file, text, private=values)
    output.say(f"wrote {file}")
    return 0


def _values_of(target: Target, secrets: bool, file: Path | None, yes: bool) -> str | None:
    from golive.blueprint.env_example import values_text
    from golive.importers.env_file import written

    found = _read(target, secrets, file, yes)
    if found is None:
        return None
    blueprint = _blueprint(target) if target.checkout else None
    return values_text(blueprint, found["values"], f"{target}, written by `golive env export`.", written)


def _read(target: Target, secrets: bool, file: Path | None, yes: bool) -> dict[str, Any] | None:
    """The values, with secrets once that was agreed to; None when it was not."""
    if secrets and not agreed(f"Write the secrets of {target} into {file}, readable by this user?", yes):
        return None
    call = {**target.query(), "checkout": checkout(target), "secrets": secrets}
    found: dict[str, Any] = client().send("POST", "/v1/env/read", call)
    if found["left_out"]:
        output.say(f"left out, being secret: {', '.join(found['left_out'])}; --secrets takes them")
    return found


@click.command()
@click.argument("file", type=PATH, default=LOCAL, metavar="[FILE]")
@click.option("--secrets", is_flag=True, help="Secrets too. Asks first.")
@dry_run_option
@yes_option
@json_option
@place_options
def pull(target: Target, file: Path, secrets: bool, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Bring FILE (.env.local) up to the values of an environment. Comments, order and what only FILE has stay.

    \b
    Examples:
      golive env pull -e development
      golive env pull -e preview/new-page --secrets
    """
    if str(file) == "-":
        raise UsageError("pull writes a file", hint="golive env export --values writes to standard output")
    before = read(file) if file.exists() else None
    found = _read(target, secrets and not dry_run, file, yes)
    if found is None:
        return 0
    changes = _pulled(before, found)
    changed = [c for c in changes if c["state"] != "unchanged"]
    if not as_json:
        show(changes, undeclared=True)
    if not changed:
        output.say("nothing to do: unchanged")
    elif not dry_run and (before is None or agreed(f"Write {count(changed)} into {file}?", yes)):
        write(file, _text(target, before, found["values"]), private=True)
        output.say(f"wrote {count(changed)} into {file}")
    if as_json:
        output.data({"file": str(file), "changes": changes, "left_out": found["left_out"]})
    return 0


def _text(target: Target, before: EnvFile | None, values: dict[str, str]) -> str:
    from golive.blueprint.env_example import values_text
    from golive.importers.env_file import updated, written

    if before is not None:
        return updated(before, values)
    blueprint = _blueprint(target) if target.checkout else None
    return values_text(blueprint, values, f"{target}, written by `golive env pull`.", written)


def _pulled(before: EnvFile | None, found: dict[str, Any]) -> list[dict[str, Any]]:
    from golive.blueprint.env_changes import compare, shown
    from golive.secret import MASK

    rows = []
    for change in compare(None, before.values if before else {}, found["values"]):
        texts = {k: shown(v, change.name, found["secret"], MASK) for k, v in vars(change).items() if k in _TEXTS}
        rows.append({**vars(change), **texts, "kept_out": "", "secret": change.name in found["secret"]})
    return rows


_TEXTS = ("before", "after")
