"""Looks for secret values in what was built (BLD-7): nothing secret belongs in an artifact.

A deploy asks for what browsers get: packed pages, Next's client bundles and prerendered pages, public folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from golive.build.artifact import Artifact
from golive.build.needles import forms
from golive.errors import BuildFailed
from golive.secret import Secret

PIECE = 2**20
CLIENT = (
    ".next/static",
    ".next/server/app",
    ".next/server/pages",
    "public",
    "dist/client",
    "build/client",
    ".output/public",
)
"""Where a server's artifact keeps what it sends to browsers."""
_PRERENDERED = (".html", ".rsc", ".body", ".meta", ".json", ".txt", ".xml")
"""Of Next's server folder only these are sent; the rest is code that runs here."""


@dataclass(frozen=True)
class Leak:
    """A secret's name, and where its value stands first; lines and columns (bytes) count from 1."""

    secret: str
    file: Path
    line: int
    column: int


def check_artifact(artifact: Artifact, secrets: Mapping[str, Secret]) -> None:
    """BuildFailed naming every variable whose value is in what browsers get, with file and line.

    `secrets` are the app's by name. The build never had them; a value that is here stood in the source, or in what the
    build was given under another name.
    """
    leaks = [leak for place in client_places(artifact) for leak in find_leaks(place, secrets)]
    if not leaks:
        return
    base = shown_from(artifact)
    shown = [f"{x.secret} in {x.file.relative_to(base)}, line {x.line}, column {x.column}" for x in leaks]
    names = ", ".join(sorted({leak.secret for leak in leaks}))
    raise BuildFailed(
        f"what browsers get holds the value of {names}: " + "; ".join(shown[:10]) + (" …" if len(shown) > 10 else ""),
        where=shown[0].partition(" in ")[2],
        why="whoever opens the page could read it",
        hint=f"take it out of the source, then give it a new value: golive env set {leaks[0].secret}",
    )


def shown_from(artifact: Artifact) -> Path:
    """The folder from which files of an artifact are named to users."""
    return artifact.whole / "files" if artifact.kind == "static" else artifact.whole


def client_places(artifact: Artifact) -> tuple[Path, ...]:
    """The folders of an artifact that are sent to browsers."""
    if artifact.kind == "static":
        return (artifact.whole / "files",)
    return tuple(place for name in CLIENT if (place := artifact.app / name).is_dir())


def is_sent(file: Path) -> bool:
    """Whether browsers get a file of a client place: of Next's server folder only what is prerendered."""
    return ".next/server/" not in file.as_posix() or file.name.endswith(_PRERENDERED)


def find_leaks(path: Path, secrets: Mapping[str, Secret]) -> list[Leak]:
    """Every file below a folder that holds one of the values, with the first line that does."""
    known = {name: sorted(set(forms(secret.reveal()))) for name, secret in secrets.items()}
    needles = sorted({needle for written in known.values() for needle in written})
    found = []
    for file in _files(path) if needles else ():
        if not is_sent(file) or not _holds(file, needles):
            continue
        for name, written in known.items():
            if place := _place(file, written):
                found.append(Leak(name, file, *place))
    return found


def find_secrets(path: Path, secrets: Iterable[Secret]) -> list[Path]:
    """The files below an artifact that hold one of the values: plain, in base64 at any offset, URL- or JSON-encoded."""
    needles = sorted({needle for secret in secrets for needle in forms(secret.reveal())})
    return [file for file in _files(path) if needles and _holds(file, needles)]


def _place(file: Path, needles: list[bytes]) -> tuple[int, int] | None:
    """Line and column of the first of them, None when there is none."""
    content = file.read_bytes()
    at = min([place for needle in needles if (place := content.find(needle)) >= 0], default=-1)
    return (content.count(b"\n", 0, at) + 1, at - content.rfind(b"\n", 0, at)) if at >= 0 else None


def _files(path: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(path):
        for name in sorted(names):
            file = Path(folder) / name
            if not file.is_symlink() and file.is_file():
                yield file


def _holds(file: Path, needles: list[bytes]) -> bool:
    """Read in pieces that overlap: `in` on bytes is ten times as fast as `find` on a mapped file."""
    overlap = max(map(len, needles)) - 1
    before = b""
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            content = before + piece
            if any(needle in content for needle in needles):
                return True
            before = content[-overlap:]
    return False
