"""Builds Go services: one static program, and beside it the files of the source that are not Go."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from golive.build.environment import SYSTEM_PATH
from golive.build.made import Made
from golive.build.seal import give
from golive.build.source import copy as copy_tree
from golive.build.source import narrowed
from golive.build.threads import in_thread
from golive.build.toolchains import Toolchain
from golive.build.tools import tail
from golive.build.workshop import Workshop
from golive.errors import BuildFailed
from golive.home import Home
from golive.system.files import private_directory
from golive.system.users import User

LDFLAGS = "-s -w"
"""Without symbol table and debug information: a third smaller, and panics keep their lines."""
_SOURCE = re.compile(r"\.go$|(^|/)go\.(mod|sum|work|work\.sum)$|(^|/)(vendor|testdata)/|_test\.go$")
_NO_NETWORK = re.compile(
    r"dial tcp|i/o timeout|no such host|connection refused|server misbehaving|TLS handshake|network is unreachable",
    re.IGNORECASE,
)


async def build_go(workshop: Workshop, toolchain: Toolchain) -> Made:
    """Fill the workshop's `app` with the program at `build.output` and the files that a service may read."""
    plan, recipe = workshop.plan, workshop.plan.request.service.build
    await in_thread(workshop.copy_source, workshop.scratch)
    await in_thread(give, workshop.scratch, workshop.tools.user)
    folder = workshop.scratch / plan.inner
    output = recipe.output or "bin/server"
    env = _environment(workshop, toolchain)
    if recipe.command is None:
        await _compile(workshop, toolchain, env, recipe.package or ".", output)
    else:
        await workshop.run_command(folder, env)
    program = folder / output
    if not program.resolve().is_relative_to(workshop.scratch.resolve()) or not program.is_file():
        raise BuildFailed(
            f"the build made no program at {output}",
            where=f"services.{plan.request.name}.build.output",
            hint=f"let `build.command` write to {output} (`go build -o {output} …`), or set `build.output`",
        )
    await in_thread(_pack, workshop, program, output)
    app = workshop.home.artifacts / plan.key / "app"
    return Made("go", {"PATH": f"{app / 'bin'}:{SYSTEM_PATH}"})


def _environment(workshop: Workshop, toolchain: Toolchain) -> dict[str, str]:
    """CGO is off unless the project asks for it: such a program runs on any Linux and cannot miss a library."""
    cache = go_cache(workshop.home, workshop.tools.user)
    for folder in (cache, cache / "build", cache / "mod"):
        if not folder.exists():
            give(private_directory(folder), workshop.tools.user)
    own = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-trimpath -modcacherw -buildvcs=false",
        "GOCACHE": str(cache / "build"),
        "GOMODCACHE": str(cache / "mod"),
        "GOPATH": str(cache),
        "GOENV": "off",
    }
    assert toolchain.bin is not None  # noqa: S101 - it was opened
    return {**own, **workshop.env(toolchain.bin)}


async def _compile(workshop: Workshop, toolchain: Toolchain, env: Mapping[str, str], package: str, output: str) -> None:
    argv = [str(toolchain.program("go")), "build", "-ldflags", LDFLAGS, "-o", output, package]
    workshop.tools.log(f"$ go {shlex.join(argv[1:])}  # Go {toolchain.version}")
    done = await workshop.tools.run(argv, env=env, cwd=workshop.scratch / workshop.plan.inner)
    if done.code != 0:
        raise explain(done.output, workshop.plan.request.name, toolchain.version)


def explain(output: str, name: str, version: str) -> BuildFailed:
    """What the go command's output means, with the next step. Pure."""
    log = tail(output)
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    if asked := re.search(r"requires go >= ([\d.]+)", output):
        return BuildFailed(
            f"the code of {name} needs Go {asked[1]}, and this is {version}",
            hint=f"write `go {asked[1]}` in go.mod, so that golive chooses that version, or set `build.go`",
            log=log,
        )
    if re.search(r"missing go\.sum entry|updates to go\.(mod|sum) needed|inconsistent vendoring", output):
        return BuildFailed(
            f"the go.mod of {name} does not agree with its go.sum or vendor folder",
            why=last,
            hint="run `go mod tidy` (and `go mod vendor` where there is a vendor folder) and commit what it changes",
            log=log,
        )
    if _NO_NETWORK.search(output):
        return BuildFailed(
            "the modules cannot be fetched: the module proxy does not answer",
            why=last,
            hint="check the network, HTTPS_PROXY and GOPROXY, then again; modules fetched once are kept",
            log=log,
        )
    return BuildFailed(f"the Go code of {name} does not compile", where=f"services.{name}", why=last, log=log)


def _pack(workshop: Workshop, program: Path, output: str) -> None:
    """Templates, migrations, static files: all of the service's own folder but Go's sources."""
    plan = workshop.plan
    prefix = f"{plan.inner}/" if plan.inner else ""
    wanted = {e.path for e in plan.tree.entries if e.path.startswith(prefix) and not _SOURCE.search(e.path)}
    below = narrowed(plan.tree, wanted, wanted)
    copy_tree(below.under(plan.inner), workshop.app)
    target = workshop.app / output
    target.parent.mkdir(parents=True, exist_ok=True)
    program.replace(target)
    target.chmod(0o755)


def go_cache(home: Home, user: User | None) -> Path:
    """Compiled packages and modules, apart for each user that builds."""
    return home.cache / (f"go-{user.name}" if user else "go")
