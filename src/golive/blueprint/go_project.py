"""What a Go folder says about itself: its module and workspace, its version and its main packages."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout, join

_MAIN = re.compile(r"^package main\b", re.MULTILINE)
_FUNC = re.compile(r"^func main\(\)", re.MULTILINE)
_IGNORED = re.compile(r"^//go:build\s+ignore\b", re.MULTILINE)
_NOT_SOURCE = {"vendor", "testdata", "examples", "example", "third_party"}


@dataclass(frozen=True)
class Module:
    """A Go module. `folder` and `workspace` (the folder of go.work) are relative to the checkout."""

    folder: str
    path: str
    workspace: str | None = None

    @property
    def root(self) -> str:
        """What a build has to see: the workspace, else the module."""
        return self.workspace or self.folder

    @property
    def evidence(self) -> str:
        return join(self.folder, "go.mod")


def find_module(checkout: Checkout, folder: str) -> Module | None:
    """The module a folder belongs to: its own go.mod, or the nearest one above when the folder holds Go files."""
    own = checkout.read(join(folder, "go.mod")) is not None
    if not own and not any(f.endswith(".go") for f in checkout.below(folder)):
        return None
    for place in above(folder):
        text = checkout.read(join(place, "go.mod"))
        if text is not None:
            named = re.search(r"^module\s+\"?([^\s\"]+)", text, re.MULTILINE)
            return Module(place, named[1] if named else "", _workspace_of(checkout, place))
    return None


def go_version(checkout: Checkout, module: Module) -> tuple[str, str] | None:
    """A version specifier and the file that asks for it: the newest of the `go` and `toolchain` lines."""
    asked: list[tuple[tuple[int, ...], str]] = []
    for file in filter(None, (join(module.folder, "go.mod"), module.workspace and join(module.workspace, "go.work"))):
        for version in re.findall(r"^(?:go|toolchain go)\s*(\d+(?:\.\d+)*)", checkout.read(file) or "", re.MULTILINE):
            asked.append((tuple(map(int, version.split("."))), file))
    if not asked:
        return None
    newest, file = max(asked)
    return ">=" + ".".join(map(str, newest)), file


def main_packages(checkout: Checkout, folder: str) -> list[str]:
    """Folders below with a program, relative to the folder and as Go writes them: `.`, `./cmd/server`."""
    found: dict[str, bool] = {}
    for file in checkout.below(folder):
        place, _, name = file.rpartition("/")
        hidden = any(part in _NOT_SOURCE or part.startswith("_") for part in place.split("/"))
        if not name.endswith(".go") or name.endswith("_test.go") or hidden:
            continue
        if _another_module(checkout, folder, place):
            continue
        text = checkout.read(join(folder, file)) or ""
        if _MAIN.search(text) and _FUNC.search(text) and not _IGNORED.search(text):
            found[f"./{place}" if place else "."] = True
    return sorted(found)


def choose_main(packages: list[str], module: Module, folder: str) -> str | None:
    """The program of a service: the only one, `cmd/server`, the folder itself, or the one named after it."""
    if len(packages) == 1:
        return packages[0]
    names = {folder.rpartition("/")[2], re.sub(r"/v\d+$", "", module.path).rpartition("/")[2]}
    for wanted in ("./cmd/server", ".", *(f"./cmd/{name}" for name in sorted(names)), "./cmd/api", "./cmd/web"):
        if wanted in packages:
            return wanted
    return None


def program_name(package: str, module: Module, folder: str) -> str:
    """What the binary is called: as `go build` would."""
    last = package.rpartition("/")[2] if package != "." else folder.rpartition("/")[2]
    if last in (".", ""):
        last = re.sub(r"/v\d+$", "", module.path).rpartition("/")[2]
    return re.sub(r"[^\w.-]", "-", last) or "server"


def workspace_members(text: str) -> list[str]:
    """The folders that a go.work uses, as they are written, without the leading `./`. Pure."""
    found: list[str] = []
    for block in re.findall(r"^use\s*\(([^)]*)\)", text, re.MULTILINE):
        found += [line.split("//")[0].strip().strip('"') for line in block.splitlines()]
    found += [word.strip('"') for word in re.findall(r"^use\s+([^\s(]+)", text, re.MULTILINE)]
    return [posixpath.normpath(word) for word in found if word]


def above(folder: str) -> Iterator[str]:
    """The folder, then each above it, up to `.`."""
    place = posixpath.normpath(folder)
    while place not in (".", ""):
        yield place
        place = place.rpartition("/")[0] or "."
    yield "."


def _workspace_of(checkout: Checkout, folder: str) -> str | None:
    for place in above(folder):
        text = checkout.read(join(place, "go.work"))
        if text is not None:
            members = {posixpath.normpath(join(place, member)) for member in workspace_members(text)}
            return place if folder in members else None
    return None


def _another_module(checkout: Checkout, folder: str, place: str) -> bool:
    """A go.mod between the service's folder and the file: another module's program."""
    parts = place.split("/") if place else []
    return any(
        checkout.read(join(folder, "/".join([*parts[: n + 1], "go.mod"]))) is not None for n in range(len(parts))
    )
