"""An upgrade replaces what runs: connections go on, nothing is refused, a crash afterwards is survived."""

from __future__ import annotations

import asyncio
import os
import signal

from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.model import Upstream
from golive.release.prober import Address
from golive.release.renewal import Running as RunningEnvoy
from golive.release.renewal import command_line, envoy_unit, is_outdated, renew_envoy, running_envoy
from golive.supervise.supervisor import Supervisor

A = "threadr/production/api/d1"


class Load:
    """Clients on keep-alive connections, and others that connect anew each time."""

    def __init__(self, address: Address) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._tasks = [asyncio.create_task(self._run(address, again)) for again in (False,) * 4 + (True,) * 2]

    async def _run(self, address: Address, again: bool) -> None:
        connection = address.connection()
        try:
            while True:
                try:
                    reply = await connection.get("/")
                    self.answered += 1
                    if reply.status != 200:
                        self.failures.append(str(reply.status))
                except (OSError, EOFError, ValueError) as error:
                    self.failures.append(repr(error))
                if again:
                    await connection.close()
                await asyncio.sleep(0)
        finally:
            await connection.close()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_successor_takes_over_under_load(envoy: Running, upstreams: Upstreams) -> None:
    endpoint = await upstreams.serve(answer(b"A"))
    await envoy.edge.apply(envoy.config(site(rule(A)), upstreams=(Upstream(A, (endpoint,)),)))
    assert envoy.process is not None
    old, supervisor = envoy.process.id, Supervisor()
    https = envoy.edge.layout.https_port
    load = Load(Address("https", "threadr.localhost", https, envoy.trusting()))
    try:
        await _until(lambda: load.answered > 50)
        await renew_envoy(envoy.edge, supervisor, "edge", old)
        state = supervisor.state("edge")
        assert state is not None
        assert state.process is not None
        assert running_envoy(command_line(state.process.pid)) == RunningEnvoy(1, envoy.edge.base_id)
        seen = load.answered
        await _until(lambda: load.answered > seen + 200)
        assert load.failures == []
    finally:
        await load.stop()
        await supervisor.stop("edge")


async def test_a_killed_successor_is_followed_by_a_fresh_envoy(envoy: Running, upstreams: Upstreams) -> None:
    endpoint = await upstreams.serve(answer(b"A"))
    await envoy.edge.apply(envoy.config(site(rule(A)), upstreams=(Upstream(A, (endpoint,)),)))
    assert envoy.process is not None
    supervisor = Supervisor()
    await renew_envoy(envoy.edge, supervisor, "edge", envoy.process.id)
    try:
        first = supervisor.state("edge")
        assert first is not None
        assert first.process is not None
        await envoy.kill()
        os.kill(first.process.pid, signal.SIGKILL)
        await _until(lambda: _pid(supervisor) not in (None, first.process.pid))
        assert await envoy.edge.wait_ready(_seconds(10))
        async with envoy.client() as client:
            assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "A"
    finally:
        await supervisor.stop("edge")


async def test_what_runs_is_compared_without_what_differs_from_start_to_start(envoy: Running) -> None:
    wanted = envoy_unit(envoy.edge, "edge", RunningEnvoy(0, 7)).spec.argv
    assert not is_outdated(list(wanted), wanted)
    assert not is_outdated(list(envoy_unit(envoy.edge, "edge", RunningEnvoy(3, 9)).spec.argv), wanted)
    assert is_outdated(["/older/envoy", *wanted[1:]], wanted)
    assert is_outdated([*wanted, "--something-new"], wanted)
    assert not is_outdated([], wanted)
    assert running_envoy([*wanted, "--disable-hot-restart"]) is None


def _pid(supervisor: Supervisor) -> int | None:
    state = supervisor.state("edge")
    return state.process.pid if state and state.process else None


def _seconds(count: float):  # type: ignore[no-untyped-def]
    from datetime import timedelta

    return timedelta(seconds=count)


async def _until(condition) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)
