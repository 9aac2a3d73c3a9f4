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
from typing import Any

import pytest

from golive.errors import Cancelled, Conflict, NotFound, StartFailed
from golive.home import Home
from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import Command, Http, Probe, Status, UnitState
from golive.system import cgroups
from golive.system.processes import Exit, Limits, Spec

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
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND, SECOND / 2)
    assert recorder.supervisor.state("app/web.1").status is Status.READY
    exit = await recorder.supervisor.stop("app/web.1")
    assert exit == Exit(signal=signal.SIGTERM)
    assert recorder.supervisor.state("app/web.1") is None
    assert recorder.statuses()[-3:] == [Status.READY, Status.STOPPING, Status.STOPPED]


async def test_exit_fails_the_wait_at_once(recorder: Recorder, golive_home: Home) -> None:
    code = "import sys; print('\\n'.join(f'line {i}' for i in range(30))); import nothing_like_it"
    await recorder.supervisor.start(unit(golive_home.root, code, port=free_port()))
    with pytest.raises(StartFailed) as failed:
        async with asyncio.timeout(120):
            await recorder.supervisor.wait_ready("app/web.1", 3600 * SECOND)
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


async def test_restarts_after_every_kill(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port))
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    for turn in range(1, 5):
        state = await recorder.until(Status.READY, restarts=turn - 1)
        os.kill(state.process.pid, signal.SIGKILL)
        again = await recorder.until(Status.READY, restarts=turn)
        assert again.last_exit == Exit(signal=signal.SIGKILL)
        assert again.reason == "restarted: killed by SIGKILL"


async def test_answers_500_are_told_with_their_body(recorder: Recorder, golive_home: Home) -> None:
    (golive_home.root / "mode").write_text("500")
    port = free_port()
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port, ready=http(port)))
    with pytest.raises(StartFailed) as failed:
        await recorder.supervisor.wait_ready("app/web.1", SECOND * 1.5)
    assert "did not become ready within 1.5 s" in failed.value.what
    assert (failed.value.why or "").startswith("GET /ready answered 500: database is away!!!")
    assert len(failed.value.why or "") < 250
    assert failed.value.log == "listening"


async def test_a_redirect_is_told(recorder: Recorder, golive_home: Home) -> None:
    (golive_home.root / "mode").write_text("redirect")
    port = free_port()
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port, ready=http(port)))
    with pytest.raises(StartFailed) as failed:
        await recorder.supervisor.wait_ready("app/web.1", SECOND * 1.5)
    assert "answered 302 and pointed to /login" in (failed.value.why or "")


async def test_a_missing_program_is_told_and_tried_again(recorder: Recorder, golive_home: Home) -> None:
    spec = Spec(("/no/such/program",), {}, golive_home.root)
    state = await recorder.supervisor.start(replace(unit(golive_home.root, ""), spec=spec))
    assert state.status is Status.BACKING_OFF
    with pytest.raises(StartFailed, match="cannot start /no/such/program"):
        await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    again = await recorder.until(Status.BACKING_OFF, restarts=1)
    assert "No such file" in again.reason


async def test_a_port_of_somebody_else(recorder: Recorder, golive_home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mine:
        port = mine.getsockname()[1]
        await recorder.supervisor.start(unit(golive_home.root, WEB, port=port))
        with pytest.raises(StartFailed) as failed:
            await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    assert failed.value.what.startswith(f"port {port} is taken by ")
    assert f"(pid {os.getpid()})" in failed.value.what
    await recorder.until(Status.READY)  # once the port is free, the next try succeeds


async def test_a_program_that_is_slow_to_listen_is_asked_before_the_interval_is_over(
    recorder: Recorder, golive_home: Home
) -> None:
    port = free_port()
    slow = http(port, interval=3600 * SECOND)
    await recorder.supervisor.start(
        unit(golive_home.root, f"import time; time.sleep(0.7)\n{WEB}", port=port, ready=slow)
    )
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND, SECOND / 5)


