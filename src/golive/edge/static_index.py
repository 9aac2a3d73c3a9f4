"""A release's manifest in memory: URL path to what is sent, every header block written once.

`golive.build.static` writes `static.json`; nothing is computed here that it could have written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

MANIFEST: Final = "static.json"
VERSION: Final = 1
_SUFFIXES: Final = {"br": "br", "zstd": "zst", "gzip": "gz"}

YEAR: Final = "public, max-age=31536000, immutable"
PAGE: Final = "no-cache"
OTHER: Final = "public, max-age=0, must-revalidate"
NEVER: Final = "no-store"


class Response(NamedTuple):
    """What goes on the wire: `head` complete with its empty line, then `length` bytes of `file` from `start`.

    `whole` marks an answer that is the same every time and may be kept in memory, head and body in one piece.
    """

    status: int
    head: bytes
    file: Path | None = None
    start: int = 0
    length: int = 0
    whole: bool = False


class Representation(NamedTuple):
    """One coding of one file, with its answers ready."""

    coding: str
    etag: str
    size: int
    ok: Response
    ok_head: Response
    not_modified: Response


@dataclass(frozen=True, slots=True)
class Entry:
    """A public file. `coded` is sorted by size, so the first that a client accepts best is also the smallest."""

    content_type: str
    immutable: bool
    identity: Representation
    coded: tuple[Representation, ...] = ()
    not_found: Response | None = None
    not_found_head: Response | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """One release: decoded URL path to a file, or to the relative reference its client is sent to.

    `entries` is filled as paths are asked for, so that a large release costs memory only for what is used.
    """

    root: Path
    spa: bool
    records: Mapping[str, Mapping[str, Any]]
    redirects: Mapping[str, str]
    entries: dict[str, Entry] = field(default_factory=dict)
    files: Path | None = None
    """Where the files are, when not in `files` below the root."""

    def find(self, path: str) -> Entry | None:
        """The file at a decoded URL path, or None."""
        entry = self.entries.get(path)
        if entry is None and path in self.records:
            entry = self.entries[path] = _entry(self.root, self.records[path], self.files or self.root / "files")
        return entry


class BadManifest(Exception):
    """The manifest is not one that `golive.build.static` of this version writes."""


def load(root: Path) -> Index:
    """The index of the artifact at `root`. Raises OSError when it is gone, BadManifest when it is damaged."""
    try:
        manifest = json.loads((root / MANIFEST).read_bytes())
        if manifest["version"] != VERSION:
            raise BadManifest(f"version {manifest['version']} of {root / MANIFEST}")
        files = {_checked(record["path"]): record for record in manifest["files"]}
        records, redirects = urls(files, clean=manifest["clean_urls"])
        return Index(root, manifest["spa"], records, redirects)
    except (ValueError, KeyError, TypeError) as error:
        raise BadManifest(f"{root / MANIFEST}: {error}") from error


def _checked(path: str) -> str:
    """A path that cannot lead out of `files/`, however the manifest came about."""
    if not path or any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise ValueError(f"path {path!r}")
    return path


def urls(files: Mapping[str, Any], *, clean: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """URL to record, and URL to relative redirect.

    Every file answers at its own name. A folder's index.html answers at the folder with a slash; without it the client
    is redirected, as relative links in the page would otherwise break. With clean URLs `about.html` answers at
    `/about`, before a folder of that name, and `/about/` leads there. References are relative, so that they are right
    behind a stripped prefix too and can never name another host.
    """
    found: dict[str, Any] = {f"/{path}": record for path, record in files.items()}
    redirects: dict[str, str] = {}
    pages = {path: record for path, record in files.items() if path.endswith(".html")}
    for path, record in pages.items():
        folder, _, name = path.rpartition("/")
        if name == "index.html":
            found[f"/{folder}/" if folder else "/"] = record
        elif clean:
            found.setdefault(f"/{path.removesuffix('.html')}", record)
    for path in pages:
        folder, _, name = path.rpartition("/")
        if name == "index.html" and folder and f"/{folder}" not in found:
            redirects[f"/{folder}"] = f"./{quote(folder.rpartition('/')[2], errors='surrogateescape')}/"
        elif name != "index.html" and clean and f"/{path.removesuffix('.html')}/" not in found:
            redirects[f"/{path.removesuffix('.html')}/"] = f"../{quote(name[:-5], errors='surrogateescape')}"
    return found, redirects


def _entry(root: Path, record: Mapping[str, Any], files: Path) -> Entry:
    kind, immutable, tag = record["type"], bool(record["immutable"]), record["etag"]
    is_page = kind.startswith(("text/html", "application/xhtml"))
    cache = YEAR if immutable else PAGE if is_page else OTHER
    vary = bool(record["variants"])
    plain = files / record["path"]
    identity = _representation(plain, record["size"], kind, cache, "", tag, vary)
    coded = [
        _representation(root / "variants" / f"{tag}.{_SUFFIXES[c]}", size, kind, cache, c, tag, vary)
        for c, size in record["variants"].items()
    ]
    missing = missing_head = None
    if record["path"] == "404.html":
        head = build_head(404, (("content-type", kind), ("cache-control", NEVER)), record["size"])
        missing = Response(404, head, plain, 0, record["size"], True)
        missing_head = Response(404, head)
    ordered = tuple(sorted(coded, key=lambda r: (r.size, r.coding)))
    return Entry(kind, immutable, identity, ordered, missing, missing_head)


def _representation(file: Path, size: int, kind: str, cache: str, coding: str, tag: str, vary: bool) -> Representation:
    etag = f'"{tag}-{coding}"' if coding else f'"{tag}"'
    common = [("etag", etag), ("cache-control", cache)] + [("vary", "accept-encoding")] * vary
    full = [("content-type", kind), *common, ("accept-ranges", "bytes")]
    head = build_head(200, full + [("content-encoding", coding)] * bool(coding), size)
    return Representation(
        coding,
        etag,
        size,
        Response(200, head, file, 0, size, True) if size else Response(200, head),
        Response(200, head),
        Response(304, build_head(304, common, None)),
    )


_REASONS: Final = {
    200: "OK", 206: "Partial Content", 304: "Not Modified", 308: "Permanent Redirect", 400: "Bad Request",
    404: "Not Found", 405: "Method Not Allowed", 416: "Range Not Satisfiable", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
}  # fmt: skip


def build_head(status: int, headers: tuple[tuple[str, str], ...] | list[tuple[str, str]], length: int | None) -> bytes:
    """Status line, headers and the empty line; Envoy adds Date."""
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in headers)]
    if length is not None:
        lines.append(f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
