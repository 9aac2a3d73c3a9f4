"""The supervisor with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import psutil
import pytest

from golive.errors import Cancelled, Conflict, NotFound, StartFailed
from golive.home import Home
from golive.supervise.unit import Http, Probe, Status
from golive.system.processes import Exit, Spec

from .apps import WEB, Recorder, free_port, unit, until

SECOND = timedelta(seconds=1)
QUICK = timedelta(seconds=0.1)


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    yield recorder
    await recorder.supervisor.stop_all([s.id for s in recorder.supervisor.states()])
    await recorder.supervisor.release()


def http(port: int, path: str = "/ready", **fields: object) -> Probe:
    return Probe(Http("127.0.0.1", port, path), **{"interval": QUICK, "timeout": SECOND / 4, **fields})  # type: ignore[arg-type]


async def test_becomes_ready_and_stops(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port, ready=http(port)))
    await recorder.supervisor.wait_ready("app/web.1", 10 * SECOND, SECOND / 2)
    assert recorder.supervisor.state("app/web.1").status is Status.READY
    exit = await recorder.supervisor.stop("app/web.1")
    assert exit == Exit(signal=signal.SIGTERM)
    assert recorder.supervisor.state("app/web.1") is None
    assert recorder.statuses()[-3:] == [Status.READY, Status.STOPPING, Status.STOPPED]


async def test_exit_fails_the_wait_at_once(recorder: Recorder, golive_home: Home) -> None:
    code = "import sys; print('\\n'.join(f'line {i}' for i in range(30))); import nothing_like_it"
    await recorder.supervisor.start(unit(golive_home.root, code, port=free_port()))
    began = time.monotonic()
    with pytest.raises(StartFailed) as failed:
        await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    assert time.monotonic() - began < 5
    assert "exited with 1" in failed.value.what
    assert failed.value.why == "ModuleNotFoundError: No module named 'nothing_like_it'"
    assert "nothing_like_it" in (failed.value.hint or "")
    assert len(failed.value.log.splitlines()) == 20
    assert "line 29" in failed.value.log


async def test_listening_elsewhere_is_said(recorder: Recorder, golive_home: Home) -> None:
    port, other = free_port(), free_port()
    code = f"import socket,time; s=socket.create_server(('127.0.0.1',{other})); time.sleep(60)"
    await recorder.supervisor.start(unit(golive_home.root, code, port=port))
    await until(lambda: _connects(other))
    with pytest.raises(StartFailed) as failed:
        await recorder.supervisor.wait_ready("app/web.1", SECOND / 4)
    assert f"never listened on $PORT ({port})" in failed.value.what
    assert failed.value.why == f"it listens on 127.0.0.1:{other} instead"


async def test_restarts_after_kill_at_once(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port))
    await recorder.supervisor.wait_ready("app/web.1", 10 * SECOND)
    for turn in range(1, 5):
        state = await recorder.until(Status.READY, restarts=turn - 1)
        began = time.monotonic()
        os.kill(state.process.pid, signal.SIGKILL)
        again = await recorder.until(Status.READY, restarts=turn)
        assert time.monotonic() - began < 2
        assert again.last_exit == Exit(signal=signal.SIGKILL)
        assert again.reason == "restarted: killed by SIGKILL"


def _connects(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0
