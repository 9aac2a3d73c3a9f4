"""An app with a live release and a real PostgreSQL, without a deployment: what copies are made of."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from golive.blueprint.models import Blueprint
from golive.daemon.wiring import build_host
from golive.home import Home
from golive.release import copies, resources
from golive.release.host import Host
from golive.state.records import Copy, CopyKind, Place, Release
from golive.system.processes import run

SHOP = Place("shop", "production")
SHOP_BLUEPRINT = Blueprint.model_validate(
    {
        "name": "shop",
        "services": {"web": {"kind": "worker", "command": "true"}},
        "resources": {"db": {"engine": "postgres", "version": 15}},
    }
)
ENGINES = Path(tempfile.gettempdir()) / f"golive-test-engines-{os.geteuid()}" / "engines"
"""Fetched once a machine: the same that other tests use."""


def make_host(home: Home) -> Host:
    """Of this home as a daemon would; a second one in the same home is the next daemon."""
    if not home.engines.exists():
        ENGINES.mkdir(mode=0o711, parents=True, exist_ok=True)
        home.engines.symlink_to(ENGINES)
    return build_host(home)[0]


async def live_app(host: Host, blueprint: Blueprint) -> None:
    """Its resources run, as after a deployment of it."""
    host.state.remember_app(SHOP, "/nowhere")
    host.state.add_release(Release(SHOP, 1, "ready", blueprint.model_dump_json(by_alias=True), {}, None, 1.0, "me"), {})
    host.state.set_live(SHOP, 1)
    await resources.ensure(host, SHOP, await resources.declare(host, SHOP, blueprint))


async def end_all(host: Host) -> None:
    for row in host.state.resources(SHOP):
        await resources.stop(host, SHOP, row.name)
    await host.offload.close()
    host.state.close()


def remember(host: Host) -> None:
    """Processes are written down as the daemon does it, so that the next host adopts them."""
    for state in host.supervisor.states():
        if state.process is not None:
            host.state.remember_process(state.id, state.process.pid, state.process.started, state.restarts)


async def filled(host: Host, label: str, expires_at: float | None = None, kind: CopyKind = "branch") -> Copy:
    """A copy with the data of the resource, which stands still meanwhile."""
    copy = copies.declare(host, SHOP, "db", label, kind, actor="me", origin="the test", expires_at=expires_at)
    await resources.stop(host, SHOP, "db")
    folder, source = host.home.resource(*SHOP, copy.name), host.home.resource(*SHOP, "db")
    folder.mkdir(mode=0o711)
    done = await run(
        ("cp", "-a", str(source / "data"), str(folder / "data")), env={"PATH": "/usr/bin:/bin"}, cwd=folder
    )
    assert done.code == 0, done.output
    await resources.ensure(host, SHOP, await resources.declare(host, SHOP, SHOP_BLUEPRINT))
    await copies.start(host, copy)
    return copy
