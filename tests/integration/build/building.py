"""What the tests of builds share: an app, and ways to write and look at folders."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from golive.blueprint.load import load
from golive.build.artifact import Artifact
from golive.build.builder import Builder, Built
from golive.build.command import with_port
from golive.build.plan import BuildRequest
from golive.home import Home
from golive.system import processes, users

ASGI = """
import json, os

async def app(scope, receive, send):
    if scope["type"] == "http":
        body = json.dumps({"env": dict(os.environ), "uid": os.getuid(), "file": __file__}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


async def build(builder: Builder, request: BuildRequest) -> tuple[Built, str]:
    """What was built, and the log of it."""
    lines: list[str] = []
    built = await builder.build(request, lines.append)
    return built, "\n".join(lines)


def app_user() -> users.User | None:
    return users.find("nobody") if os.geteuid() == 0 else None


def services(checkout: Path) -> dict[str, BuildRequest]:
    """A request for each service of the checkout's golive.toml, as a deploy makes them."""
    loaded = load(checkout)
    blueprint = loaded.resolved.blueprint
    return {
        name: BuildRequest(blueprint.name, name, service, loaded.checkout, blueprint.build, user=app_user())
        for name, service in blueprint.services.items()
    }


def run_tool(argv: list[str], folder: Path, **env: str) -> None:
    """A tool of the project's author, such as what writes a lock file."""
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, env={**os.environ, **env})


def lock(folder: Path) -> None:
    """A package-lock.json, without the hosts that packages came from."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on this machine")
    options = ["--package-lock-only", "--ignore-scripts", "--no-audit", "--omit-lockfile-registry-resolved"]
    subprocess.run([npm, "install", *options, "--loglevel=error"], cwd=folder, check=True, capture_output=True)


@contextlib.contextmanager
def registry(package: str, published: list[str]) -> Iterator[str]:
    """A package registry on loopback whose one package has the versions published so far; gives its URL."""

    def archive(version: str) -> bytes:
        body = io.BytesIO()
        manifest = json.dumps({"name": package, "version": version}).encode()
        with tarfile.open(fileobj=body, mode="w:gz") as tar:
            member = tarfile.TarInfo("package/package.json")
            member.size = len(manifest)
            tar.addfile(member, io.BytesIO(manifest))
        return body.getvalue()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/{package}":
                url = f"http://127.0.0.1:{self.server.server_address[1]}"
                versions = {
                    v: {"name": package, "version": v, "dist": {"tarball": f"{url}/{v}.tgz"}} for v in published
                }
                body = json.dumps(
                    {"name": package, "dist-tags": {"latest": published[-1]}, "versions": versions}
                ).encode()
            elif self.path.endswith(".tgz"):
                body = archive(self.path.strip("/").removesuffix(".tgz"))
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@contextlib.asynccontextmanager
async def running(artifact: Artifact, output: Path, **more: str) -> AsyncIterator[Callable[[str], tuple[int, str]]]:
    """The artifact started as golive starts it; gives what asks it for a path. It must end by SIGTERM at once."""
    port = free_port()
    base = {"HOME": "/nonexistent", "HOST": "127.0.0.1", "TMPDIR": "/tmp"}
    env = {**base, **artifact.env, **more, "PORT": str(port)}
    assert artifact.argv is not None
    spec = processes.Spec(with_port(artifact.argv, env), env, artifact.app, output=output, user=app_user(), name="test")
    process = await processes.start(spec)

    def ask(path: str) -> tuple[int, str]:
        for _ in range(400):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                    return response.status, response.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()
            except OSError:
                assert process.alive(), output.read_text()
                time.sleep(0.05)
        raise AssertionError(output.read_text())

    try:
        yield ask
    finally:
        exit = await process.stop(timedelta(seconds=60))
    assert exit.signal != signal.SIGKILL


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def left_over(home: Home) -> list[str]:
    """What a failed build left in the store; it should be nothing."""
    places = (home.artifacts, home.layers)
    return sorted(path.name for place in places if place.exists() for path in place.iterdir())
