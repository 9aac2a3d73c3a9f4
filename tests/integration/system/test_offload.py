"""The other process: its answers, reports and errors, and that it is gone when it should be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from golive.errors import GoliveError, MigrationFailed
from golive.secret import Secret
from golive.system.offload import Offload


@pytest.fixture(autouse=True)
def this_file_over_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


async def whoami(secret: Secret) -> tuple[int, str]:
    return os.getpid(), secret.reveal()


async def count(until: int, report: Callable[[int], None] = lambda _: None) -> str:
    for n in range(until):
        report(n)
    return "counted"


async def fail(error: Exception) -> None:
    raise error


async def odd() -> None:
    class OddError(Exception):
        """Of a module the other side does not have."""

    raise OddError("something odd")


async def printing() -> str:
    print("not an answer")
    return "an answer"


async def hang(begun: Path, cleaned: Path) -> None:
    begun.touch()
    try:
        await asyncio.Event().wait()
    finally:
        cleaned.touch()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)


async def test_calls_share_one_process_which_is_not_this_one() -> None:
    offload = Offload()
    (first, value), (second, _) = await asyncio.gather(
        offload.call(whoami, Secret("s3cret")), offload.call(whoami, Secret(""))
    )
    assert (first, value) == (second, "s3cret")
    assert first != os.getpid()
    await offload.close()
    assert not psutil.pid_exists(first)


async def test_reports_come_in_order_before_the_answer() -> None:
    offload, heard = Offload(), list[int]()
    assert await offload.reporting(heard.append, count, 500) == "counted"
    assert heard == [*range(500)]
    assert await offload.call(printing) == "an answer"
    await offload.close()


async def test_errors_arrive_as_what_they_are_and_a_stranger_s_as_text() -> None:
    offload = Offload()
    with pytest.raises(MigrationFailed) as failed:
        await offload.call(fail, MigrationFailed("no", where="0001.sql", hint="mend it", log="line"))
    assert (failed.value.what, failed.value.where, failed.value.log) == ("no", "0001.sql", "line")
    with pytest.raises(TimeoutError):
        await offload.call(fail, TimeoutError())
    with pytest.raises(RuntimeError, match="something odd"):
        await offload.call(odd)
    await offload.close()


async def test_a_cancelled_call_cleans_up_and_the_others_go_on(tmp_path: Path) -> None:
    offload = Offload()
    begun, cleaned = tmp_path / "begun", tmp_path / "cleaned"
    task = asyncio.create_task(offload.call(hang, begun, cleaned))
    await until(begun.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.exists()
    assert await offload.call(count, 1) == "counted"
    await offload.close()


async def test_a_killed_process_fails_its_calls_and_the_next_one_gets_another(tmp_path: Path) -> None:
    offload = Offload()
    pid, _ = await offload.call(whoami, Secret(""))
    task = asyncio.create_task(offload.call(hang, tmp_path / "begun", tmp_path / "cleaned"))
    await until((tmp_path / "begun").exists)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(GoliveError, match="ended in the middle"):
        await task
    assert (await offload.call(whoami, Secret("")))[0] != pid
    await offload.close()


async def stays(begun: Path) -> None:
    """Does not leave when it is told to."""
    begun.touch()
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def test_a_call_that_does_not_leave_cancels_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits beside it hears that his own call was cut off: cancelled, a loop of the daemon would be over."""
    monkeypatch.setattr("golive.system.offload.GRACE", 0.1)
    offload, begun, cleaned = Offload(), [tmp_path / "stays", tmp_path / "waits"], tmp_path / "cleaned"
    stubborn = asyncio.create_task(offload.call(stays, begun[0]))
    beside = asyncio.create_task(offload.call(hang, begun[1], cleaned))
    await until(lambda: all(path.exists() for path in begun))
    stubborn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stubborn
    with pytest.raises(GoliveError, match="ended in the middle"):
        await beside
    assert cleaned.exists()
    async with asyncio.timeout(120):
        await offload.close()
    assert offload._latest is not None
    assert offload._latest.returncode == -signal.SIGKILL


async def test_it_ends_when_nobody_has_asked_for_a_while() -> None:
    offload = Offload(idle=timedelta(seconds=0))
    pid, _ = await offload.call(whoami, Secret(""))
    await until(lambda: not psutil.pid_exists(pid))
    assert (await offload.call(whoami, Secret("")))[0] != pid
    await offload.close()


async def test_one_that_ends_takes_no_call_of_the_next_along() -> None:
    offload = Offload(idle=timedelta(seconds=0))
    for _ in range(3):
        pid, _ = await offload.call(whoami, Secret(""))
        await asyncio.sleep(0)  # its time is up, and it has not gone yet
        await until(lambda: offload._process is None)
        assert (await offload.call(whoami, Secret("")))[0] != pid
    await offload.close()
