"""golive doctor: what this machine lacks, and the command that mends it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from golive.cli import output
from golive.errors import GoliveError
from golive.home import Home
from golive.units import human_size


@dataclass(frozen=True)
class Finding:
    """`ok` None: works, with less. `mend` is a command or a sentence."""

    name: str
    ok: bool | None
    text: str
    mend: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(as_json: bool) -> int:
    """Look at everything golive needs here, and say what mends what is not so. Exit code 1 when something is missing.

    \b
    Example:
      golive doctor --json | jq '.[] | select(.ok | not)'
    """
    findings = examine(Home.default())
    if as_json:
        output.data([vars(f) for f in findings])
    else:
        for finding in findings:
            sign = {True: "done", None: "skipped", False: "failed"}[finding.ok]
            print(f"{output.signed(sign, sys.stdout)} {finding.name:<10} {finding.text}")
            if finding.mend and not finding.ok:
                print(output.wrap(finding.mend, " " * 13, " " * 13, sys.stdout))
    return 1 if any(f.ok is False for f in findings) else 0


def examine(home: Home) -> list[Finding]:
    return [
        _python(),
        _home(home),
        _disk(home),
        _memory(),
        _user(),
        _limits(),
        _ports(home),
        *_engines(home),
        _sockets(home),
        *_variables(Path()),
    ]


def _variables(folder: Path) -> list[Finding]:
    """Of the checkout that the command is given in; nothing elsewhere."""
    from golive.cli.place import find

    try:
        target = find(folder, "production")
        if target.checkout is None:
            return []
        return [_declared(target.checkout)]
    except GoliveError:
        return []


def _declared(checkout: Path) -> Finding:
    from golive.blueprint.load import load
    from golive.release.undeclared import sentence, undeclared

    found = undeclared(checkout, load(checkout).blueprint)
    mend = "declare each as [env.NAME] in golive.toml; golive env lists them"
    return Finding("variables", None if found else True, sentence(found) or "all that the code reads is declared", mend)


def _python() -> Finding:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    return Finding("python", good, f"{version} at {sys.executable}", "golive needs Python 3.11 or newer")


def _home(home: Home) -> Finding:
    folder = next(p for p in (home.root, *home.root.parents) if p.exists())
    good = os.access(folder, os.W_OK)
    return Finding("home", good, str(home.root), f"make {folder} writable, or set GOLIVE_HOME to a folder of yours")


def _disk(home: Home) -> Finding:
    folder = next(p for p in (home.root, *home.root.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    return Finding("disk", free > 2 * 10**9, f"{human_size(free)} free", "golive wants 2 GB: engines, artifacts, data")


def _memory() -> Finding:
    from golive.system.machine import inspect

    machine = inspect()
    good = True if machine.memory > 900 * 10**6 else None
    return Finding(
        "memory", good, f"{human_size(machine.memory)}, {machine.cores:g} cores", "under 1 GB builds may be slow"
    )


def _user() -> Finding:
    if os.geteuid() == 0:
        return Finding("user", True, "root: every app runs as a user of its own")
    return Finding(
        "user", None, "not root: apps run as this user", "run golive as root on a server, to keep apps apart"
    )


def _limits() -> Finding:
    from golive.system import cgroups

    if cgroups.available():
        return Finding("limits", True, f"control groups version {cgroups.version()}")
    return Finding("limits", None, "no control groups: memory is watched, CPU is not limited", "golive service install")


def _ports(home: Home) -> Finding:
    from golive.edge.ports import choose_ports

    with contextlib.suppress(OSError, ValueError, KeyError):
        chosen = json.loads((home.edge / "ports.json").read_text())
        return Finding("ports", True, f"{chosen['http']} and {chosen['https']}, chosen when the edge began")
    try:
        ports = choose_ports()
    except OSError as error:
        return Finding("ports", False, str(error.strerror), "end what holds them, or one of them")
    good = True if ports.https == 443 else None
    return Finding("ports", good, f"{ports.http} and {ports.https}", "; ".join(ports.notes))


def _engines(home: Home) -> list[Finding]:
    import asyncio

    from golive.engines.catalog import KINDS
    from golive.engines.store import Engines

    async def look() -> list[Finding]:
        engines, found = Engines(home), []
        for status in await engines.list():
            if status.bin is not None:
                found.append(Finding(status.name, True, f"{status.version} ({status.origin})"))
        missing = set(KINDS) - {f.name for f in found}
        return found + [
            Finding(n, None, "not here yet", "fetched at the first deploy that needs it") for n in sorted(missing)
        ]

    try:
        return asyncio.run(look())
    except GoliveError as error:
        return [Finding("engines", False, error.what, error.hint or "")]


def _sockets(home: Home) -> Finding:
    length = len(bytes(Path(home.socket)))
    return Finding("socket", length < 104, str(home.socket), "choose a shorter GOLIVE_HOME")
