"""What the commands about .env files share: reading, writing, showing changes, asking."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golive.cli import output
from golive.cli.place import Target
from golive.errors import GoliveError, UsageError

if TYPE_CHECKING:
    from golive.importers.env_file import EnvFile

LOCAL = Path(".env.local")
PATH = click.Path(path_type=Path, allow_dash=True)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show it, and change nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")


def checkout(target: Target) -> str | None:
    return str(target.checkout) if target.checkout else None


def count(changes: list[Any]) -> str:
    return f"{len(changes)} variable{'s' if len(changes) > 1 else ''}"


def agreed(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this asks before it changes anything", hint="--yes goes on without asking; --dry-run shows")
    agreed: bool = click.confirm(question, err=True)
    if not agreed:
        output.say("nothing was changed")
    return agreed


def read(file: Path) -> EnvFile:
    """A .env file, or standard input. UsageError with every line that is at fault, none of them shown."""
    from golive.importers.env_file import MAX_BYTES, parse

    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if str(file) == "-" else _bytes(file, MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text", hint="save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {file}", why=error.strerror) from error
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{file} is too large for a .env file", why=f"more than {MAX_BYTES:,} bytes")
    parsed = parse(text, str(file))
    if parsed.problems:
        lines = "\n".join(f"  {problem}" for problem in parsed.problems)
        raise UsageError(f"{file} cannot be read as a .env file:\n{lines}", hint="write NAME=value, quoted if need be")
    return parsed


def _bytes(file: Path, most: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(most)


def write(file: Path, text: str, *, private: bool) -> None:
    """Whole or not at all, through a symbolic link to where it leads. Says so when git would take a private file."""
    from golive.system.files import write_atomic

    try:
        write_atomic(file.resolve(), text, mode=0o600 if private else 0o644)
    except OSError as error:
        raise GoliveError(f"cannot write {file}", why=error.strerror) from error
    if private and _git_would_take(file):
        output.say(f"{file} is not ignored by git: add {file.name} to .gitignore before you commit")


def _git_would_take(file: Path) -> bool:
    git = shutil.which("git")
    if git is None:
        return False
    argv = [git, "check-ignore", "-q", "--", file.name]
    return subprocess.run(argv, cwd=file.absolute().parent, capture_output=True, check=False).returncode == 1


def left_out(change: dict[str, Any], undeclared: bool) -> str:
    if change["kept_out"]:
        return str(change["kept_out"])
    return "" if change["declared"] or undeclared else "not declared (--undeclared takes it)"


def show(changes: list[dict[str, Any]], undeclared: bool) -> None:
    rows = []
    for change in changes:
        why = left_out(change, undeclared)
        note = why or ("" if change["declared"] else "not declared")
        rows.append(("left out" if why else change["state"], change["name"], change["before"], change["after"], note))
    output.table(("", "name", "now", "then", ""), rows, fold=("now", "then"))


def warn_of_weak(target: Target, values: Mapping[str, str]) -> None:
    """Of those that golive.toml declares as secrets."""
    from golive.blueprint.strength import weakness

    weak = {name: found for name, value in values.items() if (found := weakness(name, value))}
    if not weak or target.checkout is None:
        return
    from golive.blueprint.load import load
    from golive.blueprint.models import VariableType

    try:
        declared = load(target.checkout, target.environment).blueprint.env
    except GoliveError:  # said by every command that needs the file
        return
    for name, found in weak.items():
        if name in declared and declared[name].type is VariableType.SECRET:
            output.say(f"warning: {found}: easily guessed; openssl rand -base64 32 | golive env set {name}")


def asked(name: str) -> str:
    """A value that is in no history and in no process list: typed unseen, or from standard input."""
    if sys.stdin.isatty():
        value: str = click.prompt(name, hide_input=True, err=True)
        return value
    return sys.stdin.read().removesuffix("\n")
