"""Builds Python services: a layer of dependencies, the source beside it, and bytecode for both."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from golive.build.bytecode import compile_modules, modules, place_bytecode
from golive.build.environment import SYSTEM_PATH, client_settings, pip_configuration
from golive.build.interpreters import Interpreter
from golive.build.layer import LayerRequest, make_layer, reachable_uv
from golive.build.made import Made
from golive.build.plan import BuildPlan
from golive.build.python_locks import LOCKS
from golive.build.seal import give
from golive.build.store import Store
from golive.build.threads import in_thread
from golive.build.workshop import Workshop, uv_cache
from golive.build.workspace import needed_of

T = TypeVar("T")


async def build_python(workshop: Workshop, store: Store) -> Made:
    """Fill the workshop's `app` with the source and its bytecode."""
    plan = workshop.plan
    assert plan.python is not None and plan.layer_key is not None  # noqa: S101 - plan_build's own promise
    layer = workshop.home.layers / plan.layer_key
    cached = await in_thread(store.layer, plan.layer_key) is not None
    changes = plan.request.service.build.command is not None
    await in_thread(workshop.copy_source, workshop.app)
    if cached:
        workshop.tools.log(f"dependencies: unchanged, layer {plan.layer_key[:12]}")
    else:
        # Compiling takes a processor, installing waits for the network at first.
        async with _beside(asyncio.sleep(0) if changes else _compile(workshop)) as compiled:
            await _install(workshop, plan.python, layer)
            await compiled
    await workshop.run_command(workshop.app / plan.inner, workshop.env(layer / "bin") | {"VIRTUAL_ENV": str(layer)})
    if cached or changes:
        await _compile(workshop)
    digests = await in_thread(_digests, workshop)
    await in_thread(place_bytecode, workshop.app, digests, plan.python, workshop.home.cache)
    env = run_environment(plan, workshop.home.artifacts / plan.key / "app", layer)
    return Made("python", env, plan.layer_key, cached, plan.inner)


async def _compile(workshop: Workshop) -> None:
    """With the interpreter the layer is made of: it need not be there yet."""
    python = workshop.plan.python
    assert python is not None  # noqa: S101 - as above
    digests = await in_thread(_digests, workshop)
    compiled = await compile_modules(workshop.app, digests, python, cache=workshop.home.cache, tools=workshop.tools)
    workshop.tools.log(f"bytecode: {compiled} of {len(digests)} modules compiled")


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Does it meanwhile; what is not done when the block ends is given up."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def run_environment(plan: BuildPlan, app: Path, layer: Path) -> dict[str, str]:
    """What an instance gets besides its own variables. Pure."""
    return {
        "PATH": f"{layer / 'bin'}:{SYSTEM_PATH}",
        "VIRTUAL_ENV": str(layer),
        "PYTHONPATH": ":".join(str(app / place) for place in import_places(plan)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def import_places(plan: BuildPlan) -> tuple[str, ...]:
    """Folders that modules are imported from: the service's own, then those of the workspace's packages it needs."""
    paths = [entry.path for entry in plan.tree.entries if entry.path.endswith(".py")]
    owners = {""} if not plan.inner else {plan.inner, *needed_of(plan.tree, plan.inner, "python")}
    places = []
    for owner in sorted(owners, key=lambda owner: (owner != plan.inner, owner)):
        src = f"{owner}/src" if owner else "src"
        places += [owner] + ([src] if any(path.startswith(f"{src}/") for path in paths) else [])
    return tuple(places)


async def _install(workshop: Workshop, python: Interpreter, layer: Path) -> None:
    plan, tools = workshop.plan, workshop.tools
    assert plan.layer_key is not None  # noqa: S101 - as above
    source = workshop.app
    if plan.dependencies and plan.dependencies.local:
        source = workshop.scratch  # building a local package leaves files beside it
        await in_thread(workshop.copy_source, source)
        await in_thread(give, source, tools.user)
    listed = plan.dependencies.file if plan.dependencies else ", ".join(plan.request.service.build.extra) or "nothing"
    tools.log(f"dependencies: {listed}, for Python {python.version}")
    request = LayerRequest(
        key=plan.layer_key,
        place=layer,
        python=python,
        dependencies=plan.dependencies,
        extra=plan.request.service.build.extra,
        source=source,
        listed=await in_thread(_write_pinned, workshop),
        uv=await in_thread(reachable_uv, tools.user, workshop.home.cache),
        env={
            **client_settings(pip_configuration(workshop.environ)),
            **workshop.env(),
            "UV_LINK_MODE": _link_mode(workshop),
        },
    )
    await make_layer(request, tools)


def _link_mode(workshop: Workshop) -> str:
    """How uv brings files from its cache to a layer, as its UV_LINK_MODE.

    Links are the fastest, and what is sealed is golive's in the cache too, so that no later build changes it. But then
    the build's user may not link it again, and uv gives up on a package of which some files can be linked and some
    not. So links for the first layer of a new machine, copies from then on.
    """
    if sys.platform == "darwin":
        return "clone"
    user = workshop.tools.user
    return "copy" if user and any(uv_cache(workshop.home, user).iterdir()) else "hardlink"


def _write_pinned(workshop: Workshop) -> Path | None:
    dependencies = workshop.plan.dependencies
    if dependencies is None or dependencies.file.rpartition("/")[2] not in LOCKS:
        return None
    file = workshop.tools.place / "pinned.txt"
    file.write_text("\n".join(dependencies.pinned) + "\n")
    file.chmod(0o644)
    return file


def _digests(workshop: Workshop) -> dict[str, str]:
    """The modules to compile. Those of the scan are current unless a command ran among them."""
    plan = workshop.plan
    if plan.request.service.build.command is not None:
        return modules(workshop.app)
    return {e.path: e.digest for e in plan.tree.entries if e.path.endswith(".py") and e.link is None}