async def test_readiness_has_to_hold(recorder: Recorder, golive_home: Home) -> None:
    """It flaps before it settles: only an unbroken `stable` counts."""
    port = free_port()
    mode = golive_home.root / "mode"
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port, ready=http(port)))
    waiting = asyncio.ensure_future(recorder.supervisor.wait_ready("app/web.1", 60 * SECOND, SECOND))
    await recorder.until(Status.READY)
    mode.write_text("500")
    monitor = recorder.supervisor._keeper("app/web.1").monitor
    await until(lambda: monitor and monitor.passing_since is None)
    fixed = time.monotonic()
    mode.write_text("ok")
    await waiting
    assert time.monotonic() - fixed >= 1


async def test_a_worker_without_a_port(recorder: Recorder, golive_home: Home) -> None:
    began = time.monotonic()
    await recorder.supervisor.start(unit(golive_home.root, "import time; time.sleep(60)"))
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND, SECOND / 4)
    assert time.monotonic() - began >= 0.25
    assert recorder.statuses()[-1] is Status.READY


async def test_a_worker_that_ends_while_it_is_watched(recorder: Recorder, golive_home: Home) -> None:
    await recorder.supervisor.start(unit(golive_home.root, "import time; time.sleep(0.2); raise SystemExit(4)"))
    with pytest.raises(StartFailed, match="exited with 4 before it was ready"):
        await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND, 5 * SECOND)


async def test_startup_passes_before_readiness_is_asked(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    flag = golive_home.root / "warm"
    argv = (sys.executable, "-I", "-S", "-c", f"import os; raise SystemExit(not os.path.exists({str(flag)!r}))")
    startup = Probe(Command(argv, {}, golive_home.root), interval=QUICK)
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port, startup=startup, ready=http(port)))
    await until(lambda: _connects(port))
    with pytest.raises(StartFailed) as failed:
        await recorder.supervisor.wait_ready("app/web.1", SECOND / 2)
    assert failed.value.why == "exited with 1"
    flag.touch()
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)


async def test_stopped_while_somebody_waits(recorder: Recorder, golive_home: Home) -> None:
    await recorder.supervisor.start(unit(golive_home.root, "import time; time.sleep(60)", port=free_port()))
    waiting = asyncio.ensure_future(recorder.supervisor.wait_ready("app/web.1", 60 * SECOND))
    await asyncio.sleep(0.1)
    await asyncio.gather(recorder.supervisor.stop("app/web.1"), recorder.supervisor.stop("app/web.1"))
    with pytest.raises(Cancelled):
        await waiting


async def test_unready_and_ready_again_at_run_time(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    mode = golive_home.root / "mode"
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port, ready=http(port, failures=2)))
    state = await recorder.until(Status.READY)
    mode.write_text("500")
    unready = await recorder.until(Status.UNREADY)
    assert unready.reason.startswith("GET /ready answered 500")
    assert unready.process == state.process
    mode.write_text("ok")
    await recorder.until(Status.READY)
    assert recorder.supervisor.state("app/web.1").restarts == 0
    assert recorder.statuses()[-2:] == [Status.UNREADY, Status.READY]


