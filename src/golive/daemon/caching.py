"""What clients may ask of the response cache: what it holds, and to forget some of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from golive.daemon import api
from golive.errors import Conflict, GoliveError, NotFound
from golive.release.companions import CACHE
from golive.release.host import Host
from golive.state.records import Place
from golive.system.http import Connection

_NOTHING = {"hits": 0, "stale": 0, "misses": 0, "joined": 0, "passed": 0, "failed": 0, "answers": 0, "bytes": 0}


async def stats(host: Host, place: Place) -> dict[str, Any]:
    """Counts since the cache was started, and how much it holds of the app. As JSON."""
    memory = _policies(host, place)
    found = (await _ask(host, "GET", "/-/stats"))["apps"].get(str(place), {})
    return {**place_of(place), **_NOTHING, "memory": memory, **found}


async def purge(host: Host, call: api.PurgeCall, actor: str) -> dict[str, Any]:
    """Forget the app's answers at a path and below, all of them without one. As JSON: how many they were."""
    _policies(host, call.place)
    query = {"app": str(call.place)} | ({"path": call.path} if call.path else {})
    found = await _ask(host, "POST", f"/-/purge?{urlencode(query)}")
    host.state.audit(actor, "cache.purge", call.place, path=call.path, answers=found["purged"])
    return {**place_of(call.place), "path": call.path, **found}


def place_of(place: Place) -> dict[str, Any]:
    return {"app": place.app, "environment": place.environment}


def _policies(host: Host, place: Place) -> int:
    """Bytes that the live release may keep. NotFound where it keeps nothing."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} is not live", hint="golive status lists what there is")
    blueprint = host.release_blueprint(place, app.live)
    if not any(service.cache for service in blueprint.services.values()):
        raise NotFound(
            f"no answer of {place} is kept",
            why="no service of its live release has `cache`",
            hint='such as `cache = { path = "/api/public/*", ttl = "30s" }` in the service, then golive up',
        )
    return blueprint.edge.cache_memory


async def _ask(host: Host, method: str, target: str) -> dict[str, Any]:
    socket = host.gateway.edge.layout.cache
    connection = Connection(lambda: asyncio.open_unix_connection(str(socket)), "cache", 5)
    hint = "it is started again by itself; requests go to the services meanwhile: try again in a moment"
    try:
        answer = await connection.request(method, target)
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        said = host.supervisor.state(CACHE)
        why = said.reason if said and said.reason else str(error) or type(error).__name__
        raise Conflict("the response cache does not answer", why=why, hint=hint) from error
    finally:
        await connection.close()
    if answer.status != 200:
        raise GoliveError("the response cache refused", why=f"status {answer.status}", hint=hint)
    found: dict[str, Any] = json.loads(answer.text)
    return found
