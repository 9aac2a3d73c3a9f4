"""Builds Node services: packages from a layer, the project's own build, and what of its result runs or is served."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golive.blueprint.models import ServiceKind
from golive.build.artifact import PageSize
from golive.build.bundle import check_budget, measure
from golive.build.environment import SYSTEM_PATH
from golive.build.made import Made
from golive.build.modules import generated, is_untouched, link_modules, members_of, stamp_modules
from golive.build.node_dependencies import NodeDependencies, node_layer_key
from golive.build.node_layer import NodeLayerRequest, make_node_layer
from golive.build.node_tools import NodeTools, node_tools, npm_settings, package_cache
from golive.build.recipe import pack_static
from golive.build.seal import give
from golive.build.store import Store
from golive.build.threads import in_thread
from golive.build.toolchains import Toolchain
from golive.build.tools import tail
from golive.build.workshop import Workshop
from golive.build.workspace import packages_to_build
from golive.errors import BuildFailed
from golive.system.files import remove_tree

KEPT = (".next/cache", "node_modules/.cache", ".turbo", ".angular/cache", ".astro")
"""What build tools leave for their next run."""
OWN_SCRIPTS = ("preinstall", "install", "postinstall", "prepare")
"""Scripts of the project itself that npm runs after an install."""
STANDALONE = ".next/standalone"


@dataclass(frozen=True)
class _Job:
    """One build of a Node service. `here` is the service's folder in the scratch copy of its workspace."""

    workshop: Workshop
    store: Store
    toolchain: Toolchain
    node: NodeDependencies
    tools: NodeTools
    env: dict[str, str]

    @property
    def root(self) -> Path:
        return self.workshop.scratch

    @property
    def here(self) -> Path:
        return self.workshop.scratch / self.workshop.plan.inner

    @property
    def manifest(self) -> dict[str, object]:
        data: dict[str, object] = json.loads((self.here / "package.json").read_bytes())
        return data

    def log(self, line: str) -> None:
        self.workshop.tools.log(line)


async def build_node(workshop: Workshop, store: Store, toolchain: Toolchain) -> Made:
    """Fill the workshop's `app`: packed pages of a static service, a traced server, or the source with its modules."""
    node = workshop.plan.node
    assert node is not None  # noqa: S101 - plan_build's own promise
    await in_thread(workshop.copy_source, workshop.scratch)
    await in_thread(give, workshop.scratch, workshop.tools.user)
    tools = await node_tools(workshop, toolchain, node)
    job = _Job(workshop, store, toolchain, node, tools, _environment(workshop, tools))
    service = workshop.plan.request.service
    builds = service.build.command is not None or bool(_own_scripts(job)) or bool(_shared(job))
    cached = True
    layer = None
    if builds and not node.empty:
        layer, cached = await _layer(job, production=False)
        await in_thread(link_modules, layer, job.root, node.members, workshop.tools.user)
    await _build(job, layer)
    if service.kind is ServiceKind.STATIC:
        await pack_static(workshop, job.here)
        return Made("static", layer_cached=cached, bundle=await _bundle(job))
    bundle = await _bundle(job)
    if _starts_standalone(job):
        folder = await in_thread(_take_standalone, job)
        return Made("node", _run_environment(job, folder), None, cached, folder, ("node", "server.js"), bundle)
    if service.build.framework == "next":
        workshop.tools.log('without `output: "standalone"` in its configuration Next.js runs with all its packages')
    needed, there = await _layer(job, production=True) if not node.empty else (None, True)
    await in_thread(_take_source, job, layer, needed)
    env = _run_environment(job, workshop.plan.inner)
    key = workshop.plan.layer_key if needed else None
    return Made("node", env, key, cached and there, workshop.plan.inner, bundle=bundle)


def _environment(workshop: Workshop, tools: NodeTools) -> dict[str, str]:
    """The build's own variables win over all but where packages are kept; telemetry of build tools is off."""
    inner = workshop.plan.inner
    folders = [tools.bin, workshop.scratch / inner / "node_modules/.bin", workshop.scratch / "node_modules/.bin"]
    return {"NODE_ENV": "production", **npm_settings(workshop), **workshop.env(*folders)}


