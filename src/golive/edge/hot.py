"""Static files that Envoy answers itself: which of a release they are, and their bodies among the edge's own files.

A hop to the static server costs more than half of what a request costs, so the few files that nearly every visitor
loads do without. The choice is a guess that needs no counting: the start page, what it names, then what lies highest.
Bodies are copies: Envoy refuses routes whose body is missing, and a deleted artifact must not stop every other app.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from golive.edge.limits import routes_in
from golive.edge.model import EdgeConfig, HotFile, RouteRule
from golive.edge.resource import Json
from golive.edge.static_index import MANIFEST, BadManifest, Entry, Index, Representation, load
from golive.edge.static_plan import negotiate
from golive.system.files import write_atomic

LARGEST: Final = 64 * 1024
"""Bytes of a file; larger ones are limited by the network, not by the hop."""
FILES: Final = 8
BYTES: Final = 512 * 1024
"""Of one service, with the coded form of each."""
SERVICES: Final = 16
"""Above so many static services each has less, so that the routes of all stay as quick to change as without."""
MOST: Final = 64
"""Static services; above that none has any."""
LONGEST_MANIFEST: Final = 256 * 1024
"""Bytes. A release of more files than that lists (some 1,000) has none here: reading it would take too long."""
BROWSERS: Final = ("gzip, deflate, br, zstd", "gzip, deflate, br")
"""Accept-Encoding of Chromium and Firefox, and of Safari, over TLS."""
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._~/-]*")
"""Paths that have one spelling."""


def hot_files(root: Path, services: int) -> tuple[HotFile, ...]:
    """Those of the release at `root`, where `services` static ones share the edge. None when it cannot be read."""
    if services > MOST:
        return ()
    share = max(SERVICES, services)
    try:
        return _chosen(root, FILES * SERVICES // share, BYTES * SERVICES // share)
    except (OSError, BadManifest):
        return ()  # the static server says what is wrong with it


@lru_cache(maxsize=2 * MOST)
def _chosen(root: Path, files: int, size: int) -> tuple[HotFile, ...]:
    if (root / MANIFEST).stat().st_size > LONGEST_MANIFEST:
        return ()
    index = load(root)
    made: list[HotFile] = []
    for url in _likely(index):
        entry = index.find(url)
        found = _answers(url, entry) if entry and 0 < entry.identity.size <= LARGEST else []
        cost = sum(file.size for file in found)
        if found and cost <= size:
            made += found
            files, size = files - 1, size - cost
        if not files:
            break
    return tuple(made)


def _likely(index: Index) -> list[str]:
    """One URL for each file, the likeliest to be asked for first."""
    shortest: dict[str, str] = {}
    for url, record in sorted(index.records.items(), key=lambda item: (len(item[0]), item[0])):
        if _PLAIN.fullmatch(url):
            shortest.setdefault(record["path"], url)
    home = index.find("/")
    page = home.identity.ok.file.read_text(errors="replace") if home and home.identity.ok.file else ""
    likely = sorted(shortest, key=lambda path: (path != "index.html", path not in page, path.count("/"), path))
    return [shortest[path] for path in likely]


def _answers(url: str, entry: Entry) -> list[HotFile]:
    """What the static server would send to clients that accept no coding, and to browsers."""
    if not entry.coded:
        return [_hot(url, entry.identity, None)]
    coded: dict[Representation, list[str]] = defaultdict(list)
    for accepted in BROWSERS:
        coded[negotiate(entry, accepted)].append(accepted)
    return [_hot(url, entry.identity, ()), *(_hot(url, form, tuple(values)) for form, values in coded.items())]


def _hot(url: str, form: Representation, accepts: tuple[str, ...] | None) -> HotFile:
    lines = form.ok.head.decode("latin-1").split("\r\n")[1:-2]
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    kept = tuple((name, value) for name, value in headers if name != "content-length")
    file = form.ok.file or Path()  # only empty files have none
    tag = form.etag.strip('"')
    name = f"{tag}.{form.size}"
    return HotFile(url, file, name, form.size, kept, accepts)


def place(config: EdgeConfig, directory: Path, mode: int) -> EdgeConfig:
    """Put the bodies where Envoy reads them. The configuration, without files that could not be put there."""
    there: dict[HotFile, bool] = {}

    def placed(file: HotFile) -> bool:
        if file not in there:
            there[file] = _place(file, directory / file.name, mode)
        return there[file]

    def there_of(rule: RouteRule) -> RouteRule:
        return replace(rule, hot=tuple(filter(placed, rule.hot))) if rule.hot else rule

    return replace(config, sites=tuple(site.with_rules(there_of) for site in config.sites))


def _place(file: HotFile, target: Path, mode: int) -> bool:
    """Whether the body is there. Not flushed to disk: after a power failure its length would tell."""
    if not is_whole(target):
        with contextlib.suppress(OSError):
            write_atomic(target, file.file.read_bytes(), mode=mode, sync=False)
    return is_whole(target)


def is_whole(body: Path) -> bool:
    """Whether it is as long as its name says; the name begins with the content's hash."""
    try:
        return str(body.stat().st_size) == body.suffix[1:]
    except OSError:
        return False


def sweep(config: EdgeConfig, directory: Path) -> None:
    """Remove bodies that no route names any more."""
    used = {file.name for _, rule in config.rules() for file in rule.hot}
    for path in directory.iterdir():
        if path.name not in used:
            path.unlink(missing_ok=True)


def largest(config: EdgeConfig) -> int:
    """Bytes of the longest body."""
    return max((file.size for _, rule in config.rules() for file in rule.hot), default=0)


def bodies_in(rds: Json) -> Iterator[Path]:
    """The files that a rendered RDS file names."""
    bodies = (route.get("direct_response", {}).get("body", {}) for route in routes_in(rds))
    return (Path(body["filename"]) for body in bodies if "filename" in body)
