"""A checkout's own packages, brought by the project's own tool, where they are missing or not those of the lock file.

What is there is recognised by a stamp beside it: the digest of what it was installed from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golive.blueprint.models import Service
from golive.build.dependencies import Dependencies, read_dependencies
from golive.build.environment import client_settings, pip_configuration
from golive.build.go import explain as explain_go
from golive.build.go import go_cache
from golive.build.interpreters import choose_python
from golive.build.layer import explain, reachable_uv
from golive.build.node_dependencies import manager_of
from golive.build.node_tools import shims
from golive.build.python_locks import LOCKS
from golive.build.toolchains import choose_toolchain, open_toolchain
from golive.build.tools import tail
from golive.dev.workbench import Workbench
from golive.errors import BuildFailed
from golive.system.files import private_directory

STAMP = ".golive-dev"
_PACKAGES = {"pnpm": "pnpm", "yarn": "yarn", "berry": "@yarnpkg/cli-dist"}


@dataclass(frozen=True)
class Kit:
    """What a service's programs run with: folders for the PATH, variables, and what was done in a few words."""

    path: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    python: Path | None = None
    manager: str = "npm"
    done: str = ""


async def install(bench: Workbench, name: str, service: Service, needs: tuple[str, ...] = ()) -> Kit:
    """The toolchain and the packages of a service. `needs` are packages that only its dev command asks for.

    Raises BuildFailed with the tool's own words.
    """
    builder = service.build.builder
    if builder == "python":
        return await _python(bench, name, service, needs)
    if builder == "node":
        return await _node(bench, name, service)
    if builder == "go":
        return await _go(bench, name, service)
    return Kit()


async def _python(bench: Workbench, name: str, service: Service, needs: tuple[str, ...]) -> Kit:
    """`.venv` beside the lock file: what `uv sync` makes, and what editors look for."""
    root = bench.checkout / (service.build.workspace or service.source)
    member = _inner(bench.checkout / service.source, root)
    venv = root / ".venv"
    python = venv / "bin" / "python"
    listed = read_dependencies(root, service.build.dependencies, member)
    wanted = (*service.build.extra, *needs)
    digest = _digest(listed.digest if listed else "", *wanted)
    stamp = venv / f"{STAMP}-{name}"
    done = ""
    if not (python.exists() and _read(stamp) == digest):
        settings = client_settings(pip_configuration(bench.environ))
        env = {**settings, **bench.environment(_uv_settings(venv))}
        interpreter = choose_python(service.build.python, None, cache=bench.home.cache)
        uv = str(reachable_uv(None, bench.home.cache))
        for argv in _uv_steps(root, venv, listed, wanted, fresh=not python.exists(), interpreter=interpreter.path):
            finished = await bench.run(name, [uv, *argv], env, root)
            if finished.code != 0:
                raise explain(finished.output, listed.file if listed else None, interpreter.version)
        if listed and listed.pinned:
            (venv / "pinned.txt").unlink(missing_ok=True)
        stamp.write_text(digest)
        done = f"{listed.file if listed else 'packages'} in {_shown(bench, venv)}"
    source = bench.checkout / service.source
    places = [source, *([source / "src"] if (source / "src").is_dir() else [])]
    own = {"VIRTUAL_ENV": str(venv), "PYTHONPATH": ":".join(map(str, places)), "PYTHONUNBUFFERED": "1"}
    return Kit((venv / "bin",), own, python, done=done)


def _uv_settings(venv: Path) -> dict[str, str]:
    return {
        "VIRTUAL_ENV": str(venv),
        "UV_PROJECT_ENVIRONMENT": str(venv),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }


def _uv_steps(
    root: Path, venv: Path, listed: Dependencies | None, extra: tuple[str, ...], *, fresh: bool, interpreter: Path
) -> list[list[str]]:
    """uv's argument lists, in order: the project as its developers have it, groups for development included."""
    steps = [["venv", "--no-project", "--allow-existing", "--python", str(interpreter), str(venv)]] if fresh else []
    add = ["pip", "install", "--python", str(venv / "bin/python")]
    if listed and listed.locked:
        package = ["--package", listed.package] if listed.package else []
        steps.append(["sync", "--frozen", "--inexact", *package, "--project", str((root / listed.file).parent)])
    elif listed:
        file = root / listed.file
        if listed.file.rpartition("/")[2] in LOCKS:
            file = venv / "pinned.txt"
            venv.mkdir(exist_ok=True)
            file.write_text("\n".join(listed.pinned) + "\n")
        options = ["--require-hashes"] if listed.hashed else []
        steps.append([*add, *options, *(["--no-deps"] if listed.pinned else []), "-r", str(file)])
    if extra:
        steps.append([*add, "--", *extra])
    return steps


