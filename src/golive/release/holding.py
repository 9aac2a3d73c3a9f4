"""An environment's requests wait at the edge while what they need is exchanged; nothing of it runs meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from golive.blueprint.models import ServiceKind
from golive.errors import GoliveError, in_words
from golive.release.host import Host
from golive.release.instances import ensure_running, wait_ready
from golive.release.traffic import edge_config, in_flight
from golive.state.records import Generation, GenerationState, Place

log = logging.getLogger("golive.holding")
LONGEST = timedelta(minutes=5)
"""A request waits no longer."""
DRAIN = 10.0
"""Seconds that requests under way may take to end; what goes on longer (a stream) is cut off."""


@asynccontextmanager
async def held(host: Host, place: Place, say: Callable[[str], None]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Requests wait from here to the end of the block, and every instance has ended. What is yielded starts them
    again; they are started, in any case, before the requests go on. What the block raises is what is raised, whether
    they come up after it or not.
    """
    live = [g for g in host.state.generations(place, (GenerationState.LIVE,)) if host.state.instances(g.id)]
    routed = [g for g in live if host.service(g).kind is ServiceKind.WEB and host.service(g).route]
    host.waiting[place] = LONGEST
    host.held |= {generation.upstream: None for generation in routed}
    try:
        if routed:
            await host.gateway.apply(edge_config(host))
            say("requests wait at the edge")
            await asyncio.gather(*(_drained(host, generation) for generation in routed))
        await asyncio.gather(*(_end(host, generation) for generation in live))
        try:
            yield lambda: _begin(host, live)
        except BaseException:
            try:
                await asyncio.shield(_begin(host, live))
            except GoliveError as error:
                log.warning("%s: %s", place, in_words(error))
            raise
        await asyncio.shield(_begin(host, live))
    finally:
        host.waiting.pop(place, None)
        for generation in routed:
            host.held.pop(generation.upstream, None)
        if host.opened is not None:
            await asyncio.shield(host.gateway.apply(edge_config(host)))


async def _begin(host: Host, live: list[Generation]) -> None:
    """StartFailed for the first that does not become ready."""
    await asyncio.gather(*(ensure_running(host, generation) for generation in live))
    await asyncio.gather(*(wait_ready(host, generation) for generation in live))


async def _end(host: Host, generation: Generation) -> None:
    await asyncio.gather(*(host.supervisor.stop(instance.unit) for instance in host.state.instances(generation.id)))


async def _drained(host: Host, generation: Generation) -> None:
    deadline = time.monotonic() + DRAIN
    zeros = 0
    while zeros < 3 and time.monotonic() < deadline:
        zeros = 0 if await in_flight(host, generation) else zeros + 1
        await asyncio.sleep(0.05)
