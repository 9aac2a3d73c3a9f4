"""golive vault: the key that secrets are sealed with."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.place import client
from golive.errors import UsageError


@click.group(invoke_without_command=True)
@click.pass_context
def vault(context: click.Context) -> int | None:
    """The key that golive's state is sealed with: variables, passwords of databases, environments of releases.

    \b
    Examples:
      golive vault
      golive vault rotate
      golive vault passphrase
    """
    if context.invoked_subcommand is not None:
        return None
    code: int = context.invoke(status)
    return code


@vault.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> int:
    """Which key, since when, how many values it seals, and what opens it.

    \b
    Example:
      golive vault status --json
    """
    found = client().get("/v1/vault")
    if as_json:
        output.data(found)
        return 0
    since = f", made {output.ago(found['since'])}" if found["since"] else ""
    print(f"key {found['key']}{since}; it seals {_values(found)}")
    print(f"opened by {_opener(found['passphrase'])}")
    return 0


def _values(found: dict[str, Any]) -> str:
    return "1 value" if found["values"] == 1 else f"{found['values']} values"


def _opener(kdf: dict[str, Any] | None) -> str:
    if kdf is None:
        return "its file, which golive's user alone can read"
    cost = f"{kdf['memory_kib'] // 1024} MiB, {kdf['iterations']} passes, {kdf['lanes']} lanes"
    return f"a passphrase ({kdf['kdf']}, {cost})"


@vault.command()
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
def rotate(as_json: bool) -> int:
    """A new key, with which every value is sealed anew; the one before opens nothing here any more.

    Values stay the same, and what runs is not touched. Links to protected environments are others afterwards, since
    they follow from the key: golive link. Ended half-way, the old key or the new one holds, never both.

    \b
    Example:
      golive vault rotate
    """
    return _changed({"work": "rotate"}, as_json)


@vault.command()
@click.option("--remove", is_flag=True, help="None any more: the key is a file again.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
def passphrase(*, remove: bool, as_json: bool) -> int:
    """A passphrase for a new key, in place of the file that opens it today: asked for, or read from standard input.

    The daemon needs it whenever it starts: from a file that $GOLIVE_PASSPHRASE_FILE names, from the systemd credential
    golive-passphrase, or from you, at the terminal where a command starts it. Without it nothing of golive can be
    opened, and nobody can bring it back.

    \b
    Examples:
      golive vault passphrase
      golive vault passphrase < passphrase.txt
      golive vault passphrase --remove
    """
    if remove:
        return _changed({"work": "file"}, as_json)
    from golive.cli.passphrase import chosen
    from golive.system.passphrase import SHORTEST

    new = chosen().reveal()
    if len(new) < SHORTEST:
        raise UsageError(
            f"the new passphrase is too short: {len(new)} characters",
            why="whoever has the disk can try as many as his machines can",
            hint=f"{SHORTEST} characters or more; five random words are good",
        )
    return _changed({"work": "passphrase", "passphrase": new}, as_json)


def _changed(body: dict[str, Any], as_json: bool) -> int:
    daemon = client()
    done = daemon.send("POST", "/v1/vault", body)
    if as_json:
        output.data(done)
        return 0
    output.say(f"key {done['key']} seals {_values(done)} now; {done['before']} opens nothing any more")
    if body["work"] == "passphrase":
        output.say(
            output.wrap("keep the passphrase elsewhere too: a recovery needs it beside the backups' key", "", "  ")
        )
    return 0
