"""Checkouts for tests: one small web service unless said otherwise, under a name nobody else on the machine has."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from e2e_harness import App, Golive

from golive.errors import GoliveError

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


@contextlib.contextmanager
def apps() -> Iterator[MakeApp]:
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
                with contextlib.suppress(GoliveError):  # never made, or destroyed by its test
                    app.golive.api.send("POST", "/v1/destroy", {"app": app.name})
        shutil.rmtree(folder, ignore_errors=True)
