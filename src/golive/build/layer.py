"""A dependency layer: a virtual environment made by uv, shared by every artifact with the same lock.

It is made where it stays, because scripts and `pyvenv.cfg` hold its path, and exists once `layer.json` does.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golive.build.artifact import LAYER_FILE, Layer
from golive.build.dependencies import Dependencies
from golive.build.interpreters import Interpreter
from golive.build.seal import give, seal
from golive.build.tools import Tools, tail
from golive.errors import BuildFailed
from golive.system.files import remove_tree, write_atomic
from golive.system.users import User, can_reach

_NO_NETWORK = re.compile(
    r"dns error|error sending request|tcp connect error|Network is unreachable|Could not connect|Connection refused"
    r"|Network connectivity is disabled|operation timed out|Failed to fetch|Request failed after",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LayerRequest:
    """What to install where. `source` holds the files that `dependencies` names; `env` reaches the package index.

    `listed` is a file with the requirements that another tool's lock file was translated to.
    """

    key: str
    place: Path
    python: Interpreter
    dependencies: Dependencies | None
    extra: tuple[str, ...]
    source: Path
    uv: Path
    listed: Path | None
    env: Mapping[str, str] = field(repr=False)


async def make_layer(request: LayerRequest, tools: Tools) -> Layer:
    """Make the layer, or leave nothing. Raises BuildFailed with uv's own words."""
    remove_tree(request.place)
    request.place.mkdir(parents=True, mode=0o755)
    give(request.place, tools.user)
    try:
        for argv in _steps(request):
            await _uv(argv, request, tools)
        packages = len(list(request.place.glob("lib/python*/site-packages/*.dist-info")))
        content = seal(request.place, owner=tools.user)
        layer = Layer(
            key=request.key,
            python=request.python.version,
            interpreter=str(request.python.path),
            packages=packages,
            disk=content.disk,
        )
        write_atomic(request.place / LAYER_FILE, layer.model_dump_json(), mode=0o644)
    except BaseException:
        remove_tree(request.place)
        raise
    return layer


def _steps(request: LayerRequest) -> list[list[str]]:
    """uv's argument lists, in order. Pure."""
    python = str(request.place / "bin/python")
    steps = [["venv", "--no-project", "--allow-existing", "--python", str(request.python.path), str(request.place)]]
    install = ["pip", "install", "--python", python, "--compile-bytecode"]
    if request.dependencies is None:
        pass
    elif request.dependencies.locked:
        folder = str((request.source / request.dependencies.file).parent)
        sync = ["sync", "--frozen", "--no-dev", "--no-editable", "--no-install-project", "--compile-bytecode"]
        if request.dependencies.package:
            sync += ["--no-install-workspace", "--package", request.dependencies.package]
        steps.append([*sync, "--project", folder])
    else:
        options = ["--require-hashes"] if request.dependencies.hashed else []
        if request.dependencies.pinned:
            options += ["--no-deps"]  # the lock is complete; some of it may only be for other platforms
        options += ["--no-editable"] if request.dependencies.local else []  # what it would point to is thrown away
        steps.append([*install, *options, "-r", str(request.listed or request.source / request.dependencies.file)])
    if request.extra:
        steps.append([*install, "--", *request.extra])
    return steps


async def _uv(argv: list[str], request: LayerRequest, tools: Tools) -> None:
    """One uv command; without a network once more from what is already here."""
    env = {
        **request.env,
        "VIRTUAL_ENV": str(request.place),
        "UV_PROJECT_ENVIRONMENT": str(request.place),
        "UV_PYTHON": str(request.python.path),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }
    done = await tools.run([str(request.uv), *argv], env=env, cwd=request.source)
    if done.code == 0:
        return
    failure = explain(done.output, request.dependencies.file if request.dependencies else None, request.python.version)
    if failure.what.startswith("the packages cannot be fetched") and env.get("UV_OFFLINE") is None:
        tools.log("no network: trying with the packages that are already on this machine")
        again = await tools.run([str(request.uv), "--offline", *argv], env=env, cwd=request.source)
        if again.code == 0:
            return
    raise failure


def explain(output: str, file: str | None, python: str) -> BuildFailed:
    """What uv's output means, as one error with the next step. Pure."""
    why, log, where = _words(output), tail(output), file
    if re.search(r"Failed to build|build backend returned an error", output):
        built = re.search(r"Failed to build `([^`]+)`", output)
        return BuildFailed(
            f"{built[1] if built else 'a package'} has no wheel for Python {python} here, and building it failed",
            where=where,
            why=why,
            hint="ask for another version of it or of Python, or install what its build needs (compiler, headers)",
            log=log,
        )
    if re.search(r"hash mismatch|must have a hash|versions pinned", output, re.I):
        return BuildFailed(
            "a package is not the one that the lock file names",
            where=where,
            why=why,
            hint="lock again and look at what changed",
            log=log,
        )
    if _NO_NETWORK.search(output) and "No solution found" not in output.partition("hint:")[0]:
        return BuildFailed(
            "the packages cannot be fetched: the package index does not answer",
            where=where,
            why=why,
            hint="check the network, HTTPS_PROXY and the index settings (UV_DEFAULT_INDEX, PIP_INDEX_URL), then again",
            log=log,
        )
    if "No solution found" in output or "not found in the package registry" in output:
        return BuildFailed(
            f"the dependencies in {file or 'build.extra'} do not resolve",
            where=where,
            why=why,
            hint="correct the name or version that uv names, then lock again",
            log=log,
        )
    return BuildFailed(f"uv could not install {file or 'the packages'}", where=where, why=why, log=log)


def _words(output: str) -> str:
    """uv's error without its drawing: from the last `error:` (before 0.9 `×`) to the end, as one paragraph."""
    lines = output.splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(r"\s*(error:|×|x )", line)]
    chosen = lines[starts[-1] :] if starts else lines[-3:]
    words = (re.sub(r"^\s*(error:|cause:|×|x |╰─▶|├─▶|│|\|)?\s*", "", line) for line in chosen)
    return " ".join(word for word in words if word)[:2000]


def reachable_uv(user: User | None, cache: Path) -> Path:
    """golive's own uv, or a copy of it where the build's user may run it."""
    from importlib.metadata import version

    from uv import find_uv_bin

    try:
        own = Path(find_uv_bin())
    except FileNotFoundError as error:
        hint = f"run `{sys.executable} -m pip install uv`"
        raise BuildFailed("uv, which installs Python packages, is not there", why=str(error), hint=hint) from None
    if user is None or can_reach(user, own):
        return own
    copy = cache / "tools" / f"uv-{version('uv')}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        part = copy.with_name(f".{copy.name}.{os.getpid()}")
        shutil.copyfile(own, part)
        part.chmod(0o755)
        part.replace(copy)
    with contextlib.suppress(OSError):
        copy.parent.chmod(0o711)
    return copy
