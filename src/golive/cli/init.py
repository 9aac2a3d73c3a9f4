"""golive init: a golive.toml from a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from golive.cli import output
from golive.cli.place import FILE, directory_argument
from golive.errors import Conflict, UsageError

if TYPE_CHECKING:
    from golive.importers.propose import Proposed


@click.command()
@directory_argument
@click.option("--force", is_flag=True, help="Replace a golive.toml that is there.")
@click.option("--dry-run", is_flag=True, help="Print it on stdout; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="The whole account as JSON: what was carried over, what was not.")
def init(directory: Path, force: bool, dry_run: bool, as_json: bool) -> int:
    """Write golive.toml for the checkout in DIR: its services, stores, variables, workers and routes.

    Reads what the checkout says by itself and the files of other platforms in it (vercel.json, render.yaml, fly.toml,
    compose, Procfile, …). The project's code is not run, except next.config, under Node.

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
    file = folder / FILE
    if not dry_run and file.exists() and not force:
        raise Conflict(f"there is a {FILE} already", where=str(folder), hint="golive init --force replaces it")
    proposed = propose(Checkout(folder), folder.resolve().name or "app")
    if not dry_run:
        write_atomic(file, proposed.text, mode=0o644)
    if as_json:
        output.data({"file": None if dry_run else str(file), **proposed.to_json()})
    elif dry_run:
        print(proposed.text, end="")
    _narrate(proposed, None if dry_run else file)
    return 0


def _narrate(proposed: Proposed, file: Path | None) -> None:
    if file is not None:
        output.say(f"{output.signed('done')} wrote {file}")
    for entry in proposed.imported:
        lost = f", {len(entry.lost)} not (listed at the end of the file)" if entry.lost else ""
        said = entry.problem or f"{len(entry.carried)} keys carried over{lost}"
        output.say(output.wrap(f"{entry.file}: {said}", "  ", "    "))
    for note in proposed.notes:
        output.say(output.wrap(note, "  ", "    "))
    if proposed.problems:
        output.say("\nIt still needs:")
        for problem in proposed.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            output.say(output.wrap(f"{problem.path}: {problem.message}{hint}", "  ", "    "))
    elif file is not None:
        output.say("next: golive up")
