"""A daemon whose host is made of fakes, and its API called without a socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from release_fakes import SHOP, FakeSupervisor, World, blueprint

from golive.daemon.daemon import Daemon
from golive.daemon.server import Server
from golive.daemon.wiring import Wires
from golive.state.records import Deployment, Place

QUIET = {"kind": "web", "command": "serve"}
"""Without a route: nobody asks it."""


class Running:
    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.host = self.world.host
        self.state = self.world.state
        self.daemon = Daemon(self.host, Wires())
        self.stopped: list[bool] = []
        self.app = Server(self.daemon, lambda: self.stopped.append(True)).app()
        self.host.supervisor = Gated(self.world.did)
        self.world.supervisor = self.host.supervisor

    @property
    def gate(self) -> asyncio.Event:
        return self.host.supervisor.gate

    def keep(self, number: int, command: str = "serve", place: Place = SHOP) -> None:
        made = blueprint({"web": {**QUIET, "command": command}}, name=place.app, domains=[f"{place.app}.localhost"])
        self.world.release(made, number, place)

    def rollback(self, number: int, place: Place = SHOP) -> int:
        return self.daemon.submit("rollback", place, {"release": number}, "me")

    async def ended(self, id: int) -> Deployment:
        async with asyncio.timeout(120):
            async for _ in self.daemon.events.follow(id):
                pass
        return self.state.deployment(id)

    async def reaches(self, id: int, step: str) -> None:
        async with asyncio.timeout(120):
            while step not in [s.name for s in self.state.steps(id)]:
                await asyncio.sleep(0)

    async def call(self, verb: str, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON, or the lines of a stream."""
        sent = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": verb, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(b"x-golive-actor", b"me@test")], "http_version": "1.1", "scheme": "http", "root_path": "",
            "server": ("localhost", 80), "client": None, "asgi": {"version": "3.0"},
        }  # fmt: skip
        got: dict[str, Any] = {"body": b""}
        inbox = [{"type": "http.request", "body": sent, "more_body": False}]

        async def receive() -> Any:
            if inbox:
                return inbox.pop()
            return await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            got["status"] = message.get("status", got.get("status"))
            got.setdefault("headers", dict(message.get("headers", ())))
            got["body"] += message.get("body", b"")

        await self.app(scope, receive, send)
        if b"ndjson" in got["headers"][b"content-type"]:
            return got["status"], [json.loads(line) for line in got["body"].splitlines()]
        return got["status"], json.loads(got["body"])


class Gated(FakeSupervisor):
    """Instances become ready when the gate is open."""

    def __init__(self, did: list[str]) -> None:
        super().__init__(did)
        self.gate = asyncio.Event()
        self.gate.set()

    async def wait_ready(self, id: str, *args: Any, **more: Any) -> None:
        await self.gate.wait()
        await super().wait_ready(id, *args, **more)

    async def release(self) -> None:
        self.did.append("released")