async def test_dead_and_restarted(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    mode = golive_home.root / "mode"
    live = http(port, "/live", failures=2)
    made = unit(golive_home.root, WEB, port=port, ready=http(port), live=live, stop_timeout=SECOND)
    await recorder.supervisor.start(made)
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    mode.write_text("dead")
    state = await recorder.until(Status.STARTING, restarts=1)
    mode.write_text("ok")
    assert state.reason == "its liveness probe failed 2 times in a row: no answer within 0.25 s"
    again = await recorder.until(Status.READY, restarts=1)
    assert again.reason.startswith("restarted: its liveness probe failed")


async def test_memory_watched_where_the_kernel_does_not(
    recorder: Recorder, golive_home: Home, monkeypatch: Any
) -> None:
    monkeypatch.setattr("golive.supervise.supervisor.MEMORY_INTERVAL", 0.05)
    code = "import os, sys, time, pathlib\nfirst = pathlib.Path(sys.argv[1], 'first')\n"
    code += "if not first.exists():\n  first.touch()\n  if os.fork() == 0: x = b'x' * 150_000_000\ntime.sleep(60)"
    await recorder.supervisor.start(unit(golive_home.root, code, memory=100_000_000))
    state = await recorder.until(Status.STARTING, restarts=1)
    assert "passed its memory limit of 100.0 MB (it had 1" in state.reason
    await recorder.until(Status.READY, restarts=1)


async def test_out_of_memory_by_the_kernel_is_said(recorder: Recorder, golive_home: Home) -> None:
    if not cgroups.available():
        pytest.skip("no control groups can be made here")
    made = unit(golive_home.root, "x = b'x' * 200_000_000", port=free_port(), memory=40_000_000)
    made = replace(made, spec=replace(made.spec, limits=Limits(memory=40_000_000)))
    await recorder.supervisor.start(made)
    with pytest.raises(StartFailed) as failed:
        await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    assert "ran out of memory" in failed.value.what
    assert failed.value.why == "its limit is 40.0 MB"


async def test_a_new_memory_limit_holds_at_once(recorder: Recorder, golive_home: Home) -> None:
    if not cgroups.available():
        pytest.skip("no control groups can be made here")
    made = unit(golive_home.root, "import time; time.sleep(60)", memory=200_000_000)
    made = replace(made, spec=replace(made.spec, limits=Limits(memory=200_000_000)))
    state = await recorder.supervisor.start(made)
    recorder.supervisor.update(replace(made, memory=100_000_000))
    group = cgroups.group_of(state.process.pid)
    (file,) = [*cgroups.ROOT.glob(f"*/{group}/memory.limit_in_bytes"), *cgroups.ROOT.glob(f"{group}/memory.max")]
    assert abs(int(file.read_text()) - 100_000_000) < 4096


async def test_one_off(recorder: Recorder, golive_home: Home) -> None:
    for code, exit, status in (("pass", Exit(0), Status.EXITED), ("raise SystemExit(7)", Exit(7), Status.FAILED)):
        await recorder.supervisor.start(unit(golive_home.root, code, restart="never"))
        assert await recorder.supervisor.wait_exit("app/web.1") == exit
        state = recorder.supervisor.state("app/web.1")
        assert (state.status, state.over, state.process) == (status, True, None)
    spec = Spec(("/no/such/program",), {}, golive_home.root)
    await recorder.supervisor.start(replace(unit(golive_home.root, "", restart="never"), spec=spec))
    with pytest.raises(StartFailed, match="cannot start"):
        await recorder.supervisor.wait_exit("app/web.1")


async def test_on_failure_runs_until_it_succeeds(recorder: Recorder, golive_home: Home) -> None:
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1], 'n'); n = int(p.read_text()) if p.exists() else 0\n"
    code += "p.write_text(str(n + 1)); raise SystemExit(n < 1)"
    await recorder.supervisor.start(unit(golive_home.root, code, restart="on-failure"))
    assert await recorder.supervisor.wait_exit("app/web.1") == Exit(0)
    assert recorder.supervisor.state("app/web.1").restarts == 1
    assert Status.BACKING_OFF in recorder.statuses()


async def test_released_and_adopted(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    made = unit(golive_home.root, WEB, port=port, ready=http(port))
    await recorder.supervisor.start(made)
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    process = recorder.supervisor.state("app/web.1").process
    await recorder.supervisor.release()
    assert recorder.supervisor.states() == []
    assert _connects(port)
    second = Recorder()
    assert second.supervisor.adopt(made, process, restarts=3)
    assert second.changes[0].status is Status.READY
    await second.supervisor.wait_ready("app/web.1", 60 * SECOND, SECOND / 5)
    assert [c.status for c in second.changes] == [Status.READY]
    os.kill(process.pid, signal.SIGKILL)
    state = await second.until(Status.READY, restarts=4)
    assert state.process != process
    assert not second.supervisor.adopt(made, process)
    await second.supervisor.stop("app/web.1")
    assert not _connects(port)


async def test_an_update_restarts_nothing(recorder: Recorder, golive_home: Home) -> None:
    port = free_port()
    made = unit(golive_home.root, WEB, port=port, ready=http(port, interval=60 * SECOND))
    await recorder.supervisor.start(made)
    state = await recorder.until(Status.READY)
    (golive_home.root / "mode").write_text("500")
    recorder.supervisor.update(replace(made, ready=http(port, failures=1)))
    assert (await recorder.until(Status.UNREADY)).process == state.process


async def test_before_start_runs_before_every_start(recorder: Recorder, golive_home: Home) -> None:
    count = 0

    async def prepare() -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise ValueError("the folder is locked")

    made = unit(golive_home.root, "import time; time.sleep(60)", before_start=prepare)
    assert made == replace(made, before_start=None)
    await recorder.supervisor.start(made)
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND)
    os.kill(recorder.supervisor.state("app/web.1").process.pid, signal.SIGKILL)
    await recorder.until(Status.READY, restarts=2)
    assert count == 3
    assert any("could not be prepared: the folder is locked" in c.reason for c in recorder.changes)


