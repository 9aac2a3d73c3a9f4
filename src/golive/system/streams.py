"""Programs whose output or input is too large to hold: a base backup out of PostgreSQL, an archive into tar."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from golive.errors import StartFailed
from golive.system.users import User

PIECE = 1 << 20
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
    """Run it and hand its stdout to `take`, in a thread, up to 1 MiB at a time; what that raises ends the program."""

    def work(popen: subprocess.Popen[bytes]) -> None:
        while data := _there(popen.stdout).read(PIECE):
            take(data)

    return await _run(tool, work, stdout=subprocess.PIPE)


async def feed(tool: Tool, pieces: Iterable[bytes]) -> Ended:
    """Run it with `pieces` as its stdin, taken in a thread; what they raise ends the program."""

    def work(popen: subprocess.Popen[bytes]) -> None:
        # A broken pipe: it has ended, and its exit code says why.
        with contextlib.suppress(BrokenPipeError), contextlib.closing(_there(popen.stdin)) as pipe:
            for piece in pieces:
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


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the program was started without its pipe")
    return pipe
