"""Builds images from a Dockerfile.

The artifact is a note of the image: its id, which is what runs, and the tag that keeps it from being cleaned up.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
from pathlib import Path

from golive.build.artifact import ImageNote
from golive.build.environment import SYSTEM_PATH
from golive.build.made import Made
from golive.build.plan import BuildRequest
from golive.build.threads import in_thread
from golive.build.tools import tail
from golive.build.workshop import Workshop
from golive.errors import BuildFailed
from golive.system import containers
from golive.system.containers import ContainerEngine, Image

NO_ENGINE = (
    "apt-get install podman, or your system's like; or say how it is built without: `build.builder` and `command`"
)
_UNREACHABLE = re.compile(
    r"no such host|dial tcp|i/o timeout|connection refused|TLS handshake|server misbehaving|pinging container registry"
)


async def build_image(workshop: Workshop) -> Made:
    """Build in a copy of the source. Raises BuildFailed for a missing engine, a failed step and what cannot be run."""
    plan = workshop.plan
    engine = await _engine(plan.request)
    await in_thread(workshop.copy_source, workshop.scratch)
    recipe, tag = plan.request.service.build, tag_of(workshop.home.root, plan.key)
    given = {**plan.request.env, **recipe.args}
    id_file = workshop.tools.place / "image-id"
    dockerfile = recipe.dockerfile or "Dockerfile"
    beside = workshop.tools.place / "Dockerfile"  # an ignore file may keep it out of the context
    await in_thread(shutil.copyfile, plan.tree.root / dockerfile, beside)
    names = tuple(sorted(given))
    argv = containers.build_argv(engine, workshop.scratch, beside, id_file, tag, recipe.target, names)
    workshop.tools.log(f"$ {engine.name} build --file {dockerfile} .")
    env = {**{k: v for k, v in given.items() if k not in containers.client_env()}, **containers.client_env()}
    done = await workshop.tools.run(argv, env=env, cwd=workshop.scratch, trusted=True, no_new_privileges=False)
    if done.code != 0:
        raise explain(plan.request.name, engine, dockerfile, done.output)
    image = await containers.inspect(engine, id_file.read_text().strip())
    if image is None:
        raise BuildFailed(f"{engine.name} built the image of {plan.request.name} and does not know it")
    await in_thread(functools.partial(workshop.app.mkdir, exist_ok=True))
    for line in remarks(plan.request, image):
        workshop.tools.log(line)
    note = ImageNote(engine=engine.name, id=image.id, tag=tag, user=image.user, health=image.health, size=image.size)
    return Made("docker", {"PATH": SYSTEM_PATH}, image=note)


async def is_there(note: ImageNote) -> bool:
    """Whether its engine still has it: images are cleaned up by others too."""
    engine = containers.find_named(note.engine)
    return engine is not None and await containers.inspect(engine, note.id) is not None


def tag_of(home: Path, key: str) -> str:
    """One for each home on this machine: what one cleans up, another may need."""
    return f"localhost/golive-{hashlib.sha256(str(home).encode()).hexdigest()[:10]}:{key}"


async def _engine(request: BuildRequest) -> ContainerEngine:
    where = f"services.{request.name}.build"
    engine = containers.find()
    if engine is None:
        what = f"{request.name} is built from its Dockerfile, and this machine has neither podman nor docker"
        raise BuildFailed(what, where=where, hint=NO_ENGINE)
    if why := await containers.trouble(engine):
        what = f"{request.name} is built from its Dockerfile, and {engine.name} does not work"
        hint = "start the Docker daemon, or install podman, which needs none" if engine.name == "docker" else NO_ENGINE
        raise BuildFailed(what, where=where, why=why, hint=hint)
    return engine


def remarks(request: BuildRequest, image: Image) -> list[str]:
    """What the image says that golive does otherwise. Raises BuildFailed when it says nothing to run. Pure."""
    if not image.starts and request.service.command is None:
        raise BuildFailed(
            f"the image of {request.name} has neither CMD nor ENTRYPOINT",
            where=f"services.{request.name}.command",
            hint="add a CMD to the Dockerfile, or set `command`",
        )
    found = []
    if image.ports and request.service.port is None:
        ports = ", ".join(map(str, image.ports))
        found.append(
            f"the image exposes {ports}: golive gives each instance a port of its own in PORT; a program that does not "
            "read it needs `port` and `overlap = false`"
        )
    if image.user.partition(":")[0] in ("", "0", "root") and request.user is not None:
        found.append(f"the image names no user: it runs as {request.user.name} ({request.user.uid})")
    return found


def explain(name: str, engine: ContainerEngine, dockerfile: str, output: str) -> BuildFailed:
    """What a failed build's output means. Pure."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?i)error|time=.*level=error", line)]
    why = next(iter([*reversed(errors), *reversed(lines)]), None)
    hint = f"see {dockerfile}; {engine.name} build says the same by hand"
    if _UNREACHABLE.search(output):
        hint = "a base image's registry does not answer: check the network and HTTPS_PROXY; fetched once, it is kept"
    elif re.search(r"unauthorized|denied: |authentication required", output):
        hint = f"log in to the registry of the base image as the user golive runs as: {engine.name} login"
    return BuildFailed(f"the image of {name} cannot be built", where=dockerfile, why=why, hint=hint, log=tail(output))
