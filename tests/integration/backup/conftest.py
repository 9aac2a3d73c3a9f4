"""A running PostgreSQL as golive sets it up, and what backs it up."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from backup_shop import Shop

from golive.backup import wal
from golive.backup.archive import Key
from golive.backup.location import Folder
from golive.backup.server import Server
from golive.blueprint.models import Resource
from golive.data import Placement
from golive.data.postgres import Postgres
from golive.data.postgres_plan import REPLICATOR, SUPERUSER
from golive.engines import Engines
from golive.errors import ResourceFailed
from golive.home import Home
from golive.secret import Secret
from golive.system import machine, ports, users
from golive.system.processes import Process, start

ENGINES = Path(tempfile.gettempdir()) / f"golive-test-engines-{os.geteuid()}" / "engines"
"""Fetched once a machine: the same that other tests use."""


@pytest.fixture
async def shop(golive_home: Home, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """Of PostgreSQL 15, or of the major version that the test is parametrized with."""
    ENGINES.mkdir(mode=0o711, parents=True, exist_ok=True)
    golive_home.engines.symlink_to(ENGINES)
    user = users.ensure("golive-test") if os.geteuid() == 0 else None
    place = Placement("shop", "production", golive_home, ports.choose(), user, machine.inspect(), 2)
    engine = await Engines(golive_home).find("postgres", getattr(request, "param", 15))
    store = Postgres(Resource(engine="postgres"), "db", place, engine, Secret(secrets.token_urlsafe(24)))
    await store.prepare()
    process = await start(store.spec())
    await store.provision()
    server = Server(
        "shop/production/db", engine, place.sockets("postgres", "db"), place.port, user, SUPERUSER, REPLICATOR
    )
    sockets = golive_home.run / "restored"
    received = golive_home.root / "wal"
    for folder in (sockets, received):
        folder.mkdir(mode=0o700)
        if user:
            os.chown(folder, user.uid, user.gid)
    scratch = replace(server, sockets=sockets, port=ports.choose([place.port]))
    made = Shop(store, process, server, scratch, Folder(golive_home.root / "backups"), received, Key.new())
    yield made
    with contextlib.suppress(ProcessLookupError):
        await process.stop(timedelta(seconds=20), store.stop_signal)
    with contextlib.suppress(ResourceFailed):  # its data is gone
        await store.before_start()


@pytest.fixture
async def receiver(shop: Shop) -> AsyncIterator[Process]:
    wal.reserve(shop.server)
    process = await start(wal.receiver(shop.server, shop.received, shop.beside / "wal.log"))
    yield process
    await process.stop(timedelta(seconds=5))
