"""A layer of node_modules: what a lock file names, installed once and linked into every build that needs it.

Install scripts of dependencies are not run, unless the project's own settings approve them, as npm 11 and pnpm 10 do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from golive.build.artifact import LAYER_FILE, Layer
from golive.build.node_dependencies import NodeDependencies
from golive.build.seal import give, seal
from golive.build.store import installed
from golive.build.toolchains import Toolchain
from golive.build.tools import Tools, tail
from golive.errors import BuildFailed
from golive.system.files import remove_tree, write_atomic

HARMLESS = frozenset((
    "esbuild", "sharp", "core-js", "core-js-pure", "@swc/core", "unrs-resolver", "fsevents", "napi-postinstall",
    "@parcel/watcher", "lmdb", "msgpackr-extract", "es5-ext", "protobufjs", "@biomejs/biome", "@tailwindcss/oxide",
    "styled-components", "@scarf/scarf", "vue-demi", "@nestjs/core", "nx", "less", "bufferutil", "utf-8-validate",
    "husky", "msw",
))  # fmt: skip
"""Their scripts only thank, check or optimise: the packages work without."""
_OFFLINE = "--prefer-offline"
_MISSING = re.compile(r"E404|404 Not Found|ERR_PNPM_FETCH_404|ETARGET|No matching version")
_NO_NETWORK = re.compile(
    r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET|ENETUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED|network timeout"
    r"|ERR_PNPM_META_FETCH_FAIL|ERR_PNPM_NO_OFFLINE",
)


@dataclass(frozen=True)
class NodeLayerRequest:
    """What to install where. `cli` starts the package manager, `npm` npm; `env` reaches the package registry.

    `store` is the folder in which pnpm keeps what it fetched.
    """

    key: str
    place: Path
    node: NodeDependencies
    toolchain: Toolchain
    production: bool
    cli: Sequence[str]
    npm: Sequence[str]
    store: Path
    env: Mapping[str, str] = field(repr=False)
    complete: bool = True
    """npm's lock file names the optional packages of all platforms."""


async def make_node_layer(request: NodeLayerRequest, tools: Tools) -> Layer:
    """Make the layer, or leave nothing. Raises BuildFailed with the installer's own words."""
    node = request.node
    remove_tree(request.place)
    for path, origin in node.files.items():
        target = request.place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, target)
    give(request.place, tools.user)
    try:
        await _install(request, tools)
        (request.place / "node_modules").mkdir(exist_ok=True)
        await _scripts(request, tools)
        content = seal(request.place, owner=tools.user)
        layer = Layer(
            key=request.key,
            kind="node",
            python=request.toolchain.version,
            interpreter=str(request.toolchain.program("node")),
            packages=installed(request.place, "node"),
            disk=content.disk,
        )
        write_atomic(request.place / LAYER_FILE, layer.model_dump_json(), mode=0o644)
    except BaseException:
        remove_tree(request.place)
        raise
    return layer


async def _install(request: NodeLayerRequest, tools: Tools) -> None:
    lock = request.node.lock if request.node.manager == "npm" else None
    if lock and (absent := absent_optionals(request.place / lock)):
        shown = ", ".join(absent[:4]) + (" …" if len(absent) > 4 else "")
        tools.log(f"{lock} lacks optional packages of other platforms: {shown}; `npm ci` would refuse it")
        request = replace(request, complete=False)
    arguments = [*request.cli, *install_arguments(request)]
    done = await tools.run(arguments, env=request.env, cwd=request.place)
    if done.code != 0 and _OFFLINE in arguments and _MISSING.search(done.output):
        tools.log("what the registry said before may be older than this version: asked again")
        arguments.remove(_OFFLINE)
        done = await tools.run(arguments, env=request.env, cwd=request.place)
    if done.code != 0:
        raise explain(done.output, request.node)


def install_arguments(request: NodeLayerRequest) -> list[str]:
    """What the package manager is asked to do: exactly the lock file, without scripts. Pure."""
    node, production = request.node, request.production and request.node.development
    if node.manager == "npm":
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", _OFFLINE, "--loglevel=error"]
        exactly = ["ci"] if node.lock and request.complete else ["install", "--no-save"]
        return [*exactly, *quiet, "--omit=dev" if production else "--include=dev"]
    if node.manager == "pnpm":
        locked = "--frozen-lockfile" if node.lock else "--no-frozen-lockfile"
        quiet = [
            "--ignore-scripts",
            _OFFLINE,
            "--reporter=append-only",
            "--config.confirm-modules-purge=false",
        ]
        return ["install", locked, *quiet, "--prod" if production else "--prod=false"]
    if node.manager == "yarn":
        frozen = ["--frozen-lockfile"] if node.lock else []
        quiet = ["--ignore-scripts", "--non-interactive", _OFFLINE, "--no-progress"]
        return ["install", *frozen, *quiet, f"--production={'true' if production else 'false'}"]
    if production:
        return ["workspaces", "focus", "--all", "--production"]
    return ["install", "--immutable" if node.lock else "--no-immutable", "--mode=skip-build"]


