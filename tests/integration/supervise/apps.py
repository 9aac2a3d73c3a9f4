"""Small programs to supervise, and waiting on conditions."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import Status, Unit, UnitState
from golive.system.processes import Spec

WEB = """
import http.server, os, sys, time, json, pathlib
here = pathlib.Path(sys.argv[1])
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mode = (here / "mode").read_text() if (here / "mode").exists() else "ok"
        if mode == "hang" or (mode == "dead" and self.path == "/live"):
            time.sleep(30)
        code = {"ok": 200, "dead": 200, "500": 500, "redirect": 302}[mode]
        body = b"fine" if code == 200 else b"database is away" + b"!" * 500
        self.send_response(code)
        if code == 302: self.send_header("Location", "/login")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer.allow_reuse_address = True
s = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H)
print("listening", flush=True)
s.serve_forever()
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def unit(root: Path, code: str, **fields: Any) -> Unit:
    """Python code as a unit; its output goes to out.log."""
    port = fields.get("port")
    env = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"} | ({"PORT": str(port)} if port else {})
    spec = Spec((sys.executable, "-c", code, str(root)), env, root, output=root / "out.log", name="test")
    return Unit(fields.pop("id", "app/web.1"), spec, **fields)


class Recorder:
    """A Supervisor whose changes are kept, and waited for."""

    def __init__(self) -> None:
        self.changes: list[UnitState] = []
        self.supervisor = Supervisor(self.changes.append)

    def statuses(self) -> list[Status]:
        return [c.status for c in self.changes]

    async def until(self, status: Status, *, restarts: int = 0, id: str = "app/web.1") -> UnitState:
        def there() -> UnitState | None:
            state = self.supervisor.state(id)
            return state if state and state.status is status and state.restarts >= restarts else None

        found: UnitState = await until(there)
        return found


async def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.01)
    return found
