"""`golive daemon run`: the process. One per $GOLIVE_HOME, held by a lock that the kernel releases when it dies."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from pathlib import Path

from golive.errors import Conflict
from golive.home import Home
from golive.system import memory


def run(home: Home) -> None:
    """Serve until SIGTERM or SIGINT. Conflict when another daemon serves this home, StateError when it is unusable."""
    from golive.daemon.wiring import prepare

    memory.one_arena()
    prepare(home)
    lock = _lock(home.root / "daemon.lock")
    try:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        asyncio.run(_serve(home))
    finally:
        os.close(lock)


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Conflict("a daemon is already running for this GOLIVE_HOME", where=str(path.parent)) from None
    return fd


async def _serve(home: Home) -> None:
    import uvicorn

    from golive.daemon.daemon import Daemon
    from golive.daemon.server import Server
    from golive.daemon.wiring import build_host

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    host, wires = build_host(home)
    daemon = Daemon(host, wires)
    await daemon.start()
    door = Server(daemon, stopping.set)
    config = uvicorn.Config(
        door.app(),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([_listen(home.socket)]))
    await _until_listening(server, task)
    logging.getLogger("golive").info("serving %s", home.socket)
    await asyncio.wait([task, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    door.close()
    server.should_exit = True
    await task
    await daemon.stop()
    home.socket.unlink(missing_ok=True)


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
