"""Processes for real: started, limited, found again, ended with everything that they started."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from golive.errors import StartFailed
from golive.home import Home
from golive.system import cgroups, processes, sessions, users
from golive.system.processes import Exit, Limits, Process, ProcessId, Spec

ROOT = os.geteuid() == 0
ENV = {"PATH": os.environ["PATH"]}
GRACE = timedelta(seconds=5)
SYSTEM_PYTHON = shutil.which("python3", path="/usr/local/bin:/usr/bin") or sys.executable
"""One that other users can reach."""


def python(code: str, cwd: Path, **fields: Any) -> Spec:
    return Spec((SYSTEM_PYTHON, "-c", code), fields.pop("env", ENV), cwd, output=cwd / "out.log", **fields)


async def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.01)
    return found


async def output(spec: Spec) -> dict[str, Any]:
    """Run a program that prints JSON."""
    process = await processes.start(spec)
    exit = await process.wait()
    assert spec.output
    text = spec.output.read_text()
    assert exit == Exit(0), text
    return dict(json.loads(text))


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def zombies() -> set[psutil.Process]:
    return {each for each in psutil.Process().children() if each.status() == psutil.STATUS_ZOMBIE}


@pytest.fixture
def nothing_unread() -> Iterator[None]:
    """No child is left whose exit nobody read; what tests before this one left in their process does not count."""
    before = zombies()
    yield
    assert zombies() <= before


@pytest.fixture
def unprivileged() -> users.User:
    user = users.find("nobody")
    if not ROOT or user is None:
        pytest.skip("only root can become another user")
    return user


# What the program becomes


async def test_a_secret_is_in_its_environment_and_nowhere_else(golive_home: Home) -> None:
    code = "import os,time; print(os.environ['KEY'], flush=True); time.sleep(600)"
    process = await processes.start(python(code, golive_home.root, env={**ENV, "KEY": "canary-7731"}))
    try:
        await until(lambda: "canary" in (golive_home.root / "out.log").read_text())
        assert "canary" not in " ".join(psutil.Process(process.pid).cmdline())
        assert psutil.Process(process.pid).environ()["KEY"] == "canary-7731"
        assert "canary" not in repr(python("", golive_home.root, env={"KEY": "canary-7731"}))
        assert set(psutil.Process(process.pid).environ()) <= {"PATH", "KEY", "LC_CTYPE"}
    finally:
        await process.stop(GRACE)


async def test_what_it_inherits(golive_home: Home) -> None:
    code = """if 1:
        import json, os, resource, signal
        status = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())
        print(json.dumps({
            'nnp': status['NoNewPrivs'].strip(), 'sid': os.getsid(0) == os.getpid(), 'cwd': os.getcwd(),
            'fds': sorted(int(f) for f in os.listdir('/proc/self/fd'))[:3], 'count': len(os.listdir('/proc/self/fd')),
            'files': resource.getrlimit(resource.RLIMIT_NOFILE), 'core': resource.getrlimit(resource.RLIMIT_CORE),
            'group': open('/proc/self/autogroup').read() if os.path.exists('/proc/self/autogroup') else 'nice 5\\n',
            'nice': os.nice(0), 'umask': os.umask(0), 'ignored': status['SigIgn'].strip(),
        }))"""
    spec = python(code, golive_home.root, limits=Limits(files=2048, nice=5), private=True)
    found = await output(spec)
    assert found["nnp"] == "1"
    assert found["sid"] is True
    assert found["cwd"] == str(golive_home.root)
    assert found["count"] == 4  # 0, 1, 2 and the one that reads the folder
    assert found["files"][0] == 2048
    assert found["core"] == [0, 0]
    assert found["nice"] == os.nice(0) + 5
    assert found["group"].endswith("nice 5\n")  # what counts between sessions, and a nice of its own does not
    assert found["umask"] == 0o077
    assert (golive_home.root / "out.log").stat().st_mode & 0o777 == 0o600


async def test_new_privileges_can_be_allowed(golive_home: Home) -> None:
    code = "print('{\"nnp\":', open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0], '}')"
    found = await output(python(code, golive_home.root, no_new_privileges=False))
    assert found["nnp"] == 0


async def test_becomes_another_user(golive_home: Home, unprivileged: users.User) -> None:
    code = """if 1:
        import json, os
        with open('/dev/stderr', 'a') as again: pass
        print(json.dumps({'ids': os.getresuid() + os.getresgid(), 'groups': os.getgroups()}))"""
    user = users.User("nobody", unprivileged.uid, unprivileged.gid, Path("/"), groups=(unprivileged.gid,))
    found = await output(python(code, golive_home.root, user=user))
    assert found["ids"] == [user.uid] * 3 + [user.gid] * 3
    assert found["groups"] == [user.gid]


async def test_a_folder_the_user_may_not_enter_is_said(tmp_path: Path, unprivileged: users.User) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(StartFailed) as failed:
        await processes.start(python("", tmp_path, user=unprivileged))
    assert "Permission denied" in (failed.value.why or "")
    assert str(tmp_path) in (failed.value.why or "")


async def test_the_files_limit_is_not_above_the_hard_one_for_ordinary_users(golive_home: Home) -> None:
    """launch.py runs as who started golive; here that is made an ordinary user with a low hard limit."""
    if not ROOT:
        pytest.skip("only root can make the situation")
    code = f"""if 1:
        import sys, os, resource
        sys.path.insert(0, {str(Path(processes.__file__).parent)!r})
        import launch
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512)); os.setuid(65534)
        launch.limit_files(4096)
        print('{{"files":', list(resource.getrlimit(resource.RLIMIT_NOFILE)), '}}')"""
    source = golive_home.root / "launch.py"
    source.write_text(Path(processes.LAUNCHER).read_text())
    source.chmod(0o644)
    found = await output(python(code.replace(str(Path(processes.__file__).parent), str(source.parent)), source.parent))
    assert found["files"] == [512, 512]


# Programs that cannot be started


@pytest.mark.parametrize(
    ("argv", "env", "words"),
    [
        (("/no/such/program",), ENV, "No such file"),
        (("no-such-program",), ENV, "No such file"),
        (("/dev/null",), ENV, "Permission denied"),
        (("/bin/echo", "a\0b"), ENV, "null byte"),
        (("/bin/echo",), {"A=B": "x"}, "illegal environment variable name"),
    ],
)
@pytest.mark.usefixtures("nothing_unread")
async def test_cannot_start(golive_home: Home, argv: tuple[str, ...], env: dict[str, str], words: str) -> None:
    with pytest.raises(StartFailed) as failed:
        await processes.start(Spec(argv, env, golive_home.root, limits=Limits(memory=10**8)))
    assert argv[0] in failed.value.what
    assert words in (failed.value.why or "")


async def test_cannot_start_without_its_folder_or_output(golive_home: Home) -> None:
    with pytest.raises(StartFailed, match="cannot start"):
        await processes.start(Spec(("/bin/true",), ENV, golive_home.root / "gone"))
    (golive_home.root / "file").touch()
    with pytest.raises(StartFailed, match="cannot start"):
        await processes.start(Spec(("/bin/true",), ENV, golive_home.root, output=golive_home.root / "file" / "x.log"))


async def test_no_descriptor_left(golive_home: Home) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    await (await processes.start(Spec(("/bin/true",), ENV, golive_home.root))).wait()
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(StartFailed) as failed:
            await processes.start(Spec(("/bin/true",), ENV, golive_home.root, limits=Limits(memory=10**8)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failed.value.why == "Too many open files"
    assert await (await processes.start(Spec(("/bin/true",), ENV, golive_home.root))).wait() == Exit(0)


async def test_a_large_environment(golive_home: Home) -> None:
    env = {**ENV, **{f"V{i}": "x" * 10_000 for i in range(50)}}
    found = await output(python("import os; print('{\"n\":', len(os.environ['V49']), '}')", golive_home.root, env=env))
    assert found["n"] == 10_000


# Ends


@pytest.mark.parametrize(
    ("code", "exit"),
    [
        ("pass", Exit(0)),
        ("raise SystemExit(3)", Exit(3)),
        ("import os; os.kill(os.getpid(), 9)", Exit(signal=9)),
    ],
)
async def test_how_it_ended_is_told_to_everybody_who_waits(golive_home: Home, code: str, exit: Exit) -> None:
    process = await processes.start(python(code, golive_home.root))
    assert await asyncio.gather(process.wait(), process.wait(), process.wait()) == [exit] * 3
    assert await process.wait() == exit
    assert not process.alive()
    assert not psutil.pid_exists(process.pid)


@pytest.mark.parametrize(
    ("exit", "words"),
    [
        (Exit(0), "exited with 0"),
        (Exit(signal=15), "killed by SIGTERM"),
        (Exit(), "ended"),
        (Exit(signal=9, out_of_memory=True), "ran out of memory"),
    ],
)
def test_an_exit_in_words(exit: Exit, words: str) -> None:
    assert str(exit) == words


async def test_a_cancelled_wait_does_not_end_the_others(golive_home: Home) -> None:
    process = await processes.start(python("import time; time.sleep(600)", golive_home.root))
    first, second = asyncio.ensure_future(process.wait()), asyncio.ensure_future(process.wait())
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.wait([first])
    assert not second.done()
    os.kill(process.pid, signal.SIGKILL)
    assert await second == Exit(signal=9)


TREE = """if 1:
    import os, signal, sys, time
    here = sys.argv[1] if len(sys.argv) > 1 else os.getcwd()
    for kind in ('plain', 'stubborn', 'group'):
        if os.fork() == 0:
            if kind == 'stubborn': signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if kind == 'group': os.setpgid(0, 0)
            open(f'{here}/{kind}.pid', 'w').write(str(os.getpid()))
            time.sleep(600); os._exit(0)
    def there(kind): return os.path.exists(f'{here}/{kind}.pid') and os.path.getsize(f'{here}/{kind}.pid')
    while not all(map(there, ('plain', 'stubborn', 'group'))): time.sleep(0.01)
    open(f'{here}/ready', 'w').close()
