"""Quotas with a real Envoy, a real Redis and the process that counts: right, atomic, and there after every kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.blueprint.models import Quota, Rewrite
from golive.blueprint.routing import compile_rewrite
from golive.edge.model import Endpoint, RouteRule, Upstream
from golive.edge.quota import UPSTREAM
from golive.edge.quota_count import Asked, command, span
from golive.edge.quota_server import Store
from golive.edge.shield import PROBE
from golive.secret import Secret
from golive.system import ports
from golive.system.resp import Address, Connection, RedisError, connect

A = "threadr/production/api/d1"
PLACE = "threadr/production"


def quota(**fields: object) -> Quota:
    return Quota.model_validate(fields)


def redis_server(folder: Path, port: int) -> list[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("there is no redis-server here (Debian: apt-get install redis-server)")
    argv = [program, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]
    return [*argv, "--dir", str(folder), "--logfile", str(folder / "redis.log")]


async def pings(port: int) -> bool:
    try:
        async with connect(Address(port=port)) as redis:
            return await redis.call("PING") == "PONG"
    except (OSError, EOFError, TimeoutError, RedisError):
        return False


@dataclass
class Counted:
    """The three processes, each killed and started at will. `seen` are requests that reached the app."""

    envoy: Running
    folder: Path
    upstreams: Upstreams
    redis_port: int = field(default_factory=ports.choose)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        return self.folder / "quota.sock"

    async def start(self, name: str) -> None:
        if name == "redis":
            argv = redis_server(self.folder, self.redis_port)
        else:
            at = {"host": "127.0.0.1", "port": self.redis_port, "user": "", "password": "", "database": 3, "tls": False}
            (self.folder / "quota.json").write_text(json.dumps({PLACE: at}))
            argv = [sys.executable, "-m", "golive.edge.quota_server", "--socket", str(self.socket)]
            argv += ["--config", str(self.folder / "quota.json")]
            self.socket.unlink(missing_ok=True)
        log = (self.folder / f"{name}.out").open("ab")
        self.processes[name] = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
        log.close()
        async with asyncio.timeout(120):
            while not await self._up(name):
                await asyncio.sleep(0.02)

    async def _up(self, name: str) -> bool:
        return self.socket.exists() if name == "quota" else await pings(self.redis_port)

    async def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    async def serve(self, *rules: RouteRule) -> str:
        """One site whose requests end in this process; its https URL."""

        async def path(request: Request) -> bytes:
            return answer(request.path.encode())

        ups = (Upstream(A, (await self.upstreams.serve(path),)), Upstream(UPSTREAM, (Endpoint.unix(self.socket),)))
        made = replace(site(*rules, trusted_proxies=["127.0.0.9"]), probe=Secret("golive-itself"))
        await self.envoy.edge.apply(self.envoy.config(made, upstreams=ups))
        return self.envoy.edge.url("threadr.localhost")


@pytest.fixture
async def counted(envoy: Running, upstreams: Upstreams, tmp_path: Path) -> AsyncIterator[Counted]:
    folder = tmp_path / "counting"
    folder.mkdir()
    made = Counted(envoy, folder, upstreams)
    try:
        await made.start("redis")
        await made.start("quota")
        yield made
    finally:
        for name in list(made.processes):
            made.signal(name, signal.SIGCONT)
            await made.kill(name)


async def statuses(client: httpx.AsyncClient, url: str, count: int, **headers: str) -> list[int]:
    return [(await client.get(url, headers=headers)).status_code for _ in range(count)]


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 1000


async def test_requests_are_counted_by_client_header_and_all_together(counted: Counted) -> None:
    to_search = compile_rewrite(Rewrite(source="/find/:term", destination="/search?q=:term", before_files=True))
    url = await counted.serve(
        rule(
            A,
            quotas=(
                quota(path="/ai", limit="3/day"),
                quota(path="/keys", per="header:X-Api-Key", limit="2/month"),
                quota(path="/all", per="service", limit="2/day"),
                quota(path="/uploads", limit="9/hour"),
            ),
        ),
        rule(A, prefix="/find", quotas=(quota(limit="1/day"),), rules=(to_search,)),
    )
    async with counted.envoy.client(http2=True) as client:
        first = await client.get(f"{url}/ai/x")
        assert (first.status_code, first.headers["x-ratelimit-remaining"]) == (200, "2")
        assert first.headers["ratelimit-policy"] == '"3/day";q=3;w=86400'
        assert first.headers["ratelimit"].startswith('"3/day";r=2;t=')
        assert await statuses(client, f"{url}/ai", 3) == [200, 200, 429]
        assert (await client.options(f"{url}/ai")).status_code == 200
        assert await statuses(client, f"{url}/ai", 2, **{PROBE: "golive-itself"}) == [200, 200]
        assert await statuses(client, f"{url}/ai", 1, **{PROBE: "somebody"}) == [429]
        assert await statuses(client, f"{url}/keys", 3, **{"x-api-key": "one"}) == [200, 200, 429]
        assert await statuses(client, f"{url}/keys", 3, **{"x-api-key": "two"}) == [200, 200, 429]
        assert await statuses(client, f"{url}/keys", 3) == [200, 200, 429]  # without one: by address
        assert await statuses(client, f"{url}/all", 3) == [200, 200, 429]
        # A query that a rewrite adds, and the quota of where it was asked.
        assert (await client.get(f"{url}/find/tea?page=2")).text == "/search?q=tea&term=tea&page=2"
        assert await statuses(client, f"{url}/find/tea", 1) == [429]
        plain = await client.get(f"{url}/other")
        assert "ratelimit" not in plain.headers

        # A body waits while its request is counted, announced or not.
        for content in (b"x" * 3_000_000, chunks(3_000)):
            assert (await client.post(f"{url}/uploads", content=content)).status_code == 200
            assert len(counted.upstreams.seen[-1].body) == 3_000_000

        end = span("day", datetime.now(UTC))[1]
        refused = await client.get(f"{url}/ai", headers={"accept": "application/json"})
        until = end - datetime.now(UTC)
        assert abs(int(refused.headers["retry-after"]) - until.total_seconds()) < 3
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert refused.headers["x-content-type-options"] == "nosniff"
        said = refused.json()
        assert said["error"] == f"The quota of 3 requests a day is used up. It begins anew at {end:%Y-%m-%d} 00:00 UTC"
        assert said["request_id"] == refused.headers["x-request-id"]
        assert "used up" in (await client.get(f"{url}/ai")).text
        grpc = await client.post(f"{url}/ai", headers={"content-type": "application/grpc"}, content=b"")
        assert (grpc.status_code, grpc.headers["grpc-status"]) == (200, "8")
    transport = httpx.AsyncHTTPTransport(verify=counted.envoy.trusting(), local_address="127.0.0.9")
    async with httpx.AsyncClient(transport=transport, trust_env=False) as behind:  # a proxy
        for visitor in ("198.51.100.7", "198.51.100.8"):
            forged = {"x-forwarded-for": f"203.0.113.1, {visitor}"}
            assert await statuses(behind, f"{url}/ai", 4, **forged) == [200, 200, 200, 429]
    assert not any(PROBE in request.headers for request in counted.upstreams.seen)
    async with connect(Address(port=counted.redis_port)) as redis:
        await redis.call("SELECT", 3)
        keys = await redis.call("KEYS", "*")
        assert isinstance(keys, list)
        assert len(keys) == 5
        for key in keys:
            left = await redis.call("TTL", str(key))
            assert isinstance(left, int)
            assert 0 < left <= 31 * 86400
            assert "one" not in str(await redis.call("HGETALL", str(key)))


async def test_many_at_once_get_no_more_than_there_is_and_a_kill_of_everything_forgets_nothing(
    counted: Counted,
) -> None:
    quotas = (quota(path="/ai", limit="15/day"), quota(limit="20/day"))
    url = await counted.serve(rule(A, quotas=quotas))
    async with counted.envoy.client(http2=True) as client:
        got = await asyncio.gather(*(statuses(client, f"{url}/ai", 1) for _ in range(40)))
        assert sorted(status for [status] in got) == [200] * 15 + [429] * 25
        # Those that were refused are not counted by the other quota either.
        assert await statuses(client, f"{url}/else", 3) == [200] * 3
    await asyncio.gather(counted.kill("redis"), counted.kill("quota"), counted.envoy.kill())
    await asyncio.gather(counted.start("redis"), counted.start("quota"), counted.envoy.start())
    async with counted.envoy.client() as client:
        assert await statuses(client, f"{url}/ai", 1) == [429]
        assert await statuses(client, f"{url}/else", 3) == [200] * 2 + [429]


async def test_what_cannot_be_counted_passes_or_not_as_declared(counted: Counted) -> None:
    url = await counted.serve(
        rule(A, quotas=(quota(path="/open", limit="3/day"), quota(path="/shut", limit="9/day", when_away="closed")))
    )
    async with counted.envoy.client(http2=True) as client:

        async def away() -> None:
            assert await statuses(client, f"{url}/open", 4) == [200] * 4
            shut = await client.get(f"{url}/shut")
            assert (shut.status_code, shut.headers["retry-after"]) == (503, "2")
            assert "cannot be counted" in shut.text

        async def back() -> None:
            async with asyncio.timeout(120):
                while (await client.get(f"{url}/shut")).status_code != 200:
                    await asyncio.sleep(0.05)

        assert await statuses(client, f"{url}/open", 2) == [200, 200]
        for name in ("quota", "redis"):
            await counted.kill(name)
            await away()
            await counted.start(name)
            await back()
        assert await statuses(client, f"{url}/open", 2) == [200, 429]
        counted.signal("redis", signal.SIGSTOP)  # neither an answer nor a refusal
        await away()
        counted.signal("redis", signal.SIGCONT)
        await back()
    assert "cannot be counted" in counted.envoy.edge.layout.log.read_text()


async def test_the_process_that_counts_is_replaced_under_load(counted: Counted) -> None:
    """As an upgrade does it: the new one listens before the old one is told to end."""
    url = await counted.serve(rule(A, quotas=(quota(limit="100000/day", when_away="closed"),)))
    over = asyncio.Event()
    found: list[int] = []

    async def ask() -> None:
        async with counted.envoy.client(http2=True) as client:
            while not over.is_set() or len(found) < 50:
                found.extend(await statuses(client, url, 1))

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    old, inode = counted.processes["quota"], counted.socket.stat().st_ino
    argv = ["--socket", str(counted.socket), "--config", str(counted.folder / "quota.json")]
    program = (sys.executable, "-m", "golive.edge.quota_server", *argv)
    counted.processes["quota"] = await asyncio.create_subprocess_exec(*program)
    async with asyncio.timeout(120):
        while counted.socket.stat().st_ino == inode:
            await asyncio.sleep(0.02)
    old.terminate()
    assert await old.wait() == 0
    over.set()
    await asyncio.gather(*asking)
    assert set(found) == {200}


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Connection]:
    port = ports.choose()
    process = await asyncio.create_subprocess_exec(*redis_server(tmp_path, port))
    try:
        async with asyncio.timeout(120):
            while not await pings(port):
                await asyncio.sleep(0.02)
        async with connect(Address(port=port)) as connection:
            yield connection
    finally:
        process.kill()
        await process.wait()


async def test_commands_that_come_together_have_each_its_own_answer(redis: Connection) -> None:
    port = redis._writer.get_extra_info("peername")[1]
    store = Store(PLACE, {"host": "127.0.0.1", "port": port, "user": "", "password": "", "database": 0, "tls": False})
    try:
        found = await asyncio.gather(*(store.call(("INCRBY", "n", 1)) for _ in range(500)))
        assert found == list(range(1, 501))
        with pytest.raises(RedisError, match="unknown command"):
            await store.call(("NOTHING",))
        with pytest.raises(TimeoutError):
            await store.call(("INCR", "n"))  # for a moment it is not asked
        async with asyncio.timeout(120):
            while True:
                await asyncio.sleep(0.05)
                with contextlib.suppress(TimeoutError):
                    assert await store.call(("INCR", "n")) == 501
                    break
    finally:
        await store.close()


async def test_keys_beyond_the_bound_share_one_count(redis: Connection) -> None:
    now = datetime.now(UTC)

    async def count(key: str) -> object:
        return await redis.call(*command("a/b", (Asked("s", 2, "day", key),), now, most=3))

    assert [await count(key) for key in ("one", "two", "three")] == [[0, 1], [0, 1], [0, 1]]
    assert [await count(key) for key in ("four", "five", "six")] == [[0, 1], [0, 2], [1, 2]]
    assert await count("one") == [0, 2]
    tomorrow = command("a/b", (Asked("s", 2, "day", "one"),), now + timedelta(days=1))
    assert await redis.call(*tomorrow) == [0, 1]
