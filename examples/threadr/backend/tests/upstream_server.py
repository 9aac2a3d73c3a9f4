"""A tiny OpenAI-compatible upstream, served for real."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from servers import free_port, wait_for


@dataclass
class Upstream:
    """What it answers next, and what it was asked."""

    url: str = ""
    status: int = 200
    text: str | None = "A first thought.\n\nA second thought."
    delay: float = 0
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.requests.append({"path": scope["path"], "headers": headers, "body": json.loads(body)})
        await asyncio.sleep(self.delay)
        answer = {"choices": [{"message": {"content": self.text}}]}
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": kind})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@contextmanager
def upstream_server() -> Iterator[Upstream]:
    port, upstream = free_port(), Upstream()
    upstream.url = f"http://127.0.0.1:{port}/v1"
    server = uvicorn.Server(uvicorn.Config(upstream, port=port, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, "start of the upstream")
    yield upstream
    server.should_exit = True
    thread.join(10)
