"""What golive costs when nothing happens, and how long its commands take, with Threadr deployed."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from benchmarks.command import LAUNCHER, Golive, processes_of, scratch
from benchmarks.load import Target
from benchmarks.processes import free_port, wait_for
from benchmarks.result import Bar, Result, Table
from benchmarks.sockets import unchecked

THREADR = Path(__file__).parents[2] / "examples/threadr"
READY = "/readiness"
MB = 1e6


def run_idle(seconds: float = 60) -> Result:
    result = Result("idle")
    with scratch(THREADR) as golive:
        golive.up()
        time.sleep(5)  # what follows a deploy in the background is not rest
        daemon = psutil.Process(golive.status().daemon)
        before, began = _busy(daemon), time.monotonic()
        time.sleep(seconds)
        share = (_busy(daemon) - before) / (time.monotonic() - began)
        memory = daemon.memory_info().rss
        table = Table(f"at rest for {seconds:.0f} s, Threadr deployed", ("process", "MB resident"))
        table.rows.append(("golive daemon", f"{memory / MB:.1f}"))
        table.rows += [(name, f"{size / MB:.1f}") for name, size in _others(golive, daemon.pid)]
        result.tables.append(table)
    result.bars += [
        Bar("daemon, resident", memory / MB, 80, unit=" MB"),
        Bar("daemon, of a core", share * 100, 0.5, unit=" %"),
    ]
    return result


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _others(golive: Golive, daemon: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for process in processes_of(golive.home):
        with suppress(psutil.Error):
            if process.pid != daemon:
                found.append((f"{process.name()} ({process.pid})", process.memory_info().rss))
    return found


def run_start() -> Result:
    result = Result("start")
    table = Table("seconds", ("command", "median", "slowest", "times"))

    def measured(name: str, limit: float, times: int, command: Callable[[], float]) -> None:
        values = [command() for _ in range(times)]
        table.rows.append((name, f"{statistics.median(values):.3f}", f"{max(values):.3f}", f"{times}"))
        result.bars.append(Bar(name, statistics.median(values), limit, unit=" s"))

    with scratch(THREADR) as golive:
        measured("golive --version", 0.150, 10, lambda: _run(golive, "--version"))
        table.rows.append(("first golive up", f"{_run(golive, 'up', str(golive.checkout)):.3f}", "", "1"))
        measured("golive status", 0.400, 10, lambda: _run(golive, "status", str(golive.checkout)))
        measured("golive up, nothing changed", 1.0, 5, lambda: _run(golive, "up", str(golive.checkout)))
        target = golive.status().target()
        boot = _boot(golive)
        table.rows.append(("(the API's own boot)", f"{boot:.3f}", "", "1"))
        measured("a changed line of Python live", 3.0 + boot, 3, lambda: _changed_python(golive, target))
        golive.up()  # the last Python change is taken back first, or the page would wait for it
        measured("a changed static file live", 1.0, 3, lambda: _changed_page(golive, target))
    result.tables.append(table)
    return result


def _run(golive: Golive, *words: str) -> float:
    golive.run(*words)
    return golive.seconds


def _changed_python(golive: Golive, target: Target) -> float:
    """From the start of the command to the first answer that the changed line makes."""
    marker = f"bench{time.monotonic_ns()}"
    file = golive.checkout / "backend/main.py"
    original = file.read_text()
    route = f'\n\n@app.get("/api/{marker}")\ndef {marker}() -> str:\n    return "{marker}"\n'
    file.write_text(original + route)
    try:
        return _until(golive, target, f"/api/{marker}", marker)
    finally:
        file.write_text(original)


def _changed_page(golive: Golive, target: Target) -> float:
    marker = f"bench{time.monotonic_ns()}"
    file = golive.checkout / "frontend/public/robots.txt"
    file.write_text(f"# {marker}\n")
    return _until(golive, target, "/robots.txt", marker)


def _until(golive: Golive, target: Target, path: str, marker: str) -> float:
    began = time.monotonic()
    with subprocess.Popen(
        [str(LAUNCHER), "up", str(golive.checkout)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GOLIVE_HOME": str(golive.home)},
    ) as command:
        wait_for(f"{marker} is live", lambda: marker in _get(target, path), seconds=120)
        took = time.monotonic() - began
        if command.wait(120):
            raise RuntimeError(f"golive up ended with {command.returncode}")
    return took


def _get(target: Target, path: str) -> str:
    http = HTTPConnection("127.0.0.1", target.port, timeout=5)
    try:
        http.connect()
        http.sock = unchecked().wrap_socket(http.sock, server_hostname=target.host)
        http.request("GET", path, headers={"Host": target.host})
        return http.getresponse().read().decode(errors="replace")
    except (OSError, HTTPException):
        return ""
    finally:
        http.close()


def _boot(golive: Golive) -> float:
    """How long the API takes by itself: the same command and environment on another port, until it is ready."""
    instance = next(one for one in golive.status().instances if one.service == "api")
    process = psutil.Process(instance.pid)
    port = free_port()
    environment = {**process.environ(), "PORT": str(port)}
    words = [word.replace(str(instance.port), str(port)) for word in process.cmdline()]
    began = time.monotonic()
    with subprocess.Popen(
        words,
        cwd=process.cwd(),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as copy:
        try:
            wait_for("the API answers by itself", lambda: _ready(port), seconds=60)
            return time.monotonic() - began
        finally:
            os.killpg(copy.pid, signal.SIGKILL)


def _ready(port: int) -> bool:
    http = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        http.request("GET", READY)
        return http.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        http.close()