"""


async def _tree(home: Home, ending: str) -> tuple[Process, list[int]]:
    process = await processes.start(python(TREE + ending, home.root))
    await until((home.root / "ready").exists)
    return process, [int((home.root / f"{kind}.pid").read_text()) for kind in ("plain", "stubborn", "group")]


async def test_stop_ends_grandchildren_that_ignore_it_or_left_the_group(golive_home: Home) -> None:
    process, pids = await _tree(golive_home, "    time.sleep(600)")
    async with asyncio.timeout(120):
        assert await process.stop(timedelta(hours=1)) == Exit(signal=signal.SIGTERM)
    await until(lambda: all(map(gone, pids)))


async def test_what_a_crash_leaves_behind_is_killed(golive_home: Home) -> None:
    process, pids = await _tree(golive_home, "    os.kill(os.getpid(), 9)")
    assert await process.wait() == Exit(signal=9)
    await until(lambda: all(map(gone, pids)))


async def test_stop_kills_after_the_grace(golive_home: Home) -> None:
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); open('ready','w'); time.sleep(600)"
    process = await processes.start(python(code, golive_home.root))
    await until((golive_home.root / "ready").exists)
    began = time.monotonic()
    assert await process.stop(timedelta(seconds=0.2)) == Exit(signal=9)
    assert time.monotonic() - began >= 0.2
    assert await process.stop(GRACE) == Exit(signal=9)


async def test_a_cancelled_stop_kills_nothing(golive_home: Home) -> None:
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); open('ready','w'); time.sleep(600)"
    process = await processes.start(python(code, golive_home.root))
    await until((golive_home.root / "ready").exists)
    stopping = asyncio.ensure_future(process.stop(GRACE))
    await asyncio.sleep(0.05)
    stopping.cancel()
    await asyncio.wait([stopping])
    assert process.alive()
    await process.stop(timedelta(0))


# Found again

HELPER = """
import asyncio, json, sys
from pathlib import Path
from golive.system import processes
async def main():
    found = []
    for i in range(int(sys.argv[2])):
        spec = processes.Spec(("/bin/sleep", "60"), {}, Path(sys.argv[1]))
        found.append(await processes.start(spec))
    print(json.dumps([[p.id.pid, p.id.started] for p in found]))