def absent_optionals(lock: Path) -> list[str]:
    """Optional packages that the lock file's own packages name and it does not hold.

    npm leaves them out when the registry it locked against has none for other platforms. `npm ci` then takes the lock
    file for outdated; `npm install` keeps to every version in it.
    """
    try:
        data = json.loads(lock.read_bytes())
        packages = data["packages"]
        held = {path.rpartition("node_modules/")[2] for path in packages}
        named = {name for package in packages.values() for name in package.get("optionalDependencies", {})}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return []
    return sorted(named - held)


async def _scripts(request: NodeLayerRequest, tools: Tools) -> None:
    """Run the approved install scripts and say which others there are."""
    wanting = set(packages_with_scripts(request.place))
    approved = sorted(wanting & set(request.node.approved))
    if approved:
        tools.log(f"install scripts approved by the project: {', '.join(approved)}")
        program = request.cli if request.node.manager == "pnpm" else request.npm
        done = await tools.run([*program, "rebuild", *approved], env=request.env, cwd=request.place)
        if done.code != 0:
            raise BuildFailed(f"the install script of {' or '.join(approved)} failed", log=tail(done.output))
    if refused := sorted(wanting - set(approved) - HARMLESS):
        how = {"npm": "`npm install-scripts approve`", "pnpm": "`pnpm approve-builds`"}
        hint = how.get(request.node.manager, "`allowScripts` in package.json")
        tools.log(f"install scripts not run: {', '.join(refused)}; if the app needs them, approve them with {hint}")


def packages_with_scripts(place: Path) -> Iterator[str]:
    """Installed packages that bring an install script, or a binding.gyp, which npm compiles."""
    for manifest in manifests_in(place / "node_modules"):
        try:
            data = json.loads(manifest.read_bytes())
        except (OSError, ValueError):
            continue
        scripts = data.get("scripts") if isinstance(data, dict) else None
        named = isinstance(scripts, dict) and {"preinstall", "install", "postinstall"} & set(scripts)
        if (named or (manifest.parent / "binding.gyp").exists()) and isinstance(data.get("name"), str):
            yield data["name"]


def manifests_in(modules: Path) -> Iterator[Path]:
    """The package.json of every package in a folder of node_modules, also where pnpm keeps them, each once."""
    try:
        names = sorted(os.listdir(modules))  # noqa: PTH208 - thousands of folders
    except OSError:
        return
    for name in names:
        place = modules / name
        if name == ".pnpm":
            for inner in sorted(place.iterdir()):
                yield from manifests_in(inner / "node_modules")
        elif place.is_symlink() or name.startswith("."):
            continue
        elif name.startswith("@"):
            yield from manifests_in(place)
        elif (place / "package.json").is_file():
            yield place / "package.json"
            yield from manifests_in(place / "node_modules")


def explain(output: str, node: NodeDependencies) -> BuildFailed:
    """What the installer's output means, with the next step. Pure."""
    log, lock = tail(output), node.lock
    why = next(
        (line.strip() for line in output.splitlines() if re.search(r"\b(ERR!|error|ERR_PNPM|YN0\d+.*Error)", line)),
        None,
    )
    if re.search(
        r"can only install packages when your package\.json and|ERR_PNPM_OUTDATED_LOCKFILE|frozen-lockfile|YN0028",
        output,
    ):
        command = {"npm": "npm install", "pnpm": "pnpm install"}.get(node.manager, "yarn install")
        return BuildFailed(
            f"{lock} does not agree with package.json",
            where=lock,
            why=why,
            hint=f"run `{command}` and commit {lock}",
            log=log,
        )
    if re.search(r"EINTEGRITY|ERR_PNPM_TARBALL_INTEGRITY|Integrity check failed|YN0018", output):
        return BuildFailed(
            "a package is not the one that the lock file names",
            where=lock,
            why=why,
            hint="lock again and look at what changed",
            log=log,
        )
    if _NO_NETWORK.search(output):
        return BuildFailed(
            "the packages cannot be fetched: the package registry does not answer",
            where=lock,
            why=why,
            hint="check the network, HTTPS_PROXY and the registry in .npmrc, then again; what was fetched once is kept",
            log=log,
        )
    if _MISSING.search(output):
        return BuildFailed(
            "a package or version does not exist in the registry",
            where=lock,
            why=why,
            hint="correct its name or version, then lock again",
            log=log,
        )
    if re.search(r"E401|E403|ERR_PNPM_FETCH_40[13]|authentication", output):
        return BuildFailed(
            "the registry refuses to give a package",
            where=lock,
            why=why,
            hint="put the token for it into ~/.npmrc",
            log=log,
        )
    return BuildFailed(f"{node.manager} could not install {lock or 'the packages'}", where=lock, why=why, log=log)