def _run_environment(job: _Job, folder: str) -> dict[str, str]:
    """What an instance gets besides its own variables. Next's standalone server reads HOSTNAME."""
    artifact = job.workshop.home.artifacts / job.workshop.plan.key
    places = [artifact / "bin", artifact / "app" / folder / "node_modules/.bin", artifact / "app/node_modules/.bin"]
    path = ":".join([*map(str, dict.fromkeys(places)), SYSTEM_PATH])
    env = {"PATH": path, "NODE_ENV": "production"}
    if job.workshop.plan.request.service.build.framework == "next":
        env |= {"HOSTNAME": "127.0.0.1", "NEXT_TELEMETRY_DISABLED": "1"}
    return env


async def _layer(job: _Job, *, production: bool) -> tuple[Path, bool]:
    """The folder of a layer, and whether it was there."""
    key = node_layer_key(job.node, job.toolchain, production=production)
    place = job.workshop.home.layers / key
    what = "to run" if production and job.node.development else "to build and run"
    if await in_thread(job.store.layer, key) is not None:
        job.log(f"dependencies {what}: unchanged, layer {key[:12]}")
        return place, True
    if job.node.lock is None:
        job.log("dependencies: no lock file, so the next build may get other versions; commit one")
    job.log(f"dependencies {what}: {job.node.lock or 'package.json'}, for Node {job.toolchain.version}")
    request = NodeLayerRequest(
        key=key,
        place=place,
        node=job.node,
        toolchain=job.toolchain,
        production=production,
        cli=job.tools.cli,
        npm=job.tools.npm,
        store=package_cache(job.workshop, "pnpm"),
        env={name: value for name, value in job.env.items() if name != "NODE_ENV"},
    )
    await make_node_layer(request, job.workshop.tools)
    return place, False


def _own_scripts(job: _Job) -> list[str]:
    scripts = job.manifest.get("scripts")
    return [name for name in OWN_SCRIPTS if isinstance(scripts, dict) and name in scripts]


def _shared(job: _Job) -> tuple[str, ...]:
    plan = job.workshop.plan
    return packages_to_build(plan.tree, plan.inner) if plan.inner else ()


async def _build(job: _Job, layer: Path | None) -> None:
    """The project's own scripts, the packages it needs, then its build line, with what the last build left for it."""
    before = await in_thread(stamp_modules, layer) if layer else ""
    caches = _Caches(job)
    await in_thread(caches.bring)
    try:
        for name in _own_scripts(job):
            await _script(job, job.here, name)
        for folder in _shared(job):
            await _script(job, job.root / folder, "build")
        await job.workshop.run_command(job.here, job.env, give_first=False)
    finally:
        await in_thread(caches.take)
        if layer and not await in_thread(is_untouched, layer, before):
            job.log("the build changed files of its dependencies: they are installed again next time")
            (layer / "layer.json").unlink(missing_ok=True)


async def _script(job: _Job, folder: Path, name: str) -> None:
    """A script of the project itself, or of a package of its workspace."""
    place = folder.relative_to(job.root).as_posix()
    job.log(f"$ npm run {name}" + (f"  # in {place}" if folder != job.here else ""))
    done = await job.workshop.tools.run([*job.tools.npm, "run", name], env=job.env, cwd=folder)
    if done.code != 0:
        owner = job.workshop.plan.request.name if folder == job.here else place
        raise BuildFailed(
            f"the script {name} of {owner} exited with {done.code}",
            where=f"{(folder / 'package.json').relative_to(job.root)}, scripts.{name}",
            log=tail(done.output),
        )


