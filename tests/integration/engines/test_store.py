from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from package_index import Index

from golive.engines import Engines, Progress
from golive.engines.catalog import KINDS
from golive.engines.installed import Rejected, look, probe
from golive.errors import EngineUnavailable, StateError
from golive.home import Home
from golive.system import machine
from small_disk import small_disk


async def test_it_is_fetched_once_with_progress_and_then_works_offline(
    home: Home, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Progress] = []

    engine = await Engines(home).find("redis", progress=heard.append)

    assert (engine.origin, engine.version, engine.major) == ("wheel", "6.2.14", 6)
    assert await probe(engine.program("redis-server")) == "6.2.14"
    assert heard[-1] == Progress("redis", len(index.body), len(index.body))
    assert [item.done for item in heard] == sorted(item.done for item in heard)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    assert await Engines(home).find("redis") == engine
    assert index.asked == [""]


async def test_what_is_unpacked_can_be_run_by_other_users(home: Home, index: Index) -> None:
    before = os.umask(0o077)
    try:
        engine = await Engines(home).find("redis")
    finally:
        os.umask(before)

    program = engine.program("redis-server")
    assert program.stat().st_mode & 0o777 == 0o755
    assert all(p.stat().st_mode & 0o055 == 0o055 for p in program.parents if p.is_relative_to(home.engines / "redis"))
    if os.geteuid() == 0:
        assert home.root.stat().st_mode & 0o011 == 0o011
        assert b"6.2.14" in as_nobody(program)


def as_nobody(program: Path) -> bytes:
    argv = [program, "--version"]
    return subprocess.run(argv, check=True, user=65534, group=65534, extra_groups=[], capture_output=True).stdout


async def test_a_cut_download_goes_on_where_it_stopped(home: Home, index: Index) -> None:
    index.cut = [1_000_000, 2_000_000]

    engine = await Engines(home).find("redis")

    assert engine.version == "6.2.14"
    assert index.asked[0] == ""
    assert all(wanted.startswith("bytes=") for wanted in index.asked[1:])


@pytest.mark.parametrize("damage", ["changed", "truncated"])
async def test_another_file_is_refused_and_the_second_try_repairs_it(home: Home, index: Index, damage: str) -> None:
    good = index.body
    index.body = good[:-1] + b"!" if damage == "changed" else good[: len(good) // 2]
    engines = Engines(home)

    with pytest.raises(EngineUnavailable) as caught:
        await engines.find("redis")

    assert "SHA-256 differs" in str(caught.value.why)
    assert not (home.engines / "redis").exists()
    assert list((home.engines / ".download").iterdir()) == []
    index.body = good
    assert (await engines.find("redis")).version == "6.2.14"


async def test_two_that_want_it_at_once_fetch_it_once(home: Home, index: Index) -> None:
    first, second = await asyncio.gather(Engines(home).find("redis"), Engines(home).find("redis"))

    assert first == second
    assert len(index.asked) == 1


async def test_a_fetch_that_was_killed_is_done_again(home: Home, index: Index) -> None:
    folder = home.engines / ".download/redis-6.2.14"
    await asyncio.to_thread(fetch_and_kill, home, folder)

    engine = await Engines(home).find("redis")

    assert await probe(engine.program("redis-server")) == "6.2.14"
    assert not folder.exists()


def fetch_and_kill(home: Home, folder: Path) -> None:
    """Another golive, killed as soon as its download has begun."""
    code = (
        "import asyncio, sys; from pathlib import Path; from golive.home import Home;"
        "from golive.engines import Engines; asyncio.run(Engines(Home(Path(sys.argv[1]))).find('redis'))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(home.root)], start_new_session=True)
    while not folder.exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()


async def test_a_damaged_engine_is_fetched_again(home: Home, index: Index) -> None:
    engine = await Engines(home).find("redis")
    engine.program("redis-server").unlink()

    again = await Engines(home).find("redis")

    assert await probe(again.program("redis-server")) == "6.2.14"
    assert len(index.asked) == 2


async def test_without_a_network_it_says_what_was_tried_and_what_to_do(
    home: Home, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")

    with pytest.raises(EngineUnavailable) as caught:
        await Engines(home).find("redis")

    assert "neither on this machine nor could it be fetched" in caught.value.what
    assert "no redis-server on this machine" in str(caught.value.why)
    assert "index could not be reached" in str(caught.value.why)
    assert "connect to the network once" in str(caught.value.hint)


async def test_a_platform_without_a_wheel_is_told_its_own_command(home: Home, index: Index) -> None:
    here = machine.inspect()

    for platform, command in (
        (replace(here, os="macos", arch="aarch64", libc="system", libc_version=()), "brew install redis"),
        (replace(here, libc="musl", libc_version=()), "apk add redis"),
    ):
        with pytest.raises(EngineUnavailable) as caught:
            await Engines(home, platform).find("redis")
        assert command in str(caught.value.hint)
    assert "needs glibc" in str(caught.value.why)
    assert index.asked == []


async def test_a_full_disk_is_called_that(home: Home, index: Index) -> None:
    with small_disk(home.engines, 8), pytest.raises(EngineUnavailable) as caught:
        await Engines(home).find("redis")

    assert "no room for Redis" in str(caught.value.why)
    assert "GOLIVE_HOME" in str(caught.value.hint)


async def test_a_store_that_cannot_be_written_is_said(home: Home, index: Index) -> None:
    home.engines.write_text("in the way")

    with pytest.raises(StateError, match="cannot be written"):
        await Engines(home).find("redis")


async def test_the_list_tells_what_is_here_and_what_could_be_fetched(home: Home, index: Index) -> None:
    engines = Engines(home)
    before = {item.version: item for item in await engines.list() if item.origin == "wheel"}
    await engines.find("redis")
    after = {item.version: item for item in await engines.list() if item.origin == "wheel"}

    assert before["6.2.14"].bin is None
    assert "can be fetched" in before["6.2.14"].note
    assert after["6.2.14"].bin is not None
    assert after["6.2.14"].size > 5_000_000


async def test_programs_of_the_machine_are_looked_at_before_they_are_believed(
    home: Home, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.root / "bin"
    for name, script in (
        ("redis-server", 'echo "Redis server v=5.0.14 sha=0"'),
        ("envoy", 'echo "envoy  version: 0/1.39.3/Clean/RELEASE/BoringSSL"'),
    ):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    redis, envoy = await look(KINDS["redis"]), await look(KINDS["envoy"])

    assert [item.why for item in redis if isinstance(item, Rejected)] == ["is older than 6"]
    assert next(item.why for item in envoy if isinstance(item, Rejected)).startswith("is older than 1.40")
    assert (await Engines(home).find("redis")).origin == "wheel"
    (folder / "redis-server").write_text("#!/bin/sh\nexit 3\n")
    [broken] = await look(KINDS["redis"])
    assert isinstance(broken, Rejected)
    assert broken.why.endswith("exit code 3")


async def test_valkey_serves_as_redis(home: Home, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home.root / "bin"
    folder.mkdir()
    (folder / "valkey-server").write_text('#!/bin/sh\necho "Valkey server v=8.1.1 sha=0"\n')
    (folder / "valkey-server").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    engine = await Engines(home).find("redis", 7)

    assert (engine.version, engine.origin) == ("8.1.1", "machine")
    assert engine.program("redis-server") == Path(folder / "valkey-server")
