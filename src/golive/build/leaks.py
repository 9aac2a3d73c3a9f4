"""Looks for secret values in what was built (BLD-7): nothing secret belongs in an artifact.

A deploy asks for what browsers get: packed pages, Next's client bundles and prerendered pages, public folders.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from golive.build.artifact import Artifact
from golive.errors import BuildFailed
from golive.secret import Secret

SHORTEST = 8
"""Shorter values are ordinary words too often."""
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
    """A secret's name, and where its value stands; `line` counts from 1."""

    secret: str
    file: Path
    line: int


def check_artifact(artifact: Artifact, secrets: Mapping[str, Secret]) -> None:
    """BuildFailed naming every variable whose value is in what browsers get, with file and line.

    `secrets` are the app's by name. The build never had them; a value that is here stood in the source, or in what the
    build was given under another name.
    """
    leaks = [leak for place in client_places(artifact) for leak in find_leaks(place, secrets)]
    if not leaks:
        return
    base = artifact.whole / "files" if artifact.kind == "static" else artifact.whole
    shown = [f"{leak.secret} in {leak.file.relative_to(base)}, line {leak.line}" for leak in leaks]
    names = ", ".join(sorted({leak.secret for leak in leaks}))
    raise BuildFailed(
        f"what browsers get holds the value of {names}: " + "; ".join(shown[:10]) + (" …" if len(shown) > 10 else ""),
        where=shown[0].partition(" in ")[2],
        why="whoever opens the page could read it",
        hint=f"take it out of the source, then give it a new value: golive env set {leaks[0].secret}",
    )


def client_places(artifact: Artifact) -> tuple[Path, ...]:
    """The folders of an artifact that are sent to browsers."""
    if artifact.kind == "static":
        return (artifact.whole / "files",)
    return tuple(place for name in CLIENT if (place := artifact.app / name).is_dir())


def find_leaks(path: Path, secrets: Mapping[str, Secret]) -> list[Leak]:
    """Every file below a folder that holds one of the values, with the first line that does."""
    forms = {name: sorted(set(_forms(secret.reveal()))) for name, secret in secrets.items()}
    needles = sorted({needle for known in forms.values() for needle in known})
    found = []
    for file in _files(path) if needles else ():
        server = ".next/server/" in file.as_posix()
        if (server and not file.name.endswith(_PRERENDERED)) or not _holds(file, needles):
            continue
        for name, known in forms.items():
            if line := _line(file, known):
                found.append(Leak(name, file, line))
    return found


def find_secrets(path: Path, secrets: Iterable[Secret]) -> list[Path]:
    """The files below an artifact that hold one of the values: plain, in base64 at any offset, URL- or JSON-encoded."""
    needles = sorted({needle for secret in secrets for needle in _forms(secret.reveal())})
    return [file for file in _files(path) if needles and _holds(file, needles)]


def _line(file: Path, needles: list[bytes]) -> int:
    """The first line with one of them, 0 when there is none."""
    content = file.read_bytes()
    at = [place for needle in needles if (place := content.find(needle)) >= 0]
    return content.count(b"\n", 0, min(at)) + 1 if at else 0


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode(errors="surrogateescape")
    if len(raw) < SHORTEST:
        return
    yield raw
    yield urllib.parse.quote(value, safe="", errors="surrogateescape").encode()
    yield urllib.parse.quote_plus(value, errors="surrogateescape").encode()
    yield json.dumps(value)[1:-1].encode()
    for shift in range(3):
        yield from _base64_forms(raw, shift)


def _base64_forms(raw: bytes, shift: int) -> Iterator[bytes]:
    """The characters that `shift` bytes before the value and anything after it cannot change."""
    text = base64.b64encode(b"\0" * shift + raw)
    sure = text[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]
    yield sure
    yield sure.translate(bytes.maketrans(b"+/", b"-_"))


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
