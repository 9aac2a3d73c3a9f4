"""Errors as JSON a page can show: `{"error": …}`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import psycopg
import psycopg_pool
import redis
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

log = logging.getLogger("threadr")


def install(app: FastAPI) -> None:
    for kind in (psycopg.OperationalError, psycopg_pool.PoolTimeout):
        app.add_exception_handler(kind, _store_down("PostgreSQL"))
    for other in (redis.ConnectionError, redis.TimeoutError):
        app.add_exception_handler(other, _store_down("Redis"))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _refused)


def _store_down(name: str) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_: Request, error: Exception) -> JSONResponse:
        log.warning("%s is not available: %s", name, type(error).__name__)
        text = f"{name} is not available at the moment. Nothing was lost; please try again."
        return JSONResponse({"error": text}, 503, {"Retry-After": "2"})

    return answer


async def _refused(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, StarletteHTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Every problem, without repeating what was sent."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    problems = [(".".join(map(str, p["loc"][1:])), p["msg"].removeprefix("Value error, ")) for p in found]
    text = "; ".join(f"{place}: {problem}" if place else problem for place, problem in problems)
    return JSONResponse(
        {"error": text, "problems": [{"at": place, "problem": problem} for place, problem in problems]}, 422
    )
