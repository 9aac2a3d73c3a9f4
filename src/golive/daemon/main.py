"""`golive daemon run`: the process. One per $GOLIVE_HOME, held by a lock that the kernel releases when it dies."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from golive.errors import Conflict, StateError
from golive.home import Home
from golive.system import memory
from golive.system.asgi import uvicorn

if TYPE_CHECKING:
    from starlette.applications import Starlette


def run(home: Home) -> None:
    """Serve until SIGTERM or SIGINT. Conflict when another daemon serves this home, StateError when it is unusable."""
    from golive.daemon.wiring import prepare

    memory.one_arena()
    prepare(home)
    with held(home):
        if home.recovering.exists():
            again = "golive standby promote" if home.standby.exists() else "golive recover --from the same place"
            raise StateError(
                "a recovery of this host was begun and has not ended",
                where=str(home.root),
                hint=f"{again} goes on with it",
            )
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        while asyncio.run(_serve(home)):
            pass


@contextmanager
def held(home: Home) -> Iterator[None]:
    """The lock of a home: one daemon, or one recovery."""
    fd = os.open(home.root / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict("a daemon is already running for this GOLIVE_HOME", where=str(home.root)) from None
    finally:
        os.close(fd)


class Mode(Protocol):
    """What a daemon does: it serves, follows another host, or has ended everything because another host serves."""

    again: bool
    """After `stop`: another daemon begins at once, since this home is to do something else."""

    async def open(self, shut_down: Callable[[], None]) -> Starlette | None:
        """Begin; its door. None when another mode has to begin instead. `shut_down` ends it."""

    def close(self) -> None:
        """Streams end."""

    async def stop(self) -> None: ...


def _mode(home: Home) -> Mode:
    if home.standby.exists():
        from golive.daemon.standby import StandbyMode

        return StandbyMode(home)
    if home.fenced.exists():
        from golive.daemon.fenced import FencedMode

        return FencedMode(home)
    from golive.daemon.serving import ServingMode

    return ServingMode(home)


async def _serve(home: Home) -> bool:
    """Whether another mode is to begin."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    mode = _mode(home)
    app = await mode.open(stopping.set)
    if app is None:
        await mode.stop()
        return True
    config_type, server_type = uvicorn()
    config = config_type(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = server_type(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([_listen(home.socket)]))
    await _until_listening(server, task)
    logging.getLogger("golive").info("serving %s", home.socket)
    await asyncio.wait([task, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    mode.close()
    server.should_exit = True
    await task
    await mode.stop()
    home.socket.unlink(missing_ok=True)
    return mode.again


def _listen(path: Path) -> socket.socket:
    """Only its owner's from its first moment; in one go, since the umask is that of everything that runs here."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        door.bind(str(path))
    finally:
        os.umask(old)
    door.listen(128)
    return door


async def _until_listening(server: object, task: asyncio.Task[None]) -> None:
    while not getattr(server, "started", False) and not task.done():
        await asyncio.sleep(0.01)
