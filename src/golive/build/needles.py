"""The ways in which a secret's value may be written down, as bytes to look for."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator

SHORTEST = 8
"""Bytes; shorter values are ordinary words too often."""
WORD = 16
"""Characters from which a value of letters alone is no ordinary word."""
PLACEHOLDERS = ("changeme", "change-me", "change_me", "placeholder", "your-", "your_", "<", "${", "xxxx", "example")


def forms(value: str) -> Iterator[bytes]:
    """Plain, URL- and JSON-encoded, and in base64 at any offset. Nothing for a value too short to be looked for."""
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


def distinctive(value: str) -> bool:
    """Whether a value in a source or a log can only be the secret, and not a word or a placeholder that is like it."""
    low = value.lower()
    if len(value.encode(errors="surrogateescape")) < SHORTEST or any(low.startswith(word) for word in PLACEHOLDERS):
        return False
    return len(set(value)) > 3 and not ((value.isalpha() or value.isdigit()) and len(value) < WORD)
