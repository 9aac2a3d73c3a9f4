"""Instances that are containers: the engine's client is the process that is kept running, the container its doing.

The client forwards signals and output and ends as the container does. Killed with -9 it leaves the container behind, so
a container of the same name is removed before every start and after every end.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from golive.blueprint.models import Service
from golive.build.artifact import Artifact, ImageNote
from golive.build.command import with_port
from golive.errors import StartFailed
from golive.release.host import Host
from golive.state.records import Place
from golive.supervise.unit import Command, Probe
from golive.system import containers
from golive.system.containers import Container, ContainerEngine
from golive.system.files import private_directory, write_atomic
from golive.system.processes import Spec

Hook = Callable[[], Awaitable[None]]


def container_name(home: Path, unit: str) -> str:
    """One for each instance of each home on this machine; the unit can be read in it."""
    readable = re.sub(r"[^a-z0-9.]+", "-", unit.lower()).strip("-")
    return f"golive-{hashlib.sha256(f'{home}:{unit}'.encode()).hexdigest()[:10]}-{readable}"


def container_spec(
    host: Host, place: Place, service: Service, artifact: Artifact, env: Mapping[str, str], unit: str, output: Path
) -> Spec:
    """The client's own process. Raises StartFailed when the engine that has the image is gone."""
    image = _image(artifact)
    limits = service.limits
    container = Container(
        name=container_name(host.home.root, unit),
        image=image.id,
        env_file=env_file(host, place, unit),
        argv=with_port(artifact.argv or (), env),
        user=_user(host, place, image),
        memory=limits.memory,
        cpu=limits.cpu,
        files=limits.files,
    )
    return Spec(
        argv=containers.run_argv(engine_of(image), container),
        env=containers.client_env(),
        cwd=artifact.app,
        output=output,
        name=unit,
        no_new_privileges=False,  # a rootless engine has to become other users
    )


def env_file(host: Host, place: Place, unit: str) -> Path:
    return host.home.app(*place) / "containers" / f"{container_name(host.home.root, unit)}.env"


def before_start(host: Host, place: Place, artifact: Artifact, env: Mapping[str, str], unit: str) -> Hook:
    """What stood in its place is removed, and its variables are written for the client, for its owner only."""
    image, file = _image(artifact), env_file(host, place, unit)

    async def prepare() -> None:
        await containers.remove_container(engine_of(image), container_name(host.home.root, unit))
        if await containers.inspect(engine_of(image), image.id) is None:
            what = f"the image of {unit} is gone from {image.engine}"
            raise StartFailed(what, where=unit, hint="deploy again: golive up builds it")
        private_directory(file.parent)
        write_atomic(file, env_text(env, unit), mode=0o600)

    return prepare


def after_end(host: Host, place: Place, artifact: Artifact, unit: str) -> Hook:
    image, file = _image(artifact), env_file(host, place, unit)

    async def tidy() -> None:
        await containers.remove_container(engine_of(image), container_name(host.home.root, unit))
        file.unlink(missing_ok=True)

    return tidy


def env_text(env: Mapping[str, str], unit: str) -> str:
    """One `NAME=value` a line, as podman and docker read it: nothing is quoted, so no value may hold a line end."""
    if broken := sorted(name for name, value in env.items() if "\n" in value or "\r" in value):
        raise StartFailed(
            f"{unit} is a container, and its variable {broken[0]} has several lines",
            where=unit,
            why="podman and docker read variables line by line",
            hint="encode it (base64), or give it as a file",
        )
    return "".join(f"{name}={value}\n" for name, value in sorted(env.items()))


def engine_of(image: ImageNote) -> ContainerEngine:
    engine = containers.find_named(image.engine)
    if engine is None:
        hint = f"install {image.engine} again, or deploy again: golive up builds with what is there"
        raise StartFailed(f"{image.engine}, which has the image, is not on this machine", hint=hint)
    return engine


def contained(host: Host, artifact: Artifact, unit: str, probe: Probe | None) -> Probe | None:
    """A command that asks for health runs inside; ports are the same on both sides."""
    if probe is None or not isinstance(probe.target, Command):
        return probe
    image = _image(artifact)
    argv = containers.exec_argv(engine_of(image), container_name(host.home.root, unit), probe.target.argv)
    return replace(probe, target=replace(probe.target, argv=argv, user=None, privileged=True))


def _user(host: Host, place: Place, image: ImageNote) -> str:
    """The image's own user when it names one that is not root; else the app's, where golive is root."""
    if image.user.partition(":")[0] not in ("", "0", "root"):
        return ""
    user = host.app_user(place.app)
    return f"{user.uid}:{user.gid}" if user else ""


def _image(artifact: Artifact) -> ImageNote:
    assert artifact.image is not None  # noqa: S101 - asked for containers only
    return artifact.image
