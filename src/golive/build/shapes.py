"""Tokens known by their shape (`sk_live_…`, `AKIA…`, private keys), by the rules of kingfisher-secret-scanner.

Only in the process that searches: the compiled rules take 50 MB. Compiling takes seconds, so they are kept on disk.
"""

from __future__ import annotations

import base64
import fcntl
import functools
import hashlib
import json
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

LIBRARY = "kingfisher-secret-scanner"
_PUBLIC = re.compile(
    r"(client|account|application|app|auth|access|organization|key)-id$|-id$|(?<!webhook)-url$|-(host|cloud-name|domain)$"
    r"|public-key$|pub-key$|-public-|posthog-project|browser-api-token|(client|mobile)-sdk-key|server-client-key"
    r"|^generic-|^curl-auth|token-name$|^configcat"
)
"""Rules for what is public by design, or that know a secret by the words beside it: they are wrong too often."""
_TEST_MODE = re.compile(r"^[A-Za-z]{2,8}[_-]test[_-]")
_NO_SECRET = re.compile(
    r"@(localhost|127\.0\.0\.1|\[::1\]|db|mongo|mongodb|host)\b|[:/]<|\buser(name)?:pass(word)?@", re.IGNORECASE
)
_EXAMPLE = re.compile(r"EXAMPLE|example|xxxx|XXXX|0123456789|1234567890abcdef|abcdefghij|(.)\1{7}")


@dataclass(frozen=True)
class Shape:
    """A token in a text. Lines and columns count from 1; `mild` says why nobody is harmed by it."""

    rule: str
    line: int
    column: int
    secret: str
    mild: str = ""


class Shapes:
    """The rules, compiled. `public` are values that are meant for everybody, such as those of client variables."""

    def __init__(self, cache: Path, public: Collection[str] = ()) -> None:
        from kingfisher_sdk import Rules, Scanner

        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = resources.files("golive.build").joinpath("secret_rules.yaml")
        self._public = frozenset(public)
        with resources.as_file(own) as path, (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second takes what the first has compiled
            # The library keeps nothing in a folder it reaches by a link.
            self._scanner: Scanner = Scanner(Rules([path], confidence="medium", cache_dir=cache.resolve()))

    def find(self, data: bytes, path: str = "") -> Iterator[Shape]:
        """Every token in a text, each place once. With a `path`, files that others made (packages, locks) are passed
        over."""
        from kingfisher_sdk.inputs import ScanInput

        seen: set[tuple[int, int]] = set()
        found = self._scanner.scan_input(ScanInput(path, data)) if path else self._scanner.scan(data)
        for one in found:
            rule = one.rule_id.rpartition("/")[2].removeprefix("betterleaks.").removeprefix("golive.")
            rule = re.sub(r"\.\d+$", "", rule)
            spot = (one.location["line"], one.location["column"] + 1)  # the library counts columns from 0
            if not one.visible or spot in seen or _PUBLIC.search(rule) or one.secret in self._public:
                continue
            if _EXAMPLE.search(one.secret) and "private-key" not in rule:
                continue
            seen.add(spot)
            yield Shape(rule, *spot, one.secret, harmless(one.secret, time.time()))


@functools.cache
def version() -> str:
    """Of the rules: what was searched by others is searched again."""
    from importlib import metadata

    own = resources.files("golive.build").joinpath("secret_rules.yaml").read_text()
    return f"{metadata.version(LIBRARY)} {_short(own)} {_short(_PUBLIC.pattern + _EXAMPLE.pattern)}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def harmless(secret: str, now: float) -> str:
    """Why nobody is harmed by a token that can be read, "" for one that must not be. Pure."""
    if _TEST_MODE.match(secret):
        return "a key of the test mode"
    if "://" in secret and _NO_SECRET.search(secret):
        return "an address on this machine, or an example"
    if claims := _claims(secret):
        if claims.get("role") == "anon":
            return "Supabase's anon key, which is public"
        if isinstance(claims.get("exp"), int | float) and claims["exp"] < now:
            return "it has expired"
        if claims.get("sub") in ("1234567890", 1234567890):
            return "the example of jwt.io"
    return ""


def _claims(secret: str) -> dict[str, Any]:
    """Those of a JSON web token."""
    parts = secret.split(".")
    if not secret.startswith("ey") or len(parts) < 2:
        return {}
    try:
        data = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
