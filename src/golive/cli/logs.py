"""golive logs."""

from __future__ import annotations

import json
import sys
import time
import zlib
from datetime import datetime
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError
from golive.units import duration

LEVELS = {"error": "red", "critical": "bold red", "warning": "yellow", "debug": "dim"}
SOURCES = ("cyan", "green", "magenta", "blue", "yellow")
META = ("time", "ts", "timestamp", "level", "logger", "severity")


@click.command()
@click.argument("service", required=False, shell_complete=complete.logged)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--since", metavar="AGE", help="Only younger than this: 10m, 2h, 1d.")
@click.option("--grep", metavar="TEXT", help="Only lines that contain this, in any case of letters.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 100_000), default=200, show_default=True, help="The last so many."
)
@click.option("--edge", is_flag=True, help="The access log of the edge.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@place_options
def logs(target: Target, service: str | None, follow: bool, since: str | None, grep: str | None, **rest: Any) -> int:
    """Output of SERVICE (or a resource), or of all of them in the order of time. Secrets are masked.

    \b
    Examples:
      golive logs -f
      golive logs api --since 10m --grep error
      golive logs --edge -n 20
    """
    body = {**target.query(), "service": service, "follow": follow, "grep": grep, "lines": rest["lines"]}
    body |= {"since": _since(since), "edge": rest["edge"]}
    printer = Printer(alone=service is not None or rest["edge"])
    try:
        for line in client().stream("POST", "/v1/logs", body):
            print(json.dumps(line) if rest["as_json"] else printer.text(line), flush=True)
    except KeyboardInterrupt:
        return 130  # how following ends: nothing to say
    return 0


def _since(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return time.time() - duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(str(error), where="--since") from error


class Printer:
    """Lines for reading: local time, which instance, the text. The column of names grows with the longest."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._widest = 6

    def text(self, line: dict[str, Any]) -> str:
        moment = output.paint(_clock(line["time"]), "dim", sys.stdout)
        text = message(line["text"])
        if style := LEVELS.get(line["level"] or ""):
            text = output.paint(text, style, sys.stdout)
        if self._alone:
            return f"{moment} {text}"
        source = line["source"]
        self._widest = max(self._widest, len(source))
        name = output.paint(source.ljust(self._widest), colour(source), sys.stdout)
        return f"{moment} {name} {text}"


def colour(source: str) -> str:
    """The same for every instance of a service, at every run."""
    return SOURCES[zlib.crc32(source.rpartition(".")[0].encode() or source.encode()) % len(SOURCES)]


def _clock(moment: str | None) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S") if moment else " " * 8


def message(text: str) -> str:
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
    return " ".join([said, *(f"{key}={value}" for key, value in fields.items() if key not in META)])
