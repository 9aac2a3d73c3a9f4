"""A home that other users may pass through (pytest's own folders are closed), and servers that are stopped again."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from data_stores import Running

from golive.data import Placement, Store
from golive.engines import Engines
from golive.home import Home
from golive.system import machine, ports, users
from golive.system.processes import Process, start

SHARED = Path(tempfile.gettempdir()) / f"golive-test-engines-{os.geteuid()}"
"""Fetched engines stay here between runs: a wheel is fetched once a machine, not once a test."""
GRACE = timedelta(seconds=20)


@pytest.fixture
def home() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="gl-"))
    root.chmod(0o711)
    yield Home(root)
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def engines() -> Engines:
    SHARED.mkdir(mode=0o711, exist_ok=True)
    return Engines(Home(SHARED))


@pytest.fixture
def place(home: Home) -> Placement:
    user = users.ensure("golive-test") if os.geteuid() == 0 else None
    return Placement("my-app", "production", home, ports.choose(), user, machine.inspect(), 2)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """Starts a store as the supervisor does; everything is stopped at the end."""
    started: list[tuple[Store, Process]] = []

    async def run(store: Store) -> Process:
        await store.before_start()
        process = await start(store.spec())
        started.append((store, process))
        return process

    yield run
    for store, process in started:
        with contextlib.suppress(ProcessLookupError):
            await process.stop(GRACE, store.stop_signal)
        await store.before_start()