async def test_an_observer_that_fails_changes_nothing(golive_home: Home) -> None:
    def fail(_: UnitState) -> None:
        raise ValueError("disk full")

    supervisor = Supervisor(fail)
    await supervisor.start(unit(golive_home.root, "import time; time.sleep(60)"))
    await supervisor.wait_ready("app/web.1", 60 * SECOND)
    await supervisor.stop("app/web.1")


async def test_stopping_all_stops_them_at_once_and_not_in_turn(recorder: Recorder, golive_home: Home) -> None:
    code = "import signal, sys, time, pathlib; signal.signal(15, signal.SIG_IGN)\n"
    code += "pathlib.Path(sys.argv[1], sys.argv[2]).touch(); time.sleep(60)"
    ids = [f"app/web.{i}" for i in range(6)]
    for id in ids:
        made = unit(golive_home.root, code, id=id, stop_timeout=SECOND / 2)
        await recorder.supervisor.start(replace(made, spec=replace(made.spec, argv=(*made.spec.argv, id[-5:]))))
    await until(lambda: len(list(golive_home.root.glob("web.*"))) == 6)
    await recorder.supervisor.stop_all(ids)
    ends = [s for s in recorder.statuses() if s in (Status.STOPPING, Status.STOPPED)]
    assert ends == [Status.STOPPING] * 6 + [Status.STOPPED] * 6
    assert recorder.supervisor.states() == []


async def test_stopped_while_it_backs_off(recorder: Recorder, golive_home: Home) -> None:
    await recorder.supervisor.start(unit(golive_home.root, "raise SystemExit(1)"))
    await recorder.until(Status.BACKING_OFF)
    assert await recorder.supervisor.stop("app/web.1") == Exit(1)
    assert recorder.statuses()[-1] is Status.STOPPED
    assert await recorder.supervisor.stop("app/web.1") is None


async def test_ids(recorder: Recorder, golive_home: Home) -> None:
    made = unit(golive_home.root, "import time; time.sleep(60)")
    await recorder.supervisor.start(made)
    with pytest.raises(Conflict):
        await recorder.supervisor.start(made)
    with pytest.raises(NotFound):
        await recorder.supervisor.wait_ready("app/other.1", SECOND)
    with pytest.raises(NotFound):
        recorder.supervisor.update(replace(made, id="app/other.1"))


async def test_a_jump_of_the_wall_clock_does_not_matter(
    recorder: Recorder, golive_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the monotonic clock is waited by: here the wall clock goes back ten years in the middle."""
    now = time.time
    port = free_port()
    await recorder.supervisor.start(unit(golive_home.root, WEB, port=port, ready=http(port)))
    monkeypatch.setattr(time, "time", lambda: now() - 10 * 365 * 86400)
    await recorder.supervisor.wait_ready("app/web.1", 60 * SECOND, SECOND / 5)
    os.kill(recorder.supervisor.state("app/web.1").process.pid, signal.SIGKILL)
    await recorder.until(Status.READY, restarts=1)


async def test_idle_supervision_is_cheap(recorder: Recorder, golive_home: Home) -> None:
    """Ten services between two probes cost next to nothing."""
    for index in range(10):
        made = unit(golive_home.root, "import time; time.sleep(60)", id=f"app/web.{index}", memory=10**9)
        await recorder.supervisor.start(made)
    for index in range(10):
        await recorder.supervisor.wait_ready(f"app/web.{index}", 60 * SECOND)
    before = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - before < 0.2


def _connects(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0