class _Caches:
    """Moves what build tools keep between builds in and out; a build that is killed in between only loses time."""

    def __init__(self, job: _Job) -> None:
        request, user = job.workshop.plan.request, job.workshop.tools.user
        name = hashlib.sha256(f"{request.app}\0{request.name}".encode()).hexdigest()[:16]
        self._store = job.workshop.home.cache / "node-builds" / f"{name}{f'-{user.name}' if user else ''}"
        self._here = job.here

    def bring(self) -> None:
        for name in KEPT:
            self._move(self._store / name, self._here / name)

    def take(self) -> None:
        for name in KEPT:
            self._move(self._here / name, self._store / name)

    def _move(self, origin: Path, target: Path) -> None:
        if origin.is_dir() and not origin.is_symlink():
            for folder in reversed([p for p in target.parents if not p.exists()]):
                folder.mkdir()
                if self._here in (folder, *folder.parents):
                    shutil.chown(folder, self._here.stat().st_uid, self._here.stat().st_gid)
            remove_tree(target)
            origin.rename(target)


async def _bundle(job: _Job) -> tuple[PageSize, ...]:
    service, policy = job.workshop.plan.request.service, job.workshop.plan.request.policy
    output = job.here / (service.build.output or "dist") if service.kind is ServiceKind.STATIC else job.here
    pages = await in_thread(measure, job.here, output, service.build.framework)
    check_budget(pages, policy.bundle_budget, job.workshop.plan.request.name)
    return pages


def _starts_standalone(job: _Job) -> bool:
    """Whether the start line is that of Next's traced server; a server.js of the project's own is another one."""
    command = (job.workshop.plan.request.service.command or "").split()
    if not (job.here / STANDALONE).is_dir() or command[:1] != ["node"] or len(command) != 2:
        return False
    traced = command[1].removeprefix("./").startswith(f"{STANDALONE}/")
    return traced or (command[1] in ("server.js", "./server.js") and not (job.here / "server.js").exists())


def _take_standalone(job: _Job) -> str:
    """Next's traced server with the files that it leaves to a CDN: `public` and `.next/static`. Returns its folder."""
    base = job.here / STANDALONE
    server = next(_servers(base), None)
    if server is None:
        raise BuildFailed(
            f"{STANDALONE} holds no server.js",
            where=f"services.{job.workshop.plan.request.name}",
            hint="see `output` and `outputFileTracingRoot` in the Next.js configuration",
        )
    base.rename(job.workshop.app)
    folder = server.parent.relative_to(base).as_posix()
    inside = job.workshop.app / folder
    for name in (".next/static", "public"):
        if (job.here / name).is_dir() and not (inside / name).exists():
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(job.here / name, inside / name, symlinks=True)
    return "" if folder == "." else folder


def _servers(base: Path) -> Iterator[Path]:
    """The server.js beside a `.next`, the nearest first; in a workspace it lies as deep as the service."""
    found = [path for path in base.rglob("server.js") if "node_modules" not in path.relative_to(base).parts]
    yield from sorted((p for p in found if (p.parent / ".next").is_dir()), key=lambda p: len(p.parts))


def _take_source(job: _Job, layer: Path | None, needed: Path | None) -> None:
    """The built source with the packages it needs to run in place of those that built it.

    They are a link to their layer, except where packages point into the source (workspaces) or the build added to them
    (a generated client): there the files are linked one by one.
    """
    extra = generated(job.root, layer, job.node.members) if layer else ()
    for folder in members_of(job.root, job.node.members):
        modules = folder / "node_modules"
        if modules.is_dir():
            aside = job.workshop.tools.place / "old" / hashlib.sha256(str(modules).encode()).hexdigest()[:12]
            aside.parent.mkdir(exist_ok=True)
            modules.rename(aside)
            _carry(job, folder, aside, extra)
    job.root.rename(job.workshop.app)
    app = job.workshop.app
    if needed is None:
        return
    carried = job.workshop.tools.place / "carried"
    if not carried.exists() and not job.node.local:
        (app / "node_modules").symlink_to(needed / "node_modules")
        return
    link_modules(needed, app, job.node.members, None)
    for path in extra:
        target = app / path
        if not target.exists() and (carried / path).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (carried / path).rename(target)


def _carry(job: _Job, folder: Path, aside: Path, extra: tuple[str, ...]) -> None:
    """Put what the build generated among the packages aside, by its place in the source."""
    prefix = (folder / "node_modules").relative_to(job.root).as_posix()
    for path in extra:
        if path.startswith(f"{prefix}/"):
            target = job.workshop.tools.place / "carried" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (aside / path[len(prefix) + 1 :]).rename(target)
