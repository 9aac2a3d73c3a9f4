"""One JSON object a line, each with the id of the request it belongs to."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
request_id: ContextVar[str] = ContextVar("request_id", default="")
access = logging.getLogger("threadr.access")
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str) -> None:
    """Everything through one handler. uvicorn's access log goes: `RequestLog` writes that line, with the id."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    # httpx logs whole URLs and psycopg.pool every failed reconnection; /readiness tells the second one better.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class RequestLog:
    """Gives each request an id (the edge's when it sent a sane one), and logs it when it has been answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        offered = dict(scope["headers"]).get(HEADER.lower().encode(), b"").decode("latin-1")
        current = offered if _ACCEPTED.fullmatch(offered) else uuid.uuid4().hex
        token = request_id.set(current)
        started, status = time.perf_counter(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = current
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            _log(scope, status, started)
            request_id.reset(token)


def _log(scope: Scope, status: int, started: float) -> None:
    took = round((time.perf_counter() - started) * 1000, 1)
    fields = {"method": scope["method"], "path": scope["path"], "status": status, "ms": took}
    # Probes come every few seconds from every side; they are worth a line only when they fail.
    level = logging.DEBUG if scope["path"] in ("/health", "/readiness") and status < 400 else logging.INFO
    access.log(level, "%s %s %s", scope["method"], scope["path"], status, extra={"fields": fields})
