"""Services built from a Dockerfile: containers that are deployed, adopted and ended as processes are.

They want podman (or docker) and Go on the machine, and an engine that may run containers here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, alive, new_home, until
from e2e_load import Load

from golive.system import containers
from golive.system.containers import ContainerEngine

pytestmark = pytest.mark.nightly  # an image, and a program for it, take half a minute

PROGRAM = Path(__file__).with_name("boxed.go")
SCRATCH = """
FROM scratch
ARG FLAVOUR=none
ENV FLAVOUR=$FLAVOUR
COPY server /server
EXPOSE 8080
HEALTHCHECK CMD ["/server", "check"]
CMD ["/server"]
"""
BOXED = """
[services.api]
source = "box"
route = "/"
stop_timeout = "5s"
limits = { memory = "200MB" }

[services.api.build]
args = { FLAVOUR = "mint" }

[env.TOKEN]
type = "secret"
generate = true
"""


def program(folder: Path, version: str) -> Path:
    source = folder / "main.go"
    source.write_text(PROGRAM.read_text().replace('version = "1"', f'version = "{version}"'))
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
    subprocess.run(["go", "build", "-o", folder / f"server-{version}", source], check=True, env=env, cwd=folder)
    return folder / f"server-{version}"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if shutil.which("go") is None:
        pytest.skip("no Go on this machine to make a static program with")
    folder = tmp_path_factory.mktemp("programs")
    return {version: program(folder, version) for version in ("1", "2")}


@pytest.fixture(scope="module")
def engine(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerEngine]:
    """One that runs a container here, if need be with the runtime that knows old control groups."""
    engine = containers.find()
    if engine is None:
        pytest.skip("neither podman nor docker on this machine")
    folder = tmp_path_factory.mktemp("engine")
    shutil.copy(programs["1"], folder / "server")
    (folder / "Dockerfile").write_text(SCRATCH)
    (folder / "runc.conf").write_text('[engine]\nruntime = "runc"\n')
    (folder / "env").write_text("PORT=1\n")
    trial = containers.Container("golive-trial", "golive-trial", folder / "env", argv=("/server", "check"), files=1024)
    said = ""
    with pytest.MonkeyPatch.context() as patch:
        for conf in (os.environ.get("CONTAINERS_CONF"), str(folder / "runc.conf")):
            if conf:
                patch.setenv("CONTAINERS_CONF", conf)
            build = [engine.program, "build", "--tag", "golive-trial", folder]
            said = subprocess.run(build, check=False, capture_output=True, text=True).stderr
            ran = subprocess.run(containers.run_argv(engine, trial), check=False, capture_output=True, text=True)
            if ran.returncode == 1:  # it ran, and nothing listens on port 1
                yield engine
                subprocess.run([engine.program, "image", "rm", "golive-trial"], check=False, capture_output=True)
                return
            said = ran.stderr or said
    pytest.skip(f"{engine.name} runs no container here: {said.strip()[-300:]}")


@pytest.fixture(scope="module")
def home(engine: ContainerEngine) -> Iterator[Golive]:
    with new_home() as golive:
        yield golive


@pytest.fixture
def boxed(home: Golive, engine: ContainerEngine, programs: dict[str, Path], make_app: MakeApp) -> App:
    app = make_app(home, toml=BOXED, services=())
    app.write("box/Dockerfile", SCRATCH)
    shutil.copy(programs["1"], app.folder / "box/server")
    app.up().ok()
    return app


def running(engine: ContainerEngine, app: App) -> list[str]:
    done = subprocess.run([engine.program, "ps", "--format", "{{.Names}}"], check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split() if app.name in name]


def test_a_container_is_a_service_like_any_other(boxed: App, engine: ContainerEngine) -> None:
    said = boxed.get().json()
    user = containers_user(boxed)
    assert said == {"version": "1", "uid": user, "token": 43, "flavour": "mint", "root": False, "tmp": True}
    lines = boxed.golive.processes().values()
    assert any(" run " in line for line in lines)
    assert len(running(engine, boxed)) == 1
    boxed.up().ok()
    assert boxed.status()["release"] == 1
    boxed.command("run", "--", "true").failed(2)


def containers_user(app: App) -> int:
    from golive.system import users

    user = users.ensure(users.app_user_name(app.name))
    return user.uid if user else os.geteuid()


def test_no_request_fails_while_containers_change(
    boxed: App, engine: ContainerEngine, programs: dict[str, Path]
) -> None:
    with Load(boxed) as load:
        shutil.copy(programs["2"], boxed.folder / "box/server")
        boxed.up().ok()
        load.more()
        boxed.command("rollback").ok()
        load.more()
    load.unharmed()
    assert set(load.seen) == {"1", "2"}
    assert boxed.version() == "1"


def test_the_daemon_may_die_and_a_killed_client_leaves_nothing_behind(boxed: App, engine: ContainerEngine) -> None:
    (before,) = boxed.pids()
    boxed.golive.kill_daemon()
    assert boxed.version() == "1"
    assert boxed.pids() == [before]

    os.kill(before, signal.SIGKILL)
    until("another client", lambda: boxed.pids() not in ([before], [None]))
    until("its answer", lambda: boxed.get().status_code == 200)
    assert len(running(engine, boxed)) == 1

    (now,) = boxed.pids()
    boxed.destroy()
    until("its end", lambda: not alive(now))
    assert running(engine, boxed) == []
    assert not list(boxed.golive.root.rglob("*.env"))


def test_a_program_that_is_told_to_stop_may_finish(boxed: App) -> None:
    boxed.command("down").ok()
    until("its last words", lambda: "leaves in peace" in boxed.command("logs", "api").ok().out)


def test_a_dockerfile_that_fails_changes_nothing(boxed: App) -> None:
    boxed.write("box/Dockerfile", SCRATCH.replace("COPY server", "COPY nothing"))
    said = boxed.up().failed()
    assert "the image of api cannot be built" in said.err
    assert re.search(r"nothing.*(no such file|not found)", said.err)
    assert boxed.version() == "1"


def test_an_image_that_was_cleaned_up_is_built_again(boxed: App, engine: ContainerEngine) -> None:
    files = boxed.golive.root.glob("artifacts/*/artifact.json")
    notes = {json.loads(file.read_text())["image"]["id"] for file in files}
    boxed.command("down").ok()
    subprocess.run([engine.program, "rmi", "--force", *notes], check=True, capture_output=True)
    boxed.up().ok()
    until("an answer", lambda: boxed.get().status_code == 200)
    assert boxed.version() == "1"


def test_without_an_engine_it_says_so(home: Golive, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_home() as other:
        monkeypatch.setenv("PATH", "/nowhere")
        app = make_app(other, toml=BOXED, services=())
        app.write("box/Dockerfile", SCRATCH)
        said = app.up().failed()
    assert "this machine has neither podman nor docker" in said.err
    assert "apt-get install podman" in said.err
