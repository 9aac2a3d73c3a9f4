"""What was measured on, so that a number can be judged."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import golive

TOOLS = {"wrk": ["-v"], "h2load": ["--version"], "nginx": ["-v"]}


class MissingToolError(Exception):
    """A load generator or a peer is not installed."""


def describe() -> dict[str, str]:
    facts = {
        "machine": f"{os.cpu_count()} cores, {_model()}, {_memory()} of memory",
        "system": f"{_distribution()}, kernel {platform.release()}",
        "load average at the start": ", ".join(f"{value:.2f}" for value in os.getloadavg()),
        "golive": f"{golive.__version__} on Python {platform.python_version()}",
    }
    return facts | {name: _version(name, arguments) for name, arguments in TOOLS.items()}


def require(*tools: str) -> None:
    missing = [tool for tool in tools if not find(tool)]
    if missing:
        raise MissingToolError(f"{', '.join(missing)} not found; `scripts/bench --setup` installs it (as root)")


def find(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _version(name: str, arguments: list[str]) -> str:
    path = find(name)
    if path is None:
        return "not installed"
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    match = re.search(r"\d+\.\d+[\w.+~-]*", done.stdout + done.stderr)
    return match[0] if match else "version unknown"


def _model() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1].strip() if match else platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