async def _node(bench: Workbench, name: str, service: Service) -> Kit:
    """`npm ci` where there is a lock file, as anybody would; the manager is the project's, in its version."""
    root = bench.checkout / (service.build.workspace or service.source)
    source = bench.checkout / service.source
    toolchain = await open_toolchain(
        choose_toolchain("node", service.build.node, None, cache=bench.home.cache),
        bench.engines,
        lambda line: bench.output(name, line),
    )
    lock = service.build.dependencies
    text = _read(root / lock) if lock else ""
    top = _json(root / "package.json")
    manager, version, _ = manager_of(service.build, top, lock, text[:400], [path.name for path in root.iterdir()])
    npm = (str(toolchain.program("node")), str(toolchain.npm))
    cli: tuple[str, ...] = npm
    if manager != "npm":
        word = "yarn" if manager == "berry" else manager
        cli = (*npm, "exec", "--yes", f"--package={_PACKAGES[manager]}@{version}", "--", word)
    folder = shims(private_directory(bench.place / f"bin-{name}"), toolchain, manager, cli)
    path = (folder, source / "node_modules/.bin", root / "node_modules/.bin")
    manifests = {_read(root / "package.json"), _read(source / "package.json")}
    digest = _digest(text, manager, *sorted(manifests))
    done = ""
    modules = root / "node_modules"
    if not _is_installed(modules, digest, (root / lock) if lock else None):
        argv = [*cli, "ci"] if manager == "npm" and lock else [*cli, "install"]
        finished = await bench.run(name, argv, bench.environment(_quiet_node(), path), root)
        if finished.code != 0 and argv[-1] == "ci" and "EUSAGE" in finished.output:
            argv[-1] = "install"  # the lock file is older than package.json; npm says so and would not go on
            finished = await bench.run(name, argv, bench.environment(_quiet_node(), path), root)
        if finished.code != 0:
            raise _not_installed(name, f"{manager} {argv[-1]}", finished.output)
        done = f"{manager} {argv[-1]}"
    if modules.is_dir():
        (modules / STAMP).write_text(digest)
    return Kit(path, _quiet_node(), manager="yarn" if manager == "berry" else manager, done=done)


def _is_installed(modules: Path, digest: str, lock: Path | None) -> bool:
    """By golive's stamp; where somebody else installed, by npm's own, which is written after the lock file it is of."""
    if stamp := _read(modules / STAMP):
        return stamp == digest
    own = modules / ".package-lock.json"
    return lock is not None and own.is_file() and own.stat().st_mtime >= lock.stat().st_mtime


def _quiet_node() -> dict[str, str]:
    names = ("NEXT", "ASTRO", "GATSBY", "NUXT", "TURBO")
    quiet = {f"{name}_TELEMETRY_DISABLED": "1" for name in names}
    return quiet | {"npm_config_update_notifier": "false", "npm_config_fund": "false", "BROWSER": "none"}


async def _go(bench: Workbench, name: str, service: Service) -> Kit:
    """Modules are fetched by the first build; the caches are those of golive's builds."""
    toolchain = await open_toolchain(
        choose_toolchain("go", service.build.go, None, cache=bench.home.cache),
        bench.engines,
        lambda line: bench.output(name, line),
    )
    cache = private_directory(go_cache(bench.home, None))
    own = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
        "GOCACHE": str(private_directory(cache / "build")),
        "GOMODCACHE": str(private_directory(cache / "mod")),
    }
    assert toolchain.bin is not None  # noqa: S101 - it was opened
    source = bench.checkout / service.source
    finished = await bench.run(name, ["go", "mod", "download"], bench.environment(own, (toolchain.bin,)), source)
    if finished.code != 0:
        raise explain_go(finished.output, name, toolchain.version)
    return Kit((toolchain.bin,), own)


def _not_installed(name: str, command: str, output: str) -> BuildFailed:
    return BuildFailed(
        f"the packages of {name} could not be installed",
        why=f"`{command}` failed",
        hint="look at what it says above; run it by hand in the folder of the lock file",
        log=tail(output),
    )


def _inner(source: Path, root: Path) -> str:
    return "" if source == root else str(source.relative_to(root))


def _shown(bench: Workbench, path: Path) -> str:
    return str(path.relative_to(bench.checkout))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BuildFailed(f"{path.name} cannot be read: {error}", where=str(path)) from None
    return data if isinstance(data, dict) else {}
