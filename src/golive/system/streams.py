"""Programs whose output or input is too large to hold: a base backup out of PostgreSQL, an archive into tar."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from golive.errors import StartFailed
from golive.system.users import User

PIECE = 1 << 20
AHEAD = 4
"""Pieces between two threads."""
TAIL = 65536


@dataclass(frozen=True)
class Tool:
    """A program to run to its end, in a session of its own; files it makes are private."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    user: User | None = None


@dataclass(frozen=True)
class Ended:
    """`said` is the last 64 KB of its stderr."""

    code: int
    said: str


async def drain(tool: Tool, take: Callable[[bytes], object]) -> Ended:
    """Run it and hand its stdout to `take`, in a thread, up to 1 MiB at a time; what that raises ends the program.

    The next pieces are read meanwhile, in another one.
    """

    def work(popen: subprocess.Popen[bytes]) -> None:
        pipe = _wide(_there(popen.stdout))
        with contextlib.closing(_ahead(iter(lambda: pipe.read(PIECE), b""))) as pieces:
            for data in pieces:
                try:
                    take(data)
                except BaseException:
                    popen.kill()  # or what is being read ahead might never come
                    raise

    return await _run(tool, work, stdout=subprocess.PIPE)


async def feed(tool: Tool, pieces: Iterable[bytes]) -> Ended:
    """Run it with `pieces`, none of them empty, as its stdin; what they raise ends the program.

    They are made in a thread, some before they are wanted.
    """

    def work(popen: subprocess.Popen[bytes]) -> None:
        # A broken pipe: it has ended, and its exit code says why.
        pipe = _wide(_there(popen.stdin))
        with contextlib.closing(_ahead(pieces)) as coming, contextlib.suppress(BrokenPipeError), pipe:
            for piece in coming:
                pipe.write(piece)

    return await _run(tool, work, stdin=subprocess.PIPE)


async def _run(
    tool: Tool,
    work: Callable[[subprocess.Popen[bytes]], None],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Ended:
    """Cancelling kills the program, and returns when it has gone."""
    with tempfile.TemporaryFile() as said:
        popen = _started(tool, stdin, stdout, said)
        working = asyncio.ensure_future(asyncio.to_thread(_until_end, popen, work))
        try:
            code = await asyncio.shield(working)
        except asyncio.CancelledError:
            popen.kill()
            await asyncio.wait([working])
            raise
        said.seek(max(0, said.seek(0, os.SEEK_END) - TAIL))
        return Ended(code, said.read().decode(errors="replace"))


def _until_end(popen: subprocess.Popen[bytes], work: Callable[[subprocess.Popen[bytes]], None]) -> int:
    try:
        work(popen)
        return popen.wait()
    finally:
        popen.kill()
        popen.wait()
        for pipe in (popen.stdin, popen.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _started(tool: Tool, stdin: int, stdout: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
    user = tool.user if os.geteuid() == 0 else None
    try:
        return subprocess.Popen(
            list(tool.argv),
            stdin=stdin,
            stdout=stdout,
            stderr=said,
            env=dict(tool.env),
            cwd=tool.cwd,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=list(user.groups) if user else None,
            umask=0o077,
            start_new_session=True,
        )
    except OSError as error:
        raise StartFailed(f"cannot start {tool.argv[0]}", why=error.strerror or str(error)) from error


def _ahead(pieces: Iterable[bytes]) -> Generator[bytes]:
    """The same pieces; while one is used the next ones are made, in a thread. It has ended when this is closed."""
    source = iter(pieces)
    with ThreadPoolExecutor(1) as one:
        coming: deque[Future[bytes]] = deque(one.submit(next, source, b"") for _ in range(AHEAD))
        while piece := coming.popleft().result():
            coming.append(one.submit(next, source, b""))
            yield piece


def _wide(pipe: IO[bytes]) -> IO[bytes]:
    """As much in it as an ordinary user may have, where the system can: at 64 KiB, two of three seconds of a restore
    went into waking up."""
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIECE)
    return pipe


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the program was started without its pipe")
    return pipe
