"""golive cache: what the edge keeps of an app's answers."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError
from golive.units import human_size


@click.group()
def cache() -> None:
    """Answers that the edge keeps, where a service has `cache` in golive.toml.

    \b
    Example:
      golive cache stats
    """


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def stats(target: Target, as_json: bool) -> int:
    """How many requests were answered from it since it was started, and how much it holds.

    \b
    Example:
      golive cache stats --json | jq .hits
    """
    found = client().get("/v1/cache", **target.query())
    if as_json:
        output.data(found)
    else:
        print(line(found))
    return 0


@cache.command()
@click.argument("path", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def purge(target: Target, path: str | None, as_json: bool) -> int:
    """Forget answers at PATH and below, all of the app's without one. The next request asks the service.

    \b
    Examples:
      golive cache purge
      golive cache purge /api/public/prices
    """
    if path is not None and not path.startswith("/"):
        raise UsageError(f"{path!r} is not a path", hint="as clients ask for it: golive cache purge /api/public")
    found = client().send("POST", "/v1/cache/purge", {**target.query(), "path": path})
    if as_json:
        output.data(found)
        return 0
    count = found["purged"]
    where = f" at {path} and below" if path else ""
    answers = "1 answer" if count == 1 else f"{count} answers"
    output.say(f"{answers}{where} forgotten" if count else f"nothing to do: nothing was kept{where}")
    return 0


def line(found: dict[str, Any]) -> str:
    """All of it in one line."""
    asked = found["hits"] + found["misses"]
    share = f" ({found['hits'] / asked:.0%})" if asked else ""
    parts = [f"{found['hits']} of {asked} requests answered from the cache{share}"]
    if found["stale"]:
        parts.append(f"{found['stale']} with a stale answer")
    if found["joined"]:
        parts.append(f"{found['joined']} waited for another's")
    if found["passed"]:
        parts.append(f"{found['passed']} not to be kept")
    if found["failed"]:
        parts.append(f"{found['failed']} renewals failed")
    parts.append(f"{found['answers']} answers, {human_size(found['bytes'])} of {human_size(found['memory'])}")
    return " · ".join(parts)
