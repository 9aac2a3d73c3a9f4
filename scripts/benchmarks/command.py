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
from benchmarks.processes import free_port

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
    daemon: int

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
        return self._json("rollback", "-C", str(self.checkout))

    def status(self) -> Status:
        return parse_status(self._json("status", str(self.checkout)))

    def run(self, *words: str) -> str:
        done = self.attempt(*words)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise CommandFailedError(f"golive {' '.join(words)} ended with {done.returncode}:\n{said[-3000:]}")
        return done.stdout

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """However it ends."""
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
        return done

    def _json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


def parse_status(data: Any) -> Status:
    """Of the one app that a benchmark deploys."""
    app = data["apps"][0]
    instances = [
        Instance(name, int(one["pid"]), one["port"])
        for name, service in app["services"].items()
        for one in service["instances"]
        if one["pid"]
    ]
    return Status(app["urls"][0], tuple(instances), int(data["daemon"]["pid"]))


@contextmanager
def scratch(source: Path, folder: Path | None = None) -> Iterator[Golive]:
    """A copy of an app, and a home of its own, in `folder` where one is named; afterwards everything that ran in it is
    ended."""
    with tempfile.TemporaryDirectory(prefix="golive-bench-", dir=folder, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)  # apps run under users of their own
        checkout = directory / source.name
        shutil.copytree(source, checkout, ignore=shutil.ignore_patterns("__pycache__", ".venv", "tests"))
        golive = Golive(directory / "home", checkout)
        _choose_ports(golive.home)
        try:
            yield golive
        finally:
            _end(golive)


def _choose_ports(home: Path) -> None:
    """Ports of its own, as golive remembers them: an edge that is on 443 already is not this benchmark's to share."""
    edge = home / "edge"
    edge.mkdir(parents=True)
    (edge / "ports.json").write_text(json.dumps({"http": free_port(), "https": free_port()}))


def _end(golive: Golive) -> None:
    """The daemon first, or it would start again what is ended; what runs is made to outlive it."""
    with suppress(CommandFailedError):
        golive.run("daemon", "stop")
    mine = list(processes_of(golive.home))
    for process in mine:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(mine, timeout=10)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def processes_of(home: Path) -> Iterator[psutil.Process]:
    """Whatever was started for this home: by its folder, its words or its environment."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd(), process.environ().get("GOLIVE_HOME", "")]
            if any(word == str(home) or f"{home}/" in word for word in words):
                yield process
