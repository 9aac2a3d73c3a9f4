"""Images and containers through podman or docker, whichever the machine has.

What is asked of them is what both understand; their clients' own environment (where the engine is, its settings) is
taken from golive's, and an app's variables are never in it: one named LD_PRELOAD would be golive's own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.errors import StartFailed
from golive.system import processes

NAMES = ("podman", "docker")
"""In the order in which they are looked for: podman needs no daemon and no root."""
OWN = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "TMPDIR",
    "DBUS_SESSION_BUS_ADDRESS",
)
OWN_PREFIXES = ("DOCKER_", "CONTAINER_", "CONTAINERS_", "BUILDAH_", "REGISTRY_AUTH_FILE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PROCESSES = 16384
"""Of one user, at most: engines ask for millions by themselves, which they may not everywhere."""
FILES = 16384
"""Open at once, in a build."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class ContainerEngine:
    """`name` is podman or docker, `program` where its client is."""

    name: str
    program: Path


@dataclass(frozen=True)
class Image:
    """What an image says of itself. `health` is the test of HEALTHCHECK as arguments, `size` in bytes."""

    id: str
    size: int
    user: str = ""
    ports: tuple[int, ...] = ()
    starts: bool = True
    health: tuple[str, ...] = ()


@dataclass(frozen=True)
class Container:
    """One to run: `image` by id, `env_file` with its variables, `user` as `uid:gid` where the image has none.

    `memory` in bytes, `cpu` in cores. It shares the host's network, so that loopback is the same on both sides.
    """

    name: str
    image: str
    env_file: Path
    argv: tuple[str, ...] = ()
    user: str = ""
    memory: int | None = None
    cpu: float | None = None
    files: int | None = None


def find(environ: Mapping[str, str] | None = None) -> ContainerEngine | None:
    """The first that is installed; it is not asked whether it works."""
    path = (os.environ if environ is None else environ).get("PATH", PATH)
    found = ((name, shutil.which(name, path=path)) for name in NAMES)
    return next((ContainerEngine(name, Path(program)) for name, program in found if program), None)


def find_named(name: str) -> ContainerEngine | None:
    """The engine that an image was built by; its images are its own."""
    program = shutil.which(name, path=os.environ.get("PATH", PATH))
    return ContainerEngine(name, Path(program)) if program else None


def client_env(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a client needs to reach its engine."""
    given = os.environ if environ is None else environ
    return {"PATH": PATH} | {k: v for k, v in given.items() if k in OWN or k in PROXIES or k.startswith(OWN_PREFIXES)}


def build_argv(
    engine: ContainerEngine,
    context: Path,
    dockerfile: Path,
    id_file: Path,
    tag: str,
    target: str | None,
    args: tuple[str, ...],
) -> tuple[str, ...]:
    """Values of `args` are taken from the client's environment, so that none is on a command line."""
    own: tuple[str, ...] = ("--progress", "plain")
    if engine.name == "podman":  # images of OCI's own form have no HEALTHCHECK
        limits = (f"nproc={PROCESSES}:{PROCESSES}", f"nofile={FILES}:{FILES}")
        own = ("--format", "docker", "--force-rm", *(word for limit in limits for word in ("--ulimit", limit)))
    return (
        *(str(engine.program), "build", *own, "--network", "host", "--iidfile", str(id_file), "--tag", tag),
        *("--file", str(dockerfile)),
        *(("--target", target) if target else ()),
        *(word for name in args for word in ("--build-arg", name)),
        str(context),
    )


def run_argv(engine: ContainerEngine, container: Container) -> tuple[str, ...]:
    """In the foreground, its output to the client's: whoever ends the client by a signal ends the container by it."""
    limits = ["--ulimit", f"nproc={PROCESSES}:{PROCESSES}"]
    if container.memory is not None:
        limits += ["--memory", str(container.memory), "--memory-swap", str(container.memory)]
    if container.cpu is not None:
        limits += ["--cpus", f"{container.cpu:g}"]
    if container.files is not None:
        limits += ["--ulimit", f"nofile={container.files}:{container.files}"]
    return (
        *(str(engine.program), "run", "--rm", "--name", container.name, "--pull", "never", "--network", "host"),
        *("--log-driver", "none", "--env-file", str(container.env_file)),
        *("--read-only", "--tmpfs", "/tmp:mode=1777", "--tmpfs", "/run:mode=1777"),  # noqa: S108 - inside the container
        *("--cap-drop", "all", "--security-opt", "no-new-privileges", *limits),
        *(("--user", container.user) if container.user else ()),
        *(container.image, *container.argv),
    )


def exec_argv(engine: ContainerEngine, name: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """A program inside a container that runs."""
    return (str(engine.program), "exec", name, *argv)


async def trouble(engine: ContainerEngine) -> str | None:
    """Why the engine does not work, in its own words; None when it does."""
    done = await _ask(engine, "info", "--format", "json" if engine.name == "podman" else "{{json .}}")
    if done is None or done.code != 0:
        return _last(done)
    if engine.name == "docker" and (errors := _table(done.output).get("ServerErrors")):
        return str(errors[0])
    return None


async def inspect(engine: ContainerEngine, image: str) -> Image | None:
    """None when the engine has no such image."""
    done = await _ask(engine, "image", "inspect", image)
    if done is None or done.code != 0:
        return None
    try:
        (found,) = json.loads(done.output)
    except ValueError:
        return None
    return described(found)


def described(found: Mapping[str, Any]) -> Image:
    """Pure: from what `image inspect` prints."""
    config = found.get("Config") or {}
    check = config.get("Healthcheck") or found.get("HealthCheck") or {}
    ports = sorted(int(p.partition("/")[0]) for p in config.get("ExposedPorts") or {} if p.partition("/")[0].isdigit())
    return Image(
        id=str(found.get("Id", "")).removeprefix("sha256:"),
        size=int(found.get("Size") or 0),
        user=str(config.get("User") or ""),
        ports=tuple(ports),
        starts=bool(config.get("Cmd") or config.get("Entrypoint")),
        health=_test(check.get("Test") or ()),
    )


def _test(words: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    match list(words):
        case ["CMD", *argv]:
            return tuple(argv)
        case ["CMD-SHELL", line]:
            return ("/bin/sh", "-c", line)
    return ()


async def remove_container(engine: ContainerEngine, name: str) -> None:
    """Kill and forget it. Nothing happens when there is none."""
    force = ("rm", "--force", "--time", "0") if engine.name == "podman" else ("rm", "--force")
    await _ask(engine, *force, name)


async def remove_image(engine: ContainerEngine, tag: str) -> None:
    """Untag it; the engine removes what no other tag holds. Nothing happens when it is gone or in use."""
    await _ask(engine, "image", "rm", tag)


async def _ask(engine: ContainerEngine, *words: str) -> processes.Completed | None:
    """None when the client could not be started."""
    try:
        return await processes.run(
            (str(engine.program), *words),
            env=client_env(),
            cwd=Path("/"),
            name="container engine",
            no_new_privileges=False,
        )
    except StartFailed:
        return None


def _last(done: processes.Completed | None) -> str:
    lines = done.output.strip().splitlines() if done else []
    return lines[-1] if lines else "its client could not be started"


def _table(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
