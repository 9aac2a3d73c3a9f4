"""The door of a daemon that does not serve: a standby's, or one in whose place another machine does."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from golive import __version__
from golive.daemon.daemon import PROTOCOL
from golive.daemon.server import answering
from golive.errors import GoliveError
from golive.home import Home

Answer = Callable[[], Awaitable[Any]]


def door(
    home: Home,
    shut_down: Callable[[], None],
    refusal: Callable[[], GoliveError],
    more: Mapping[tuple[str, str], Answer],
) -> Starlette:
    """`more` answers requests by (verb, path); every other one is refused, but for what ends the daemon."""
    began = time.time()

    async def info(_: Request) -> Any:
        known = {"version": __version__, "protocol": PROTOCOL, "pid": os.getpid(), "started_at": began}
        return {**known, "home": str(home.root), "trust": None}

    async def stop(_: Request) -> Any:
        shut_down()
        return {"stopping": True}

    async def refuse(_: Request) -> Any:
        raise refusal()

    routes = [Route("/v1/daemon", answering(info)), Route("/v1/daemon/stop", answering(stop), methods=["POST"])]
    for (verb, path), answer in more.items():
        routes.append(Route(path, answering(_plain(answer)), methods=[verb]))
    verbs = ["GET", "POST", "PUT", "DELETE"]
    return Starlette(routes=[*routes, Route("/{path:path}", answering(refuse), methods=verbs)])


def _plain(answer: Answer) -> Callable[[Request], Awaitable[Any]]:
    async def handler(_: Request) -> Any:
        return await answer()

    return handler