asyncio.run(main())
"""


def orphans(folder: Path, count: int) -> list[ProcessId]:
    """Processes started by a golive that has died."""
    argv = [sys.executable, "-c", HELPER, str(folder), str(count)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return [ProcessId(pid, started) for pid, started in json.loads(done.stdout)]


async def test_adopted_after_the_death_of_its_parent(golive_home: Home) -> None:
    (id,) = orphans(golive_home.root, 1)
    process = processes.adopt(id)
    assert process is not None
    assert process.alive()
    waiting = asyncio.ensure_future(process.wait())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    os.kill(id.pid, signal.SIGKILL)
    assert await waiting == Exit()
    assert processes.adopt(id) is None


async def test_a_zombie_has_ended(golive_home: Home) -> None:
    process = await processes.start(python("import time; time.sleep(600)", golive_home.root))
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert not process.alive()
    assert processes.adopt(process.id) is None
    assert await process.wait() == Exit(signal=9)


async def test_an_adopted_process_can_be_stopped(golive_home: Home) -> None:
    (id,) = orphans(golive_home.root, 1)
    process = processes.adopt(id)
    assert process
    assert await process.stop(GRACE) == Exit()
    assert gone(id.pid)


async def test_a_reused_number_is_neither_adopted_nor_killed(golive_home: Home) -> None:
    bystander = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)  # noqa: ASYNC220 - not golive's
    try:
        stale = ProcessId(bystander.pid, "another boot:1")
        assert processes.adopt(stale) is None
        process = Process(stale)
        assert await process.stop(GRACE) == Exit()
        process.send(signal.SIGKILL)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_the_identity_does_not_depend_on_the_wall_clock(golive_home: Home) -> None:
    """Boot id and kernel ticks: nothing in it moves when somebody sets the clock."""
    process = await processes.start(python("import time; time.sleep(600)", golive_home.root))
    try:
        boot, ticks = process.id.started.split(":")
        assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        seconds = int(ticks) / os.sysconf("SC_CLK_TCK")
        assert abs(seconds - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    finally:
        await process.stop(GRACE)


@pytest.mark.usefixtures("nothing_unread")
async def test_an_orphan_is_nobodys_child(golive_home: Home) -> None:
    spec = python("import time; time.sleep(600)", golive_home.root, orphan=True, limits=Limits(files=512))
    process = await processes.start(spec)
    assert process.pid not in [p.pid for p in psutil.Process().children(recursive=True)]
    assert os.getsid(process.pid) == process.pid
    assert processes.adopt(process.id)
    assert await process.stop(GRACE) == Exit()
    with pytest.raises(StartFailed) as failed:
        await processes.start(Spec(("/no/such",), ENV, golive_home.root, orphan=True))
    assert "No such file" in (failed.value.why or "")


async def test_adopted_without_pidfd(golive_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (id,) = orphans(golive_home.root, 1)
    monkeypatch.delattr(os, "pidfd_open")
    process = processes.adopt(id)
    assert process
    waiting = asyncio.ensure_future(process.wait())
    await asyncio.sleep(0.05)
    os.kill(id.pid, signal.SIGKILL)
    assert await asyncio.wait_for(waiting, 60) == Exit()


async def test_forgotten_and_adopted_in_the_same_daemon(golive_home: Home) -> None:
    process = await processes.start(python("import time; time.sleep(600)", golive_home.root))
    waiting = asyncio.ensure_future(process.wait())
    await asyncio.sleep(0.05)
    process.forget()
    await asyncio.wait([waiting])
    again = processes.adopt(process.id)
    assert again
    assert await again.stop(GRACE) == Exit(signal=signal.SIGTERM)


async def test_many_are_adopted_cheaply(golive_home: Home) -> None:
    ids = orphans(golive_home.root, 60)
    cpu = time.process_time()
    found = [process for id in ids if (process := processes.adopt(id))]
    waiting = [asyncio.ensure_future(p.wait()) for p in found]
    await asyncio.sleep(0.5)
    assert len(found) == 60
    assert time.process_time() - cpu < 3
    for id in ids:
        os.kill(id.pid, signal.SIGKILL)
    assert await asyncio.gather(*waiting) == [Exit()] * 60


def test_closing_the_loop_leaves_it_running_and_says_nothing(golive_home: Home) -> None:
    """asyncio.run ends with somebody waiting: no warning, no death."""
    code = """if 1:
        import asyncio, sys
        from pathlib import Path
        from golive.system import processes
        async def main():
            p = await processes.start(processes.Spec(("/bin/sleep", "60"), {}, Path("/")))
            asyncio.ensure_future(p.wait())
            await asyncio.sleep(0.05)
            print(p.id.pid, p.id.started)
        asyncio.run(main())"""
    argv = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    pid, started = done.stdout.split()
    process = processes.adopt(ProcessId(int(pid), started))
    assert process
    process.send(signal.SIGKILL)


async def test_a_start_costs_little(golive_home: Home) -> None:
    times = []
    for _ in range(10):
        began = time.process_time()
        process = await processes.start(Spec(("/bin/true",), ENV, golive_home.root))
        times.append(time.process_time() - began)
        await process.wait()
    assert min(times) < 0.1


@pytest.mark.usefixtures("nothing_unread")
async def test_a_cancelled_start_leaves_nothing(golive_home: Home) -> None:
    mark = f"sleep-{os.getpid()}"
    (golive_home.root / mark).symlink_to("/bin/sleep")
    spec = Spec((str(golive_home.root / mark), "60"), ENV, golive_home.root)
    for delay in (0.0, 0.002, 0.01):
        starting = asyncio.ensure_future(processes.start(spec))
        await asyncio.sleep(delay)
        if not starting.cancel():  # it was quick; then it is started
            await (await starting).stop(GRACE)
        await asyncio.wait([starting])
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or ())]


# Limits


@pytest.fixture
def groups() -> Iterator[None]:
    if not cgroups.available():
        pytest.skip("no control groups can be made here")
    before = _groups()
    yield
    assert _groups() <= before


def _groups() -> set[str]:
    """But for those of builds, which other tests run at the same time."""
    found = {p.name for pattern in ("*/golive-*", "golive-*") for p in cgroups.ROOT.glob(pattern)}
    return {name for name in found if not name.startswith(("golive-build-", "golive-secrets-"))}


async def test_memory_is_limited_by_the_kernel(golive_home: Home, groups: None) -> None:
    spec = python("x = bytearray(200_000_000)", golive_home.root, limits=Limits(memory=50_000_000), name="app/eater")
    exit = await (await processes.start(spec)).wait()
    assert exit == Exit(signal=9, out_of_memory=True)


async def test_adopted_with_its_limits(golive_home: Home, groups: None) -> None:
    code = "import time; time.sleep(600)"
    process = await processes.start(python(code, golive_home.root, limits=Limits(memory=50_000_000, cpu=0.5)))
    process.forget()
    again = processes.adopt(process.id)
    assert again
    assert again.group == process.group
    assert cgroups.limits_memory(again.group)
    assert again.pid in cgroups.members(again.group)
    cgroups.change(again.group, 60_000_000)
    assert (await again.stop(GRACE)).signal == signal.SIGTERM


async def test_groups_of_what_ended_unwatched_are_swept(golive_home: Home, groups: None) -> None:
    limits = Limits(memory=50_000_000, cpu=0.5)
    ended = await processes.start(python("pass", golive_home.root, limits=limits))
    runs = await processes.start(python("import time; time.sleep(600)", golive_home.root, limits=limits))
    await until(lambda: not ended.alive())
    cgroups.sweep(age=3600)
    assert {ended.group, runs.group} <= _groups()
    cgroups.sweep(age=0)
    assert ended.group not in _groups()
    assert runs.group in _groups()
    assert await ended.wait() == Exit(0)
    await runs.stop(GRACE)


async def test_nothing_escapes_a_control_group(golive_home: Home, groups: None) -> None:
    code = """if 1:
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open('daemon.pid.tmp', 'w').write(str(os.getpid())); os.rename('daemon.pid.tmp', 'daemon.pid')
                time.sleep(600)
            os._exit(0)
        time.sleep(600)"""
    process = await processes.start(python(code, golive_home.root, limits=Limits(memory=10**9)))
    await until((golive_home.root / "daemon.pid").exists)
    await process.stop(GRACE)
    await until(lambda: gone(int((golive_home.root / "daemon.pid").read_text())))


def test_no_group_where_there_is_nothing_to_limit() -> None:
    assert cgroups.create("x", None, None) is None
    assert cgroups.members(None) == []
    assert not cgroups.limits_memory(None)
    assert not cgroups.out_of_memory(None)
    assert cgroups.group_of(os.getpid()) is None
    assert cgroups.group_of(2**22 + 1) is None


# Tools that end


async def run(code: str, cwd: Path, **options: Any) -> processes.Completed:
    return await processes.run([SYSTEM_PYTHON, "-c", code], env=ENV, cwd=cwd, **options)


async def test_run(golive_home: Home) -> None:
    lines: list[str] = []
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); print('last', end=''); sys.exit(3)"
    done = await run(code, golive_home.root, on_line=lines.append)
    assert done.code == 3
    assert done.output.splitlines() == lines == ["out", "err", "last"]


async def test_run_feeds_and_tells_who_it_is(golive_home: Home) -> None:
    ids: list[ProcessId] = []

    async def keep(id: ProcessId) -> None:
        ids.append(id)

    data = b"x" * 300_000
    done = await run("import sys; print(len(sys.stdin.read()))", golive_home.root, input=data, on_start=keep)
    assert (done.code, done.output) == (0, "300000")
    assert ids[0].pid > 0
    assert (await run("pass", golive_home.root, input=data)).code == 0  # it never read


async def test_run_killed_by_a_signal(golive_home: Home) -> None:
    assert (await run("import os; os.kill(os.getpid(), 15)", golive_home.root)).code == 128 + 15


async def test_run_keeps_the_end_of_much_output(golive_home: Home) -> None:
    code = "import sys\nfor i in range(30000): print('line', i)\nsys.stdout.write('y' * 3_000_000 + '\\nend\\n')"
    count = 0

    def add(_: str) -> None:
        nonlocal count
        count += 1

    done = await run(code, golive_home.root, on_line=add)
    assert done.output.endswith("y\nend")
    assert len(done.output) <= 65536
    assert count > 30000


async def test_run_survives_bytes_that_are_no_text(golive_home: Home) -> None:
    done = await run("import os; os.write(1, bytes(range(256)) * 10)", golive_home.root)
    assert done.code == 0
    assert "ABC" in done.output


async def test_run_timeout_kills_the_group(golive_home: Home) -> None:
    with pytest.raises(TimeoutError):
        await run(TREE + "    time.sleep(600)", golive_home.root, timeout=1)
    assert (golive_home.root / "ready").exists()
    pids = [int((golive_home.root / f"{kind}.pid").read_text()) for kind in ("plain", "stubborn", "group")]
    await until(lambda: all(map(gone, pids)))


async def test_run_cancelled_kills_the_group(golive_home: Home) -> None:
    task = asyncio.ensure_future(run(TREE + "    time.sleep(600)", golive_home.root))
    await until((golive_home.root / "ready").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pids = [int((golive_home.root / f"{kind}.pid").read_text()) for kind in ("plain", "stubborn", "group")]
    await until(lambda: all(map(gone, pids)))


async def test_a_daemon_left_behind_does_not_hold_up_run(golive_home: Home) -> None:
    code = """if 1:
        import os, sys, time
        if os.fork() == 0:
            os.setsid(); open('daemon.pid', 'w').write(str(os.getpid())); time.sleep(600); os._exit(0)
        while not os.path.exists('daemon.pid') or not os.path.getsize('daemon.pid'): time.sleep(0.01)
        print('done')"""
    async with asyncio.timeout(120):  # the daemon sleeps for 600 s
        done = await run(code, golive_home.root)
    assert (done.code, done.output) == (0, "done")
    os.kill(int((golive_home.root / "daemon.pid").read_text()), signal.SIGKILL)


async def test_run_of_what_is_not_there(golive_home: Home) -> None:
    with pytest.raises(StartFailed, match="cannot start /no/such"):
        await processes.run(["/no/such"], env=ENV, cwd=golive_home.root)


async def test_descriptors_are_all_given_back(golive_home: Home) -> None:
    await run("pass", golive_home.root, input=b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        await run("print(1)", golive_home.root, input=b"x")
        with pytest.raises(StartFailed):
            await processes.run(["/no/such"], env=ENV, cwd=golive_home.root, input=b"x")
        await (await processes.start(python("pass", golive_home.root))).wait()
    await asyncio.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


# What a session holds


async def test_what_a_session_listens_on(golive_home: Home) -> None:
    code = """if 1:
        import os, socket, time
        s = socket.create_server(('127.0.0.1', 0)); open('port', 'w').write(str(s.getsockname()[1]))
        os.rename('port', 'port.done'); time.sleep(600)"""
    process = await processes.start(python(f"import os, time\nif os.fork(): time.sleep(600)\n{code}", golive_home.root))
    try:
        await until((golive_home.root / "port.done").exists)
        port = int((golive_home.root / "port.done").read_text())
        assert [str(x) for x in sessions.listening(process.pid)] == [f"127.0.0.1:{port}"]
        assert sessions.resident([process.pid])[process.pid] > 1_000_000
    finally:
        await process.stop(GRACE)
    assert sessions.members(process.pid) == []


def test_every_way_of_looking_sees_the_same() -> None:
    by_proc = {m.pid: m for m in sessions._from_proc()}
    by_psutil = {m.pid: m for m in sessions._from_psutil()}
    me = os.getpid()
    assert by_proc[me].session == by_psutil[me].session == os.getsid(0)
    assert by_proc[me].group == by_psutil[me].group == os.getpgid(0)
    assert by_proc[me].parent == by_psutil[me].parent == os.getppid()
    assert abs(by_proc[me].resident - by_psutil[me].resident) < 50_000_000
    assert resource.getpagesize() == sessions._PAGE
