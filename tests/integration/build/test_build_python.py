"""Python services built with the real uv, and started from what was built."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from building import ASGI, write
from uv import find_uv_bin

from golive.build.builder import Builder, Built
from golive.build.command import with_port
from golive.build.interpreters import choose_python
from golive.build.plan import BuildRequest
from golive.errors import BuildFailed
from golive.home import Home
from golive.system import processes, users
from golive.system.files import remove_tree

Make = Callable[..., BuildRequest]
COMMAND = "uvicorn main:app --host 127.0.0.1 --port $PORT"


def app_user() -> users.User | None:
    return users.find("nobody") if os.geteuid() == 0 else None


async def build(builder: Builder, request: BuildRequest) -> tuple[Built, str]:
    lines: list[str] = []
    built = await builder.build(request, lines.append)
    return built, "\n".join(lines)


async def answer(built: Built, port: int, output: Path) -> dict[str, object]:
    """Start the artifact as golive does, ask it once, and stop it; it must end by SIGTERM at once."""
    artifact = built.artifact
    env = {**artifact.env, "PORT": str(port), "HOME": "/nonexistent"}
    assert artifact.argv is not None
    argv = with_port(artifact.argv, env)
    spec = processes.Spec(argv, env, artifact.app, output=output, user=app_user(), name="test")
    process = await processes.start(spec)
    try:
        body = await asyncio.to_thread(ask, f"http://127.0.0.1:{port}/", process, output)
    finally:
        exit = await process.stop(timedelta(seconds=60))
    assert (exit.signal, exit.code in (0, None, 143)) in ((15, True), (None, True)), exit
    return json.loads(body)


def ask(url: str, process: processes.Process, output: Path) -> bytes:
    for _ in range(400):
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                return bytes(response.read())
        except OSError:
            assert process.alive(), output.read_text()
            time.sleep(0.05)
    raise AssertionError(output.read_text())


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_service_is_built_started_and_built_again_only_where_it_changed(
    builder: Builder, request_for: Make, checkout: Path, tmp_path: Path
) -> None:
    write(checkout, {"main.py": ASGI, "helper.py": "x = 1\n", "requirements.txt": "uvicorn\n", ".env": "A=canary"})
    request = request_for("python", dependencies="requirements.txt", service={"command": COMMAND}, user=app_user())
    first, log = await build(builder, request)
    assert not first.cached
    assert not first.layer_cached
    assert "+ uvicorn==" in log
    assert "2 of 2 modules compiled" in log
    assert builder.key(request) == first.artifact.key
    said = await answer(first, free_port(), tmp_path / "output")
    assert said["uid"] == (app_user().uid if app_user() else os.getuid())
    assert said["file"] == str(first.artifact.app / "main.py")
    assert not list(first.artifact.path.rglob(".env"))
    assert len(list(first.artifact.app.rglob("*.pyc"))) == 2

    again, log = await build(builder, request)
    assert again.cached
    assert again.artifact == first.artifact
    assert "unchanged" in log

    write(checkout, {"main.py": ASGI + "# changed\n"})
    changed, log = await build(builder, request)
    assert not changed.cached
    assert changed.layer_cached
    assert changed.artifact.layer == first.artifact.layer
    assert changed.artifact.key != first.artifact.key
    assert "1 of 2 modules compiled" in log

    write(checkout, {"requirements.txt": "uvicorn\nh11\n"})
    relayered, _ = await build(builder, request)
    assert not relayered.layer_cached
    assert relayered.artifact.layer != first.artifact.layer
    assert builder.store.get(first.artifact.key) == first.artifact


async def test_the_same_checkout_gives_the_same_artifact_elsewhere(
    builder: Builder, request_for: Make, checkout: Path, golive_home: Home
) -> None:
    write(checkout, {"main.py": "x = 1\n", "a/b.txt": "b"})
    first, _ = await build(builder, request_for("python"))
    content = {p.relative_to(first.artifact.app): p.read_bytes() for p in first.artifact.app.rglob("*") if p.is_file()}
    builder.store.prune((), 0)
    assert builder.store.get(first.artifact.key) is None
    second, _ = await build(builder, request_for("python"))
    assert second.artifact.key == first.artifact.key
    found = {p.relative_to(second.artifact.app): p.read_bytes() for p in second.artifact.app.rglob("*") if p.is_file()}
    assert found == content


async def test_a_uv_lock_is_installed_as_locked_without_the_project_and_its_tools(
    builder: Builder, request_for: Make, checkout: Path, tmp_path: Path
) -> None:
    project = (
        '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["h11"]\n'
        '[dependency-groups]\ndev = ["sniffio"]\n'
    )
    write(checkout, {"pyproject.toml": project, "src/demo/__init__.py": "import h11\nprint(h11.__version__)\n"})
    await asyncio.to_thread(subprocess.run, [find_uv_bin(), "lock", "-q"], cwd=checkout, check=True)
    (checkout / "uv.lock").chmod(0o444)
    request = request_for("python", dependencies="uv.lock", extra=("click",), service={"command": "python -m demo"})
    built, log = await build(builder, request)
    assert "+ h11==" in log
    assert "+ click==" in log
    assert "sniffio" not in log
    assert built.artifact.env["PYTHONPATH"] == f"{built.artifact.app}:{built.artifact.app}/src"
    done = await processes.run(
        ["python", "-c", "import demo"], env=built.artifact.env, cwd=built.artifact.app, user=app_user()
    )
    assert done.code == 0, done.output

    write(checkout, {"src/demo/__init__.py": "import h11\n"})
    assert (await build(builder, request))[0].layer_cached

    write(checkout, {"pyproject.toml": project.replace('["h11"]', '["h11", "flask"]')})
    with pytest.raises(BuildFailed, match=r"uv\.lock is older than pyproject\.toml: flask is not in it"):
        await build(builder, request)


async def test_the_build_command_sees_no_run_time_secret(
    builder: Builder, golive_home: Home, request_for: Make, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:canary-value@db/x")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-value")
    write(checkout, {"main.py": "x = 1\n", ".env": "SECRET=canary-value\n"})
    command = 'env > seen.txt; cat .env >> seen.txt 2>/dev/null; echo "y = 2" > made.py; python -c "import main"'
    request = request_for("python", command=command, env={"PUBLIC_URL": "https://x.test"})
    built, log = await Builder(golive_home).build(request, lambda _line: None), ""
    seen = (built.artifact.app / "seen.txt").read_text()
    assert "canary-value" not in seen
    assert "PUBLIC_URL=https://x.test" in seen
    assert f"VIRTUAL_ENV={golive_home.layers}" in seen
    assert "HOME=/root" not in seen
    assert len(list(built.artifact.app.glob("__pycache__/made.*.pyc"))) == 1
    assert not (checkout / "seen.txt").exists()
    assert log == ""


@pytest.mark.nightly  # another user builds a Node server every time
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build as another user")
async def test_root_builds_as_a_user_of_its_own(golive_home: Home, request_for: Make, checkout: Path) -> None:
    builder = Builder(golive_home, user_for_build=users.find("nobody"))
    write(checkout, {"main.py": "x = 1\n", "lib/setup.py": SETUP, "requirements.txt": "./lib\n"})
    request = request_for(
        "python", dependencies="requirements.txt", command="id -un > who; ls $HOME", user=users.find("daemon")
    )
    golive_home.key.write_text("key")
    golive_home.key.chmod(0o600)
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("no interpreter that another user can run")
    try:
        built, _ = await build(builder, request)
    except BuildFailed as failure:
        pytest.fail(f"{failure.what} {failure.why} {failure.log}")
    assert (built.artifact.app / "who").read_text() == "nobody\n"
    assert built.artifact.layer
    layer = golive_home.layers / built.artifact.layer
    for path in (*built.artifact.path.rglob("*"), *layer.rglob("*")):
        assert path.lstat().st_uid == 0, path
    daemon = users.find("daemon")
    assert daemon is not None
    assert users.can_reach(daemon, built.artifact.app / "main.py")
    assert users.can_reach(daemon, layer / "bin/python")
    assert not users.can_reach(daemon, golive_home.key)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build as another user")
async def test_the_first_layer_shares_its_files_with_the_cache_and_none_can_be_changed(
    golive_home: Home, request_for: Make, checkout: Path
) -> None:
    builder = Builder(golive_home, user_for_build=users.find("nobody"))
    for wanted, links in (("h11\n", 2), ("h11\nidna\n", 1)):
        write(checkout, {"main.py": "import h11\n", "requirements.txt": wanted})
        built, log = await build(builder, request_for("python", dependencies="requirements.txt"))
        assert "warning" not in log
        (module,) = (golive_home.layers / str(built.artifact.layer)).rglob("h11/__init__.py")
        assert (module.stat().st_nlink, module.stat().st_uid) == (links, 0)
        done = await processes.run(
            ["python", "-c", "import main"], env=built.artifact.env, cwd=Path("/"), user=app_user()
        )
        assert done.code == 0, done.output


SETUP = 'from setuptools import setup\nsetup(name="lib", version="1", py_modules=[])\n'


async def test_no_network_is_said_and_what_is_cached_is_enough(
    golive_home: Home, builder: Builder, request_for: Make, checkout: Path
) -> None:
    write(checkout, {"main.py": "x = 1\n", "requirements.txt": "h11\n"})
    request = request_for("python", dependencies="requirements.txt")
    await build(builder, request)  # so that h11 is in the cache
    for place in (golive_home.artifacts, golive_home.layers):
        remove_tree(place)
    environ = {"HTTPS_PROXY": "http://me:proxy-password@127.0.0.1:9", "UV_HTTP_RETRIES": "0"}
    _, log = await build(Builder(golive_home, environ=environ), request)
    assert "+ h11==" in log

    (golive_home.cache / "uv").unlink()
    write(checkout, {"requirements.txt": "h11>=0.16\n"})
    with pytest.raises(BuildFailed, match="the package index does not answer") as failure:
        await build(Builder(golive_home, environ=environ), request)
    assert "HTTPS_PROXY" in (failure.value.hint or "")
    assert "proxy-password" not in str(failure.value.to_json())


async def test_a_package_of_the_source_itself_is_installed_from_what_was_built(
    builder: Builder, request_for: Make, checkout: Path
) -> None:
    setup = SETUP.replace("[]", '["lib"]')
    write(checkout, {"main.py": "", "lib/setup.py": setup, "lib/lib.py": "x = 1\n", "requirements.txt": "-e ./lib\n"})
    request = request_for("python", dependencies="requirements.txt")
    for value in (1, 2):
        write(checkout, {"lib/lib.py": f"x = {value}\n"})
        built, _ = await build(builder, request)
        assert not built.layer_cached
        argv = ["python", "-c", "import lib; print(lib.x, lib.__file__)"]
        done = await processes.run(argv, env=built.artifact.env, cwd=Path("/"), user=app_user())
        assert done.output.startswith(f"{value} "), done.output
        assert "site-packages" in done.output
        assert not list(built.artifact.app.rglob("*.egg-info"))


async def test_python_is_taken_from_the_project_or_said_to_be_missing(
    builder: Builder, request_for: Make, checkout: Path
) -> None:
    write(checkout, {"main.py": "x = 1\n"})
    with pytest.raises(BuildFailed, match=r"no Python ==3\.99\.\* on this machine") as failure:
        await build(builder, request_for("python", python="==3.99.*"))
    assert choose_python(None, None).version in (failure.value.why or "")
    assert "uv python install 3.99" in (failure.value.hint or "")


async def test_what_is_no_python_is_a_warning(builder: Builder, request_for: Make, checkout: Path) -> None:
    write(checkout, {"main.py": "x = 1\n", "templates/app.py": "from {{ name }} import x\n"})
    built, log = await build(builder, request_for("python"))
    assert "warning: templates/app.py is not Python 3" in log
    assert (built.artifact.app / "templates/app.py").exists()
