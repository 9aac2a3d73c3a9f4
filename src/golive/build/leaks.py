"""Looks for secret values in what was built (BLD-7): nothing secret belongs in an artifact."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

from golive.secret import Secret

SHORTEST = 8
"""Shorter values are ordinary words too often."""
PIECE = 2**20


def find_secrets(path: Path, secrets: Iterable[Secret]) -> list[Path]:
    """The files below an artifact that hold one of the values: plain, in base64 at any offset, URL- or JSON-encoded."""
    needles = sorted({needle for secret in secrets for needle in _forms(secret.reveal())})
    return [file for file in _files(path) if needles and _holds(file, needles)]


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
