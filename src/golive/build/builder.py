"""Builds artifacts: one at a time, below the apps in priority, and all or nothing.

A build works in `artifacts/.tmp-…` and ends by renaming that folder to the artifact's key. Whatever stops it (a
failure, a newer deploy, kill -9) leaves no artifact behind.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from golive.build.artifact import ARTIFACT_FILE, Artifact, Content
from golive.build.build_log import forget_unsearched
from golive.build.environment import client_files, client_settings, credentials
from golive.build.go import build_go
from golive.build.image import build_image, is_there
from golive.build.made import Made
from golive.build.node import build_node
from golive.build.plan import BuildPlan, BuildRequest, plan_build
from golive.build.python import build_python
from golive.build.recipe import build_none, build_static
from golive.build.seal import seal
from golive.build.store import TEMPORARY, Pruned, Store
from golive.build.threads import in_thread
from golive.build.toolchains import open_toolchain
from golive.build.tools import Tools, disk_full, is_full
from golive.build.workshop import Workshop, uv_cache
from golive.engines.store import Engines
from golive.errors import BuildFailed
from golive.home import Home
from golive.system import containers
from golive.system.files import private_directory, remove_tree, write_atomic
from golive.system.users import User, can_reach
from golive.units import human_duration, human_size

MINIMUM_FREE = 256 * 2**20
"""Bytes; with less free no build is begun."""


@dataclass(frozen=True)
class Built:
    """The artifact; `cached`: it was there already; `layer_cached`: its dependencies were."""

    artifact: Artifact
    cached: bool
    layer_cached: bool
    seconds: float


class Builder:
    """Builds services under one home. `user_for_build` runs what the project brings, where golive is root.

    `environ` is the user's environment, of which only the settings of package clients are used.
    """

    def __init__(
        self,
        home: Home,
        *,
        user_for_build: User | None = None,
        environ: Mapping[str, str] | None = None,
        minimum_free: int = MINIMUM_FREE,
        engines: Engines | None = None,
    ) -> None:
        self.store = Store(home)
        self._home = home
        self._user = user_for_build if os.geteuid() == 0 else None
        self._environ = dict(os.environ if environ is None else environ)
        self._minimum_free = minimum_free
        self._engines = engines or Engines(home)
        self._one_at_a_time = asyncio.Lock()

    def key(self, request: BuildRequest) -> str:
        """The key of the artifact that `build` would give; reads only what changed since the last time."""
        return self._plan(request).key

    async def build(self, request: BuildRequest, log: Callable[[str], None]) -> Built:
        """The artifact of a service, built when it is not there yet. `log` gets each line as it comes.

        Raises BuildFailed; cancelling it ends the programs that run. In both cases nothing is left behind.
        """
        started = time.monotonic()
        plan = await in_thread(self._plan, request)
        artifact = await self._known(plan.key)
        if artifact is None:
            async with self._one_at_a_time:
                artifact = await self._known(plan.key)
                if artifact is None:
                    return await self._build(plan, log, started)
        log(f"unchanged: artifact {plan.key[:12]} is there already")
        return Built(artifact, True, True, time.monotonic() - started)

    async def _known(self, key: str) -> Artifact | None:
        artifact = await in_thread(self.store.get, key)
        return artifact if artifact is None or artifact.image is None or await is_there(artifact.image) else None

    async def prune(self, keep: Collection[str], budget: int) -> Pruned:
        """`Store.prune`, while no build is under way."""
        async with self._one_at_a_time:
            pruned = await in_thread(self.store.prune, keep, budget)
            for image in pruned.images:
                if engine := containers.find_named(image.engine):
                    await containers.remove_image(engine, image.tag)
            return pruned

    async def clean(self) -> None:
        """Remove what a killed build left; for the daemon's start."""
        async with self._one_at_a_time:
            await in_thread(self.store.clean)
            await in_thread(forget_unsearched, self._home.builds)

    def _plan(self, request: BuildRequest) -> BuildPlan:
        """What is run by the user for builds has to be reachable by that user too."""
        request = replace(request, user=request.user or self._user)
        try:
            for folder in (self._home.root, self._home.cache):
                if not folder.exists():
                    private_directory(folder)
            return plan_build(request, self._home.cache)
        except OSError as error:
            raise _unwritable(error, self._home.root) from error

    async def _build(self, plan: BuildPlan, log: Callable[[str], None], started: float) -> Built:
        request = plan.request
        place = self._home.artifacts / f"{TEMPORARY}{plan.key[:12]}-{secrets.token_hex(4)}"
        limit = request.policy.timeout.total_seconds()
        try:
            async with asyncio.timeout(limit or None):
                await in_thread(self._prepare, place, request.user)
                workshop = await in_thread(self._workshop, plan, place, log)
                built = await self._make(workshop)
        except TimeoutError:
            raise BuildFailed(
                f"the build took longer than {human_duration(limit)} and was stopped",
                where=request.name,
                hint="raise `timeout` under [build] in golive.toml, or see where its log stops",
            ) from None
        except OSError as error:
            raise _unwritable(error, place) from error
        finally:
            await in_thread(remove_tree, place)
        seconds = time.monotonic() - started
        log(f"built {request.name} as {plan.key[:12]} in {human_duration(seconds)}")
        return replace(built, seconds=seconds)

    def _prepare(self, place: Path, user: User | None) -> None:
        """The folders a build needs, open to the users of apps where golive is root and nowhere else."""
        mode = 0o711 if os.geteuid() == 0 else 0o700
        for folder in (self._home.root, self._home.artifacts, self._home.layers, self._home.cache):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            private_directory(folder, stat.S_IMODE(folder.stat().st_mode) | mode)
        free = shutil.disk_usage(self._home.root).free
        if free < self._minimum_free:
            raise BuildFailed(
                f"only {human_size(free)} of disk are free at {self._home.root}",
                why=f"a build is not begun with less than {human_size(self._minimum_free)}",
                hint="free some space, or lower `disk` under [build] in golive.toml so that old artifacts go sooner",
            )
        place.mkdir()
        place.chmod(0o755)
        if user and not can_reach(user, place):
            raise BuildFailed(
                f"the app's user {user.name} cannot reach {self._home.artifacts}",
                why="a folder above it is closed to other users",
                hint="set GOLIVE_HOME to a folder that others may enter, such as /var/lib/golive",
            )

    def _workshop(self, plan: BuildPlan, place: Path, log: Callable[[str], None]) -> Workshop:
        settings = {**client_settings(self._environ), **client_files(self._environ)}
        settings["UV_CACHE_DIR"] = str(uv_cache(self._home, self._user))
        memory = plan.request.policy.memory or _half_of_the_machine()
        tools = Tools(place, memory, log, self._user, credentials(settings))
        return Workshop.open(plan, self._home, tools, settings, self._environ)

    async def _make(self, workshop: Workshop) -> Built:
        kind = workshop.plan.request.service.build.builder
        toolchain = workshop.plan.toolchain
        if toolchain is not None:
            toolchain = await open_toolchain(toolchain, self._engines, workshop.tools.log)
        if kind == "python":
            made = await build_python(workshop, self.store)
        elif kind == "go" and toolchain:
            made = await build_go(workshop, toolchain)
        elif kind == "node" and toolchain:
            made = await build_node(workshop, self.store, toolchain)
        elif kind == "docker":
            made = await build_image(workshop)
        elif kind == "static":
            made = await build_static(workshop)
        else:
            made = await build_none(workshop)
        artifact = await in_thread(self._finish, workshop, made)
        return Built(artifact, False, made.layer_cached, 0)

    def _finish(self, workshop: Workshop, made: Made) -> Artifact:
        """Count, describe and rename: from here on the artifact exists."""
        plan, place = workshop.plan, workshop.tools.place
        for path in place.iterdir():
            if path.name not in ("app", "bin"):
                remove_tree(path)
        sealed = seal(workshop.app, owner=self._user)
        target = self._home.artifacts / plan.key
        artifact = Artifact(
            key=plan.key,
            kind=made.kind,
            path=target,
            layer=made.layer,
            env=made.env,
            argv=made.argv or plan.argv,
            folder=made.folder,
            bundle=made.bundle,
            content=Content(files=sealed.files, bytes=sealed.bytes),
            image=made.image,
            disk=sealed.disk + (made.image.size if made.image else 0),
        )
        write_atomic(place / ARTIFACT_FILE, artifact.model_dump_json(), mode=0o644)
        remove_tree(target)
        place.rename(target)
        return artifact


def _unwritable(error: OSError, place: Path) -> BuildFailed:
    if is_full(error):
        return disk_full(place.parent)
    what = f"the build could not use {error.filename or place}: {error.strerror or error}"
    return BuildFailed(what, hint="see that GOLIVE_HOME can be written and is not used up")


def _half_of_the_machine() -> int:
    import psutil

    return int(psutil.virtual_memory().total // 2)
