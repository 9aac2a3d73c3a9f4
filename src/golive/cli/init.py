"""golive init: a golive.toml from a checkout."""

from __future__ import annotations

import shlex
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click

from golive.cli import output
from golive.cli.place import FILE, directory_argument
from golive.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from golive.importers.propose import Proposed
    from golive.importers.report import Imported

MAX_CHANGES = 60
"""Lines of a diff that are shown."""


@click.command()
@directory_argument
@click.option("--force", is_flag=True, help="Replace a golive.toml that is there.")
@click.option("--dry-run", is_flag=True, help="Print it on stdout; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="The whole account as JSON: what was carried over, what was not.")
def init(directory: Path, force: bool, dry_run: bool, as_json: bool) -> int:
    """Write golive.toml for the checkout in DIR: its services, stores, variables, workers and routes.

    Reads what the checkout says by itself and the files of other platforms in it (vercel.json, render.yaml, fly.toml,
    compose, Procfile, …). The project's code is not run, except next.config, under Node. It asks nothing, and leaves a
    golive.toml that is there as it is unless --force is given: it shows what would change.

    \b
    Examples:
      golive init
      golive init apps/shop --dry-run
    """
    from golive.blueprint.checkout import Checkout
    from golive.importers.propose import propose
    from golive.system.files import write_atomic

    folder = directory.absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {directory}")
    file, checkout = folder / FILE, Checkout(folder)
    if not set(checkout.files) - {FILE}:
        hint = "go to the folder of your application, or give it: golive init path/to/app"
        raise NotFound(f"there is nothing in {directory} to write a {FILE} for", where=str(folder), hint=hint)
    proposed = propose(checkout, folder.resolve().name or "app")
    before = _before(file)
    if before == proposed.text and not dry_run:
        output.say(f"{output.signed('done')} {file} is what golive init would write")
    elif before is not None and not (dry_run or force):
        output.say(_changes(before, proposed.text))
        hint = "golive init --force replaces it; golive init --dry-run shows the whole new one"
        raise Conflict(f"there is a {FILE} already, and golive init would write another", where=str(folder), hint=hint)
    elif not dry_run:
        write_atomic(file, proposed.text, mode=0o644)
    if as_json:
        output.data({"file": None if dry_run else str(file), **proposed.to_json()})
    elif dry_run:
        print(proposed.text, end="")
    _narrate(proposed, directory, None if dry_run or before == proposed.text else file, replaced=before is not None)
    return 0


def _before(file: Path) -> str | None:
    """What is there; None when nothing is."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Conflict(f"{FILE} cannot be read: {error.strerror}", where=str(file)) from None


def _changes(before: str, after: str) -> str:
    """The lines that would go and come."""
    rows = list(unified_diff(before.splitlines(), after.splitlines(), FILE, "golive init", lineterm="", n=1))
    more = f"\n… and {len(rows) - MAX_CHANGES} more lines" if len(rows) > MAX_CHANGES else ""
    return "\n".join(rows[:MAX_CHANGES]) + more


def _narrate(proposed: Proposed, directory: Path, file: Path | None, *, replaced: bool) -> None:
    """What was found, what was not carried over, and what to do next."""
    if file is not None:
        output.say(f"{output.signed('done')} {'replaced' if replaced else 'wrote'} {file}")
    if proposed.found:
        output.say(output.wrap(f"found: {', '.join(proposed.found)}", "  ", "    "))
    for entry in proposed.imported:
        output.say(output.wrap(f"{entry.file}: {_account(entry)}", "  ", "    "))
    for note in proposed.notes:
        output.say(output.wrap(note, "  ", "    "))
    if proposed.problems:
        output.say("\nIt still needs:")
        for problem in proposed.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            output.say(output.wrap(f"{problem.path}: {problem.message}{hint}", "  ", "    "))
    if file is not None:
        _next(proposed, directory)


def _account(entry: Imported) -> str:
    if entry.problem:
        return entry.problem
    if not entry.keys:
        return "says nothing"
    keys = f"{len(entry.carried)} {'key' if len(entry.carried) == 1 else 'keys'} carried over"
    return keys + (f", {len(entry.lost)} not (listed at the end of the file)" if entry.lost else "")


def _next(proposed: Proposed, directory: Path) -> None:
    place = "" if str(directory) == "." else f" {shlex.quote(str(directory))}"
    if proposed.problems:
        output.say(f"\nnext: say that in {directory / FILE}, then golive config{place}")
        return
    for name in proposed.unset:
        output.say(f"  set first: golive env set {name}")
    output.say(f"next: golive up{place}")
