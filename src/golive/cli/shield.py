"""golive shield: what `[edge.shield]` stopped, or would have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from golive.cli import output
from golive.cli.place import Target, place_options
from golive.errors import StateError, UsageError
from golive.units import duration

if TYPE_CHECKING:
    from golive.edge.shield_log import Count


@click.command()
@click.option("--since", metavar="AGE", help="Only younger than this: 10m, 2h, 1d; all that the log has else.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def shield(target: Target, since: str | None, as_json: bool) -> int:
    """What [edge.shield] stopped, counted by rule from the edge's access log. With mode = "log": what it would have.

    \b
    Examples:
      golive shield --since 1d
      golive shield --json | jq '.rules[] | {rule, stopped, logged}'
    """
    found = read(target, moment(since))
    if as_json:
        output.data({**target.query(), "since": since, "rules": [one.to_json() for one in found]})
        return 0
    if not found:
        output.say(f"the access log of {target} names no rule of the shield" + (f" since {since}" if since else ""))
        return 0
    rows = [
        (one.rule, one.stopped, one.logged, len(one.clients), output.ago(one.last), next(iter(one.paths), ""))
        for one in found
    ]
    output.table(("rule", "stopped", "only logged", "clients", "last", "for example"), rows, fold=("for example",))
    return 0


def moment(since: str | None) -> str:
    """When that was, as the access log writes it. UsageError when it is no age."""
    if since is None:
        return ""
    try:
        begin = datetime.now(UTC) - duration(since)
    except (ValueError, OverflowError) as error:
        raise UsageError(str(error), where="--since", hint="--since 2h, --since 1d") from error
    return begin.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(target: Target, since: str) -> list[Count]:
    """From the files of this machine's edge. StateError where this user may not read them."""
    from golive.edge.shield_log import count, lines_of
    from golive.home import Home

    log = Home.default().edge / "access.log"
    try:
        return count(lines_of(log), target.app, target.environment, since)
    except PermissionError as error:
        hint = "run it as the user who runs golive's daemon"
        raise StateError(f"{error.filename} cannot be read", why=error.strerror, hint=hint) from error
