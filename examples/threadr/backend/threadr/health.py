"""/health: this process works. /readiness: what it needs answers, asked now."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from threadr.services import Running

router = APIRouter()
_STARTED = time.monotonic()
_PATIENCE = 1.5


@router.get("/health")
@router.get("/api/health")
async def health(services: Running) -> dict[str, Any]:
    """Asks no other process: a restart of this one would not mend them."""
    uptime = round(time.monotonic() - _STARTED, 1)
    return {"status": "ok", "instance": os.getpid(), "release": services.settings.release, "uptime": uptime}


@router.get("/readiness")
@router.get("/api/readiness")
async def readiness(services: Running) -> JSONResponse:
    """200 when both answer, else 503 with which one does not."""
    names = ("postgres", "redis")
    found = await asyncio.gather(_asked(services.store.ping()), _asked(services.redis.ping()))
    ready = all(check["ok"] for check in found)
    body = {"status": "ready" if ready else "not ready", "checks": dict(zip(names, found, strict=True))}
    return JSONResponse(body, 200 if ready else 503, {"Cache-Control": "no-store"})


async def _asked(ping: Awaitable[Any]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE):
            await ping
    except TimeoutError:
        return {"ok": False, "error": f"no answer within {_PATIENCE:g} s"}
    except Exception as error:  # whatever it is, it is down; the type says enough and holds no address or password
        return {"ok": False, "error": type(error).__name__}
    return {"ok": True, "ms": round((time.perf_counter() - started) * 1000, 1)}
