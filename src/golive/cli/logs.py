"""golive logs."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError
from golive.units import duration

LEVELS = {"error": "red", "critical": "bold red", "warning": "yellow", "debug": "dim"}


@click.command()
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--since", help="Only younger than this: 10m, 2h, 1d.")
@click.option("--grep", help="Only lines that match this regular expression.")
@click.option("-n", "--lines", type=int, default=200, show_default=True, help="The last so many.")
@click.option("--edge", is_flag=True, help="The access log of the edge.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@place_options
def logs(target: Target, service: str | None, follow: bool, since: str | None, grep: str | None, **rest: Any) -> int:
    """Output of SERVICE, or of all services and their resources in the order of time. Secrets are masked."""
    body = {**target.query(), "service": service, "follow": follow, "grep": grep, "lines": rest["lines"]}
    body |= {"since": _since(since), "edge": rest["edge"]}
    for line in client().stream("POST", "/v1/logs", body):
        if rest["as_json"]:
            print(json.dumps(line), flush=True)
        else:
            _show(line, alone=service is not None)
    return 0


def _since(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return time.time() - duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(str(error)) from error


def _message(text: str) -> str:
    """What a structured line says, for reading: its message first, then its own fields. `--json` gives it as it is."""
    if not text.startswith("{"):
        return text
    try:
        fields = json.loads(text)
    except ValueError:
        return text
    said = next((str(fields.pop(key)) for key in ("message", "msg", "event") if key in fields), None)
    if said is None:
        return text
    rest = {k: v for k, v in fields.items() if k not in ("time", "ts", "timestamp", "level", "logger", "severity")}
    return " ".join([said, *(f"{key}={value}" for key, value in rest.items())])


def _show(line: dict[str, Any], *, alone: bool) -> None:
    moment = (line["time"] or "")[11:19].ljust(8)
    source = "" if alone else f"{line['source']:<10} "
    text = _message(line["text"])
    if sys.stdout.isatty() and (style := LEVELS.get(line["level"] or "")):
        text = output.paint(text, style)
    print(f"{moment} {source}{text}", flush=True)
