"""Looking at a store that runs: facts read, findings decided. Loads the driver, so not in the daemon."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import psycopg

from golive.blueprint.models import Resource
from golive.data import postgres_facts, postgres_insight, redis_insight
from golive.data.external import explain, open_postgres, open_redis, target_of
from golive.data.insight import Insight, without_values
from golive.data.redis import TROUBLE, Redis
from golive.data.store import Store
from golive.data.urls import Target
from golive.secret import Secret

TIMEOUT = 120
"""Seconds for all questions together."""


async def insight(resource: Resource, url: Secret, store: Store | None) -> Insight:
    """`store` where golive runs it. ResourceFailed, without the URL, when it does not answer."""
    target = target_of(resource, url)
    try:
        async with asyncio.timeout(TIMEOUT):
            return await (_postgres(target) if resource.engine == "postgres" else _redis(target, store))
    except (psycopg.Error, *TROUBLE) as error:
        raise explain(target, resource.url_from or resource.engine, error) from None


async def _postgres(target: Target) -> Insight:
    async with await open_postgres(target) as connection:
        facts = await postgres_facts.read_facts(connection)
    found = asdict(facts)
    for session in found["sessions"]:
        session["query"] = without_values(session["query"])
    return Insight("postgres", facts.server.version, found, postgres_insight.findings(facts))


async def _redis(target: Target, store: Store | None) -> Insight:
    # golive's own account where there is one: an app's may read neither the slow log nor the settings.
    async with store.as_admin() if isinstance(store, Redis) else open_redis(target) as connection:
        facts = await redis_insight.read_facts(connection)
    found = {**asdict(facts), "hit_rate": facts.hit_rate}
    return Insight("redis", facts.version, found, redis_insight.findings(facts))


async def sizes(resource: Resource, url: Secret, store: Store | None) -> dict[str, Any]:
    """In bytes: the database and its tables, the largest first; of Redis memory and keys. Raises as `insight` does."""
    target = target_of(resource, url)
    try:
        async with asyncio.timeout(TIMEOUT):
            if resource.engine == "postgres":
                async with await open_postgres(target) as connection:
                    size, tables = await postgres_facts.read_tables(connection)
                return {"size": size, "tables": [asdict(each) for each in tables]}
            async with store.as_admin() if isinstance(store, Redis) else open_redis(target) as server:
                facts = await redis_insight.read_facts(server)
            return {"size": facts.used, "limit": facts.limit, "keys": {n: asdict(k) for n, k in facts.keys.items()}}
    except (psycopg.Error, *TROUBLE) as error:
        raise explain(target, resource.url_from or resource.engine, error) from None
