from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from data_stores import Running, make

from golive.blueprint.models import Resource
from golive.checks.debug import database as debugged
from golive.data import Placement, check_external
from golive.engines import Engines
from golive.errors import ResourceFailed
from golive.secret import Secret
from golive.system import ports

POSTGRES = Resource(engine="postgres", url_from="DATABASE_URL")
REDIS = Resource(engine="redis", url_from="REDIS_URL")
WORD = "hunter22-hunter22"


async def refused(resource: Resource, url: str) -> ResourceFailed:
    with pytest.raises(ResourceFailed) as caught:
        await check_external(resource, Secret(url))
    assert WORD not in str(caught.value.to_json())
    assert caught.value.hint
    return caught.value


async def test_somebody_elses_postgres_answers_or_says_why_not(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", 15), Resource(engine="postgres"))
    await store.prepare()
    await running(store)
    await store.provision()
    url = store.variables()["url"]
    assert isinstance(url, Secret)
    good = url.reveal()
    place_and_name = good.partition("@")[2]

    report = await check_external(POSTGRES, url)

    account = await debugged.database(debugged.engine_of(url, "DATABASE_URL"), url, "DATABASE_URL")
    assert account.verdict.startswith("works; ")
    assert [phase.name for phase in account.phases] == ["DNS", "connect", "login"]
    wrong = Secret(f"postgresql://my_app:{WORD}@{place_and_name}")
    account = await debugged.database("postgres", wrong, "DATABASE_URL")
    assert [(s.about, s.seen) for s in account.steps if s.state == "failed"] == [
        ("login", "the user or password is wrong")
    ]
    nobody = Secret(f"postgresql://me:{WORD}@127.0.0.1:{ports.choose()}/app")
    account = await debugged.database("postgres", nobody, "DATABASE_URL")
    assert [step.about for step in account.steps if step.state == "failed"] == ["network"]
    nowhere = await debugged.database("postgres", Secret("postgresql://me@nowhere.invalid/app"), "DATABASE_URL")
    assert [step.about for step in nowhere.steps if step.state == "failed"] == ["name"]
    assert WORD not in str(account.to_json())
    assert report.version.startswith("15.")
    assert not report.pooled
    assert report.details["way"] == "direct"
    assert report.details["tls"] == "no"
    for bad, why in (
        (f"postgresql://my_app:{WORD}@{place_and_name}", "the user or password is wrong"),
        (good.removesuffix("my_app") + "postgres", "permission denied"),
        (good + "?sslmode=require", "TLS is demanded and the server has none"),
        (good + "?nonsense=1", "a parameter after the ? is not one of PostgreSQL's"),
        (f"postgresql://me:{WORD}@127.0.0.1:{ports.choose()}/app", "nothing listens there"),
        (f"postgresql://me:{WORD}@nowhere.invalid/app", "there is no host of that name"),
    ):
        assert why in str((await refused(POSTGRES, bad)).why), bad
    assert (await check_external(POSTGRES, Secret(good + "?pgbouncer=true&connection_limit=5"))).pooled
    newer = await refused(Resource(engine="postgres", url_from="DATABASE_URL", version=16), good)
    assert "golive.toml asks for 16" in newer.what
    wanting = POSTGRES.model_copy(update={"extensions": ("citext",)})
    await check_external(wanting, url)  # trusted: the owner of a database may make it
    for extension, what in (("pageinspect", "may not make it"), ("citexx", "has no extension citexx")):
        wanting = POSTGRES.model_copy(update={"extensions": (extension,)})
        assert what in (await refused(wanting, good)).what


async def test_somebody_elses_redis_answers_or_says_why_not(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("redis"), Resource(engine="redis"), "cache")
    await store.prepare()
    await running(store)
    await store.provision()
    url = store.variables()["url"]
    assert isinstance(url, Secret)

    report = await check_external(REDIS, url)

    assert int(report.version.split(".")[0]) >= 6
    assert 0 < report.latency_ms < 1000
    for bad, why in (
        (f"redis://:{WORD}@127.0.0.1:{place.port}", "the user or password is wrong"),
        (f"redis://127.0.0.1:{place.port}", "it wants a password"),
        (f"rediss://:{WORD}@127.0.0.1:{place.port}", "TLS is demanded and the server has none"),
        (f"redis://127.0.0.1:{ports.choose()}", "nothing listens there"),
        (url.reveal().removesuffix("/0") + "/99", "DB index is out of range"),
    ):
        assert why in str((await refused(REDIS, bad)).why), bad


@asynccontextmanager
async def answering(words: bytes | None) -> AsyncIterator[int]:
    """A server that says these words and leaves, or (None) never says anything."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(1)
        if words is not None:
            writer.write(words)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@pytest.mark.parametrize(
    "words",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$99999999999\r\n", b"", b"*1\r\n"],
    ids=["http", "huge", "nothing", "cut"],
)
async def test_what_is_not_redis_is_no_redis(words: bytes) -> None:
    async with answering(words) as port:
        error = await refused(REDIS, f"redis://:{WORD}@127.0.0.1:{port}")

    assert f"127.0.0.1:{port}" in error.what


async def test_a_port_that_is_ours_only_by_number(place: Placement) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        holder = ports.holder(place.port)

        assert not ports.free(place.port)
        assert holder is not None
        assert str(holder.pid) in str(holder)
    assert ports.free(place.port)
    assert ports.holder(place.port) is None


async def test_chosen_ports_are_free_and_not_those_to_avoid() -> None:
    left = set(ports.RANGE[1:4])

    chosen = ports.choose(set(ports.RANGE) - left)

    assert chosen in left
    assert chosen < 32768
