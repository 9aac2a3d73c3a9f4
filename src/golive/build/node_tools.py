"""The programs that a Node build may call, on one PATH: node, npm, npx, and pnpm or yarn in the version asked for."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golive.build.node_dependencies import NodeDependencies
from golive.build.seal import give, seal
from golive.build.threads import in_thread
from golive.build.toolchains import Toolchain
from golive.build.tools import tail
from golive.build.workshop import Workshop
from golive.errors import BuildFailed
from golive.secret import Secret
from golive.system.files import private_directory, remove_tree

_PACKAGES = {"pnpm": "pnpm", "yarn": "yarn", "berry": "@yarnpkg/cli-dist"}
_SCRIPTS = {"pnpm": ("bin/pnpm.cjs", "bin/pnpm.mjs"), "yarn": ("bin/yarn.js",), "berry": ("bin/yarn.js",)}


@dataclass(frozen=True)
class NodeTools:
    """`bin` is a folder for the PATH; `npm` and `cli` (the project's package manager) are argument lists."""

    bin: Path
    npm: tuple[str, ...]
    cli: tuple[str, ...]


async def node_tools(workshop: Workshop, toolchain: Toolchain, node: NodeDependencies) -> NodeTools:
    """The programs, made or fetched where they are missing. Fetched ones are kept under the home's cache."""
    program = str(toolchain.program("node"))
    npm = (program, str(toolchain.npm))
    script = None
    if node.manager != "npm":
        script = _own_yarn(workshop, node) or await _fetched(workshop, toolchain, node, npm)
    cli = (program, str(script)) if script else npm
    folder = await in_thread(shims, workshop.tools.place / "bin", toolchain, node.manager, cli)
    return NodeTools(folder, npm, cli)


def npm_settings(workshop: Workshop) -> dict[str, str]:
    """Where npm and the others keep what they fetch, and the user's own .npmrc, which a build's HOME does not hold."""
    user = workshop.tools.user
    caches = {name: package_cache(workshop, name) for name in ("npm", "yarn")}
    own = {
        "npm_config_cache": str(caches["npm"]),
        "npm_config_update_notifier": "false",
        "YARN_CACHE_FOLDER": str(caches["yarn"]),
        "YARN_GLOBAL_FOLDER": str(caches["yarn"]),
        "YARN_ENABLE_TELEMETRY": "0",
        "YARN_NODE_LINKER": "node-modules",
        "NEXT_TELEMETRY_DISABLED": "1",
        "ASTRO_TELEMETRY_DISABLED": "1",
        "GATSBY_TELEMETRY_DISABLED": "1",
        "NUXT_TELEMETRY_DISABLED": "1",
        "TURBO_TELEMETRY_DISABLED": "1",
        "DO_NOT_TRACK": "1",
        "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
        "HUSKY": "0",
    }
    theirs = Path(
        workshop.environ.get("NPM_CONFIG_USERCONFIG") or Path(workshop.environ.get("HOME", "/nonexistent")) / ".npmrc"
    )
    with contextlib.suppress(OSError):
        copy = workshop.build_home / ".npmrc"
        shutil.copyfile(theirs, copy)
        for token in re.findall(r"_(?:authToken|auth|password)\s*=\s*\"?([^\s\"]+)", copy.read_text()):
            workshop.tools.mask.add(Secret(token))
        copy.chmod(0o600)
        give(copy, user)
    return own


def package_cache(workshop: Workshop, name: str) -> Path:
    """The folder for what npm, pnpm or yarn keep, apart for each user that builds."""
    user = workshop.tools.user
    folder = workshop.home.cache / (f"{name}-{user.name}" if user else name)
    if not folder.exists():
        give(private_directory(folder), user)
    return folder


def _own_yarn(workshop: Workshop, node: NodeDependencies) -> Path | None:
    """The yarn that a project brings with it (`yarnPath` in .yarnrc.yml)."""
    root = workshop.plan.tree.root
    with contextlib.suppress(OSError):
        named = re.search(r"^yarnPath:\s*[\"']?([^\s\"']+)", (root / ".yarnrc.yml").read_text(), re.MULTILINE)
        if node.manager == "berry" and named and named[1] in node.files:
            return workshop.scratch / named[1]
    return None


async def _fetched(workshop: Workshop, toolchain: Toolchain, node: NodeDependencies, npm: tuple[str, ...]) -> Path:
    """pnpm or yarn as npm's registry has it, with the user's own registry settings."""
    package = _PACKAGES[node.manager]
    place = workshop.home.cache / "tools" / f"{node.manager}-{node.version}"
    if script := _script(place, node.manager):
        return script
    name = "yarn" if node.manager == "berry" else node.manager
    workshop.tools.log(f"{name} {node.version}: fetched, for this version once")
    part = workshop.tools.place / f"tool-{node.manager}"
    part.mkdir()
    give(part, workshop.tools.user)
    argv = [*npm, "install", "--prefix", str(part), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    env = workshop.env(toolchain.program("node").parent) | npm_settings(workshop)
    done = await workshop.tools.run([*argv, f"{package}@{node.version}"], env=env, cwd=part)
    if done.code != 0:
        raise BuildFailed(
            f"{name} {node.version} could not be fetched",
            why=tail(done.output)[-300:],
            hint="check the network and the registry in ~/.npmrc, or `packageManager` in package.json",
        )
    if node.integrity and not _is_pinned(part, package, node.integrity):
        raise BuildFailed(
            f"{name} {node.version} is not the one that `packageManager` pins by its hash",
            hint="do not build with it; find out who changed the registry's file or package.json",
        )
    await in_thread(_keep, part, place, workshop)
    found = _script(place, node.manager)
    if found is None:
        raise BuildFailed(
            f"{package} {node.version} has no program that golive knows", hint="choose another version of it"
        )
    return found


def _keep(part: Path, place: Path, workshop: Workshop) -> None:
    seal(part, owner=workshop.tools.user)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    place.parent.chmod(0o711)
    remove_tree(place)
    part.rename(place)
    place.chmod(0o755)


def _script(place: Path, manager: str) -> Path | None:
    folder = place / "node_modules" / _PACKAGES[manager]
    return next((folder / name for name in _SCRIPTS[manager] if (folder / name).is_file()), None)


def _is_pinned(place: Path, package: str, integrity: str) -> bool:
    """Compares corepack's hash (hexadecimal) with the one npm checked the file against (base64)."""
    algorithm, _, wanted = integrity.partition(".")
    lock: Mapping[str, dict[str, dict[str, str]]] = json.loads((place / "package-lock.json").read_bytes())
    checked = lock["packages"].get(f"node_modules/{package}", {}).get("integrity", "")
    return checked == f"{algorithm}-{base64.b64encode(bytes.fromhex(wanted)).decode()}" or algorithm != "sha512"


def shims(folder: Path, toolchain: Toolchain, manager: str, cli: tuple[str, ...]) -> Path:
    """Scripts that run each tool with that Node: a wheel's `npm` is no program, and corepack would fetch by itself.

    `cli` is the argument list of `manager` (npm, pnpm, yarn or berry).
    """
    program = str(toolchain.program("node"))
    npm = toolchain.npm
    wanted: dict[str, tuple[str, ...]] = {
        "npm": (program, str(npm)),
        "npx": (program, str(npm.with_name("npx-cli.js"))),
    }
    if manager != "npm":
        wanted["yarn" if manager == "berry" else manager] = cli
    folder.mkdir(exist_ok=True)
    for name, argv in wanted.items():
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
        shim.chmod(0o755)
    (folder / "node").unlink(missing_ok=True)
    (folder / "node").symlink_to(program)
    return folder
