"""The real command in a home of the test's own. What it starts is found by the home's name and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from golive.system import ports, users

ROOT = Path(__file__).resolve().parents[3]
ENGINES = Path(tempfile.gettempdir()) / f"golive-test-engines-{os.geteuid()}" / "engines"
"""Fetched once a machine, as the other tests have it."""
CACHE = Path(tempfile.gettempdir()) / f"golive-e2e-shared-{os.geteuid()}"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class Scratch:
    home: Path
    cwd: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "GOLIVE_HOME": str(self.home), "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}

    def __call__(self, *args: object, stdin: str = "", cwd: Path | None = None, **env: str) -> Said:
        return self.shell([sys.executable, "-P", "-m", "golive", *map(str, args)], stdin=stdin, cwd=cwd, **env)

    def shell(self, argv: list[str], *, stdin: str = "", cwd: Path | None = None, **env: str) -> Said:
        done = subprocess.run(
            argv,
            env={**self.env, **env},
            cwd=cwd or self.cwd,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def scratch_home(cwd: Path) -> Iterator[Scratch]:
    """Engines and uv's cache are shared with other tests, the ports are free ones, nothing else is there."""
    home = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    home.chmod(0o711)
    _share(home)
    (home / "bin").mkdir()
    (home / "bin/golive").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m golive "$@"\n')
    (home / "bin/golive").chmod(0o755)
    http = ports.choose()
    (home / "edge").mkdir(mode=0o700)
    (home / "edge/ports.json").write_text(f'{{"http": {http}, "https": {ports.choose({http})}}}')
    try:
        yield Scratch(home, cwd)
    finally:
        end_all(home)
        shutil.rmtree(home, ignore_errors=True)


def _share(home: Path) -> None:
    builder = users.ensure("golive_build")
    cache = CACHE / f"uv-{builder.uid if builder else os.geteuid()}"
    cache.mkdir(parents=True, exist_ok=True)
    CACHE.chmod(0o711)
    if builder:
        os.chown(cache, builder.uid, builder.gid)
    (home / "cache").mkdir(mode=0o711)
    (home / "cache" / (f"uv-{builder.name}" if builder else "uv")).symlink_to(cache)
    rules = CACHE / "secrets"  # compiled once
    rules.mkdir(exist_ok=True, mode=0o700)
    (home / "cache/secrets").symlink_to(rules)
    ENGINES.mkdir(parents=True, exist_ok=True)
    ENGINES.parent.chmod(0o711)
    (home / "engines").symlink_to(ENGINES)


def end_all(home: Path) -> None:
    """The daemon first, since it starts again what ends."""
    for wanted in (lambda line: "daemon" in line, lambda line: True):
        found = [p for p in psutil.process_iter(["cmdline"]) if _is_of(p, home) and wanted(" ".join(p.info["cmdline"]))]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, 10)


def _is_of(process: Any, home: Path) -> bool:
    line = process.info["cmdline"] or []
    if process.pid == os.getpid() or not line:
        return False
    with contextlib.suppress(psutil.Error):
        return any(str(home) in word for word in line) or process.environ().get("GOLIVE_HOME") == str(home)
    return False
