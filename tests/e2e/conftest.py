"""A home for each worker, apps with names of their own in it, and homes for tests that break theirs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import App, Golive, new_home

PROGRAM = Path(__file__).with_name("program.py")
MakeApp = Callable[..., App]
NUMBERS = itertools.count(1)
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw")
COMMAND = "python -m uvicorn main:app --port $PORT --log-level warning --timeout-graceful-shutdown 3"
REQUIREMENTS = "uvicorn==0.35.0\nwebsockets==15.0.1\n"
RELEASE = """
[release]
ready_timeout = "4s"
stable = "100ms"
verify = "200ms"
drain = "4s"
"""
API = f"""
[services.api]
source = "api"
command = "{COMMAND}"
route = "/"
health = {{ ready = "/ready" }}
stop_timeout = "3s"
"""


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Golive]:
    """One daemon, Envoy and cache for all tests of a worker that leave them whole."""
    with new_home() as golive:
        yield golive


@pytest.fixture
def golive(shared_home: Golive) -> Golive:
    return shared_home


@pytest.fixture
def own_home() -> Iterator[Golive]:
    """For tests that kill or spoil it."""
    with new_home() as golive:
        yield golive


@pytest.fixture
def make_app(request: pytest.FixtureRequest) -> Iterator[MakeApp]:
    """`make_app()` is a checkout with one web service in the worker's home, or in the `home` given."""
    with _apps() as make:
        yield lambda home=None, **options: make(home or request.getfixturevalue("golive"), **options)


@pytest.fixture(scope="module")
def make_apps() -> Iterator[MakeApp]:
    """The same for a module: `make_apps(home)`."""
    with _apps() as make:
        yield make


@contextlib.contextmanager
def _apps() -> Iterator[MakeApp]:
    """`toml` replaces the services, `extra` is added to the file."""
    folder = Path(tempfile.mkdtemp(prefix="gl-src-", dir="/tmp"))
    made: list[App] = []

    def make(
        home: Golive,
        *,
        toml: str = API,
        extra: str = "",
        release: str = RELEASE,
        services: tuple[str, ...] = ("api",),
        requirements: str = REQUIREMENTS,
    ) -> App:
        app = App(home, f"t{next(NUMBERS)}-{WORKER}-{os.getpid() % 10000}", folder / str(len(made)))
        app.write("golive.toml", f'name = "{app.name}"\n{toml}{release}{extra}')
        for service in services:
            app.write(f"{service}/main.py", PROGRAM.read_text())
            app.write(f"{service}/requirements.txt", requirements)
            app.write(f"{service}/settings.json", json.dumps({"version": "1"}))
        made.append(app)
        return app

    try:
        yield make
    finally:
        for app in made:
            if app.golive.home.state.exists():
                app.command("destroy", "--yes", app.name)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """One web service, live in its first version."""
    made = make_app()
    made.up().ok()
    return made
