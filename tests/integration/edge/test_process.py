"""Envoy as a process: its user, its ports, its neighbours, and instances that hang."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from edge_harness import Request, Running, Upstreams, answer, envoy_binary, rule, site

from golive.edge.ca import LocalCA
from golive.edge.edge import Edge, base_id_of
from golive.edge.model import Upstream
from golive.errors import Conflict
from golive.home import Home
from golive.system import ports, users

A, B = "threadr/production/api/d1", "threadr/production/api/d2"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may pass through, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="golive-edge-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
async def test_as_root_envoy_runs_as_another_user_and_still_has_low_ports(
    open_folder: Path, upstreams: Upstreams
) -> None:
    nobody = users.find("nobody")
    assert nobody is not None
    low = next(p for p in range(600, 1000) if ports.free(p))
    home = Home(open_folder / "home")
    edge = Edge(home, http_port=low, https_port=ports.choose(), envoy=await envoy_binary(), user=nobody)
    edge.prepare()
    running = Running(edge, LocalCA(home.ca))
    await edge.apply(running.config(site(rule(A)), upstreams=(Upstream(A),)))
    try:
        await running.start()
        assert running.process is not None
        assert psutil.Process(running.process.pid).uids().effective == nobody.uid
        await edge.apply(
            running.config(site(rule(A)), upstreams=(Upstream(A, (await upstreams.serve(answer(b"A")),)),))
        )
        async with running.client() as client:
            assert (await client.get(edge.url("threadr.localhost"))).text == "A"
            assert (await client.get(edge.url("threadr.localhost", https=False))).status_code == 307
        keys = list((home.edge / "certificates").iterdir())
        assert [oct(p.stat().st_mode & 0o777) for p in keys] == ["0o640"]
        assert home.edge.stat().st_mode & 0o777 == 0o700
        assert home.edge.stat().st_uid == nobody.uid
    finally:
        await running.kill()


async def test_a_port_that_somebody_else_has_is_said_with_who(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        edge = Edge(
            home, http_port=port, https_port=ports.choose({port}), envoy=await envoy_binary(), address="0.0.0.0"
        )
        edge.prepare()
        running = Running(edge, LocalCA(home.ca))
        try:
            with pytest.raises(Conflict, match=f"cannot listen on port {port}") as caught:
                await running.start()
        finally:
            await running.kill()
    assert f"pid {os.getpid()}" in (caught.value.why or "")


async def test_two_homes_have_an_edge_each(envoy: Running, upstreams: Upstreams, tmp_path: Path) -> None:
    home = Home(tmp_path / "second")
    first = ports.choose()
    edge = Edge(home, http_port=first, https_port=ports.choose({first}), envoy=await envoy_binary(), concurrency=1)
    edge.prepare()
    other = Running(edge, LocalCA(home.ca))
    try:
        await other.start()
        assert edge.base_id != envoy.edge.base_id
        for running, name in ((envoy, "one"), (other, "two")):
            up = Upstream(A, (await upstreams.serve(answer(name.encode())),))
            await running.edge.apply(running.config(site(rule(A)), upstreams=(up,)))
        for running, name in ((envoy, "one"), (other, "two")):
            async with running.client() as client:
                assert (await client.get(running.edge.url("threadr.localhost"))).text == name
    finally:
        await other.kill()


async def test_envoy_killed_during_an_apply_reads_it_at_its_next_start(envoy: Running, upstreams: Upstreams) -> None:
    up = Upstream(A, (await upstreams.serve(answer(b"A")),))
    applying = asyncio.create_task(envoy.edge.apply(envoy.config(site(rule(A)), upstreams=(up,))))
    await asyncio.sleep(0.03)
    await envoy.kill()
    assert await applying
    await envoy.start()
    async with envoy.client() as client:
        assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "A"


async def test_a_switch_to_a_checked_upstream_waits_until_it_has_been_asked(
    envoy: Running, upstreams: Upstreams
) -> None:
    """Envoy keeps a new cluster with health checks apart until the first has ended; routes to it would find nothing."""

    async def slow(request: Request) -> bytes:
        await asyncio.sleep(0.4 if request.path == "/health" else 0)
        return answer(b"B")

    a, b = await upstreams.serve(answer(b"A")), await upstreams.serve(slow)
    known = (Upstream(A, (a,), health_path="/health"), Upstream(B, (b,), health_path="/health"))
    await envoy.edge.apply(envoy.config(site(rule(A)), upstreams=known[:1]))
    url, stop, got = envoy.edge.url("threadr.localhost"), False, []

    async def traffic() -> None:
        async with envoy.client() as client:
            while not stop:
                got.append(await client.post(url, content=b"x"))

    task = asyncio.create_task(traffic())
    await envoy.edge.apply(envoy.config(site(rule(B)), upstreams=known))
    async with envoy.client() as client:
        assert (await client.get(url)).text == "B"
    stop = True
    await task
    assert {r.status_code for r in got} == {200}
    assert "/health" in {r.path for r in upstreams.seen}


async def test_an_edge_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    edge = Edge(Home(tmp_path), http_port=1, https_port=2, envoy=await envoy_binary())
    assert [edge.prepare(), edge.prepare()] == [True, False]
    assert edge.layout.directory.stat().st_mode & 0o777 == 0o700
    assert not await edge.wait_ready(timedelta(seconds=0.05))
    assert await edge.in_flight(A) is None


def test_users_do_not_meet_in_each_other_s_shared_memory() -> None:
    """Seen: what an Envoy of another user had left behind under the same home made the first `golive up` fail."""
    home = Path("/var/lib/golive")
    assert base_id_of(home, 0) == base_id_of(home, 0)
    assert len({base_id_of(home, 0), base_id_of(home, 999), base_id_of(Path("/var/lib/other"), 0)}) == 3
    assert 0 < base_id_of(home, 999) * 10 < 2**32
