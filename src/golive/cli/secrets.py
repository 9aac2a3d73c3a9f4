"""golive secrets: scan."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError

OUTCOMES = {"stops": "stops a deploy", "told": "stops nothing", "allowed": "allowed by golive.toml"}


@click.group()
def secrets() -> None:
    """Secrets where others can read them. Every deploy searches by itself, and stops for what it finds.

    \b
    Examples:
      golive secrets scan
      golive secrets scan --history
    """


@secrets.command()
@click.option("--history", is_flag=True, help="The whole git history too, however long that takes.")
@click.option("--anew", is_flag=True, help="Also what an earlier search found clean.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def scan(target: Target, history: bool, anew: bool, as_json: bool) -> int:
    """Search the checkout for values of the app's secrets and for tokens of well-known shapes. Exit code 1 when one of
    them would stop a deploy.

    \b
    Examples:
      golive secrets scan --history
      golive secrets scan --json | jq '.findings[] | select(.outcome == "stops")'
    """
    if target.checkout is None:
        raise UsageError("there is no checkout to search", hint="go to one, or name it: golive secrets scan -C DIR")
    body = {**target.query(), "checkout": str(target.checkout), "history": history, "anew": anew}
    done: dict[str, Any] = {}
    for event in client().stream("POST", "/v1/secrets", body):
        if event["type"] == "progress":
            output.say(f"  {event['text']}")
        else:
            done = {k: v for k, v in event.items() if k != "type"}
    if as_json:
        output.data(done)
    else:
        _show(done, history)
    return 1 if done["stops"] else 0


def _show(done: dict[str, Any], history: bool) -> None:
    rows = [(*row(finding), OUTCOMES[finding["outcome"]]) for finding in done["findings"]]
    if rows:
        output.table(("where", "what", "fingerprint", "", ""), rows, fold=("where", "what"))
    else:
        print("no secrets found in the work tree" + (" and the git history" if history else ""))
    if note := done["searched"]["note"]:
        output.say(note)


def row(finding: dict[str, Any]) -> tuple[str, str, str, str]:
    """Where it stands (`file:line:column`, as editors take it), what it is, its fingerprint, why it is mild."""
    where = f"{finding['file']}:{finding['line']}:{finding['column']}"
    if finding["commit"]:
        where = f"{finding['commit'][:10]}:{where}"
    return where, finding["what"], finding["fingerprint"], finding["mild"]
