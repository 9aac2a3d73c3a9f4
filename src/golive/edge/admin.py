"""Envoy's admin interface over its Unix socket."""

from __future__ import annotations

import asyncio
import re
import urllib.parse
from pathlib import Path

from golive.edge.model import cluster_name
from golive.system.http import Connection


class Admin:
    """Every call opens a connection of its own: Envoy may have been restarted since the last.

    Where Envoy does not answer, calls return None instead of raising: it is restarted by its supervisor, and the
    files it then reads are complete.
    """

    def __init__(self, socket: Path, timeout: float = 5.0) -> None:
        """`timeout` in seconds, for each call."""
        self._socket = socket
        self._timeout = timeout

    async def get(self, path: str, **params: str) -> str | None:
        return await self._call("GET", path, params)

    async def post(self, path: str, **params: str) -> str | None:
        return await self._call("POST", path, params)

    async def _call(self, method: str, path: str, params: dict[str, str]) -> str | None:
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        connection = Connection(lambda: asyncio.open_unix_connection(str(self._socket)), "envoy", self._timeout)
        try:
            answer = await connection.request(method, path + query)
        except (OSError, EOFError, TimeoutError, ValueError):
            return None
        finally:
            await connection.close()
        return answer.text if answer.status < 300 else None

    async def running(self) -> bool:
        """Answers at all; it may still be starting."""
        return await self.get("/server_info") is not None

    async def ready(self) -> bool:
        """Has read its files and listens on both ports. Envoy calls itself live without, when a port is taken."""
        if await self.get("/ready") is None:
            return False
        names = {line.partition("::")[0] for line in (await self.get("/listeners") or "").splitlines()}
        return {"http", "https"} <= names

    async def stats(self, pattern: str) -> dict[str, str] | None:
        """Counters, gauges and texts whose name matches the regular expression; None when Envoy does not answer."""
        text = await self.get("/stats", filter=pattern)
        if text is None:
            return None
        pairs = (line.split(": ", 1) for line in text.splitlines() if ": " in line)
        return {name: value.strip().strip('"') for name, value in pairs}

    async def in_flight(self, upstream: str) -> int | None:
        """Requests, WebSockets and streams on an upstream, those waiting for a connection too.

        None when Envoy does not know it, or is not running.
        """
        prefix = f"cluster.{cluster_name(upstream)}.upstream_rq_"
        found = await self.stats(f"^{re.escape(prefix)}(pending_)?active$")
        return sum(int(value) for value in found.values()) if found else None

    async def reopen_logs(self) -> bool:
        return await self.post("/reopen_logs") is not None
