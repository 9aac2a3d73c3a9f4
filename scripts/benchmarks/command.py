"""golive as a user runs it: ./golive with a $GOLIVE_HOME of its own. Everything that depends on its words is here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.load import Target

LAUNCHER = Path(__file__).parents[2] / "golive"


class CommandFailedError(Exception):
    """A golive command ended with another code than 0."""


@dataclass(frozen=True)
class Instance:
    service: str
    pid: int
    port: int | None


@dataclass(frozen=True)
class Status:
    url: str
    instances: tuple[Instance, ...]

    def target(self, path: str = "/") -> Target:
        parts = urlsplit(self.url)
        return Target(parts.hostname or "", parts.port or 443, path)


class Golive:
    """Commands on one checkout. `seconds` of the last one is its whole time, start of the program included."""

    def __init__(self, home: Path, checkout: Path) -> None:
        self.home = home
        self.checkout = checkout
        self.seconds = 0.0

    def up(self) -> Any:
        return self._json("up", str(self.checkout))

    def rollback(self) -> Any:
        return self._json("rollback", str(self.checkout))

    def status(self) -> Status:
        return parse_status(self._json("status", str(self.checkout)))

    def run(self, *words: str) -> str:
        environment = {**os.environ, "GOLIVE_HOME": str(self.home), "NO_COLOR": "1"}
        environment.pop("PYTHONPATH", None)
        began = time.perf_counter()
        done = subprocess.run(
            [str(LAUNCHER), *words],
            capture_output=True,
            text=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        self.seconds = time.perf_counter() - began
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise CommandFailedError(f"golive {' '.join(words)} ended with {done.returncode}:\n{said[-3000:]}")
        return done.stdout

    def _json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def daemon(self) -> psutil.Process:
        """The process that serves this home."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                if "daemon" in words and process.environ().get("GOLIVE_HOME") == str(self.home):
                    return process
        raise CommandFailedError("no daemon runs for this home")


def parse_status(data: Any) -> Status:
    """`services` may be a list of objects with a name, or an object by name."""
    services = data["services"]
    named = services.items() if isinstance(services, dict) else [(one["name"], one) for one in services]
    instances = [
        Instance(name, int(one["pid"]), one.get("port"))
        for name, service in named
        for one in service.get("instances", ())
        if one.get("pid")
    ]
    url = data.get("url") or data["urls"][0]
    return Status(url, tuple(instances))


@contextmanager
def scratch(source: Path) -> Iterator[Golive]:
    """A copy of an app, and a home of its own; afterwards everything that ran in it is ended."""
    with tempfile.TemporaryDirectory(prefix="golive-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)  # apps run under users of their own
        checkout = directory / source.name
        shutil.copytree(source, checkout, ignore=shutil.ignore_patterns("__pycache__", ".venv", "tests"))
        golive = Golive(directory / "home", checkout)
        try:
            yield golive
        finally:
            _end(golive.home)


def _end(home: Path) -> None:
    """Whatever works for this home: golive's processes are made to outlive it, so asking the daemon is not enough."""
    mine = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd(), process.environ().get("GOLIVE_HOME", "")]
            if any(word == str(home) or f"{home}/" in word for word in words):
                mine.append(process)
    # The daemon first: it would start again what is ended.
    mine.sort(key=lambda process: "daemon" not in " ".join(process.cmdline()) if process.is_running() else True)
    for process in mine:
        with suppress(psutil.Error):
            process.terminate()
            if "daemon" in " ".join(process.cmdline()):
                process.wait(10)
    _, alive = psutil.wait_procs(mine, timeout=10)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
