"""Hashes of the scripts that stand in the pages of a static release, as a Content-Security-Policy lists them."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

log = logging.getLogger("golive.edge")
MOST: Final = 60
"""Different scripts; more would make the header longer than some proxies take."""
BYTES: Final = 8 * 10**6
"""Of pages that are read for one release."""
_SCRIPT: Final = re.compile(rb"<script\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>(.*?)</script\s*>", re.I | re.S)
_ELSEWHERE: Final = re.compile(rb"(?:^|\s)src\s*=", re.I)
_KIND: Final = re.compile(rb"(?:^|\s)type\s*=\s*[\"']?([^\"'\s>]*)", re.I)
_RUN: Final = (b"", b"module", b"text/javascript", b"application/javascript", b"importmap", b"speculationrules")
"""Kinds of script that browsers ask the policy about; others are data."""


def hashes(root: Path) -> tuple[str, ...]:
    """Of the release at `root`, as sources of `script-src`, sorted. None where they are too many, which is logged, nor
    when it cannot be read."""
    try:
        return _found(root)
    except OSError:
        return ()  # the static server says what is wrong with it


@lru_cache(maxsize=64)
def _found(root: Path) -> tuple[str, ...]:
    found: set[str] = set()
    left = BYTES
    for page in sorted((root / "files").rglob("*.htm*")):
        left -= page.stat().st_size
        if left < 0 or len(found) > MOST:
            log.warning("the inline scripts of %s are too many for a Content-Security-Policy", root.parent.name)
            return ()
        found.update(map(_source, scripts(page.read_bytes())))
    return tuple(sorted(found))


def scripts(page: bytes) -> list[bytes]:
    """The text of each script in a page that browsers would run."""
    made = []
    for attributes, text in _SCRIPT.findall(page):
        kind = _KIND.search(attributes)
        if not _ELSEWHERE.search(attributes) and (kind[1].lower() if kind else b"") in _RUN:
            made.append(text)
    return made


def _source(text: bytes) -> str:
    plain = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # as a browser reads it
    return f"'sha256-{base64.b64encode(hashlib.sha256(plain).digest()).decode()}'"
