"""What a request for a static file is answered with: pure, and mostly a look-up of an answer that is ready.

RFC 9110: conditional requests §13, ranges §14, content negotiation §12.5.3.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from golive.edge.static_http import Request
from golive.edge.static_index import NEVER, Entry, Index, Representation, Response, build_head

ROOT: Final = "x-golive-root"
FALLBACK: Final = "x-golive-fallback"
SLASH: Final = "x-golive-slash"
"""Headers that only the edge sends: see `golive.edge.rules`, which this process does not need to load."""

_HTML: Final = "text/html; charset=utf-8"
_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{0}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;display:grid;place-content:center;"
    "min-height:90vh;color-scheme:light dark}}</style><h1>{0}</h1>"
)


def refusal(status: int, reason: str, *, close: bool = False, extra: Sequence[tuple[str, str]] = ()) -> Response:
    """A small page of our own, never kept by a cache. `close` announces the end of the connection."""
    body = _PAGE.format(reason).encode()
    headers = [("content-type", _HTML), ("cache-control", NEVER), *extra]
    return Response(status, build_head(status, headers + [("connection", "close")] * close, len(body)) + body)


NOT_FOUND: Final = refusal(404, "Not found")
NOT_ALLOWED: Final = refusal(405, "Method not allowed", extra=(("allow", "GET, HEAD"),))
UNREADABLE: Final = Response(500, build_head(500, (("cache-control", NEVER),), 0))
BUSY: Final = Response(503, build_head(503, (("retry-after", "1"), ("connection", "close")), 0))
"""Both without a body, so that they answer HEAD too."""


def without_body(response: Response) -> Response:
    """The same answer to HEAD."""
    return Response(response.status, response.head[: response.head.index(b"\r\n\r\n") + 4])


NOT_FOUND_HEAD: Final = without_body(NOT_FOUND)


def plan(request: Request, index: Index, previous: Sequence[Index] = ()) -> Response:
    """The answer to `request` from a release; a file named after its content may come from a `previous` one.

    That keeps a page loaded before a deploy working: its hashed scripts are gone from the new release, not from the
    old one, and their names say that they are the same bytes for ever.
    """
    method = request.method
    if method not in {"GET", "HEAD"}:
        return NOT_ALLOWED
    path = request.target.partition("?")[0]
    entry = index.find(path) if "%" not in path else None
    if entry is None:
        decoded = decode_path(path)
        if decoded is None:
            return missing(index, method)
        entry = index.find(decoded) or _elsewhere(decoded, previous)
        if entry is None and decoded in index.redirects:
            if SLASH not in request.headers:
                return _redirect(index.redirects[decoded], request.target)
            entry = index.find(decoded.removesuffix("/") if decoded.endswith("/") else f"{decoded}/")
        if entry is None:
            entry = _fallback(request, index)
        if entry is None:
            if not (index.spa and is_navigation(decoded, request.headers.get("accept", ""))):
                return missing(index, method)
            entry = index.find("/index.html")
            if entry is None:
                return missing(index, method)
    return _answer(request, entry)


def _answer(request: Request, entry: Entry) -> Response:
    headers = request.headers
    wanted = headers.get("range")
    if wanted is not None and request.method == "GET":
        partial = _partial(entry, wanted, headers.get("if-range"), headers.get("if-none-match"))
        if partial is not None:
            return partial
    chosen = negotiate(entry, headers.get("accept-encoding"))
    tags = headers.get("if-none-match")
    if tags is not None and matches(tags, chosen.etag):
        return chosen.not_modified
    return chosen.ok if request.method == "GET" else chosen.ok_head


def missing(index: Index, method: str) -> Response:
    """404 with the release's own page when it has one."""
    own = index.find("/404.html")
    if own is not None and own.not_found is not None and own.not_found_head is not None:
        return own.not_found if method == "GET" else own.not_found_head
    return NOT_FOUND if method == "GET" else NOT_FOUND_HEAD


def _fallback(request: Request, index: Index) -> Entry | None:
    """The file that a rewrite names for paths without one."""
    path = decode_path(request.headers.get(FALLBACK, ""))
    if path is None:
        return None
    found = index.find(path)
    return found or index.find(path.removesuffix("/") if path.endswith("/") else f"{path}/")


def _elsewhere(path: str, previous: Sequence[Index]) -> Entry | None:
    for index in previous:
        entry = index.find(path)
        if entry is not None and entry.immutable:
            return entry
    return None


def _redirect(reference: str, target: str) -> Response:
    """308, so that the method stays; the query goes along."""
    _, mark, query = target.partition("?")
    location = reference + mark + query
    return Response(308, build_head(308, (("location", location), ("cache-control", NEVER)), 0))


_HEX_TRICKS: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%2[Ff]|%5[Cc]|%00")


def decode_path(path: str) -> str | None:
    """A URL path decoded once, in NFC; None when it is not one that a public file can have.

    Refused: encoded slashes, backslashes and NUL, broken escapes, empty and dot segments, hidden names (but
    `.well-known` at the top), control characters. Bytes that are not UTF-8 stay what they are, since a file's name may
    hold them.
    """
    if not path.startswith("/") or _HEX_TRICKS.search(path):
        return None
    raw = path.encode("latin-1").decode("utf-8", "surrogateescape")
    decoded = unicodedata.normalize("NFC", unquote(raw, errors="surrogateescape"))
    if "\\" in decoded or any(c < " " or c == "\x7f" for c in decoded):
        return None
    parts = decoded[1:].split("/")
    hidden = parts[1:] if parts[0] == ".well-known" else parts
    if any(part.startswith(".") for part in hidden) or "" in parts[:-1]:
        return None
    return decoded


def is_navigation(path: str, accept: str) -> bool:
    """A browser going to a page, as against a script or picture that is missing: no suffix, and HTML is asked for."""
    return "." not in path.rpartition("/")[2] and "text/html" in accept.lower()


def negotiate(entry: Entry, accept_encoding: str | None) -> Representation:
    """The accepted coding with the highest weight, the smallest among equals; identity when none is accepted."""
    if accept_encoding is None or not entry.coded:
        return entry.identity
    weights = _weights(accept_encoding)
    others = weights.get("*", 0.0)
    best, highest = entry.identity, 0.0
    for candidate in entry.coded:
        weight = weights.get(candidate.coding, others)
        if weight > highest:
            best, highest = candidate, weight
    return best if highest >= weights.get("identity", 0.0) else entry.identity


@lru_cache(maxsize=512)
def _weights(accept_encoding: str) -> dict[str, float]:
    """Coding to weight. Browsers send a handful of different values, so the cache nearly always has it."""
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(",")[:32]:
        name, _, parameter = item.partition(";")
        key, _, value = parameter.partition("=")
        weight = 1.0
        if key.strip() == "q":
            weight = float(value) if re.fullmatch(r"\s*(0(\.\d{0,3})?|1(\.0{0,3})?)\s*", value) else 0.0
        name = {"x-gzip": "gzip"}.get(name.strip(), name.strip())
        weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def matches(tags: str, etag: str) -> bool:
    """If-None-Match: a list, `*`, compared weakly (a cache on the way may have weakened ours)."""
    if tags == etag:
        return True
    return tags.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in tags.split(","))


_RANGE: Final = re.compile(r"bytes\s*=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*", re.IGNORECASE)


def _partial(entry: Entry, wanted: str, if_range: str | None, tags: str | None) -> Response | None:
    """206 or 416 for one range of the plain file; None when the whole is to be sent.

    The plain file and not a coding: players and downloads want offsets into the thing itself. Several ranges, other
    units and an If-Range that does not match strongly get the whole, which RFC 9110 allows.
    """
    match = _RANGE.fullmatch(wanted)
    plain = entry.identity
    if match is None or (if_range is not None and if_range != plain.etag):
        return None
    if match[2] and int(match[2]) < int(match[1]):
        return None
    if tags is not None and matches(tags, plain.etag):
        return plain.not_modified
    start, end = _bounds(match, plain.size)
    if start >= end:
        return refusal(416, "Range not satisfiable", extra=(("content-range", f"bytes */{plain.size}"),))
    head = plain.ok.head.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 206 Partial Content", 1)
    head = head[: head.rindex(b"content-length:")]
    head += f"content-range: bytes {start}-{end - 1}/{plain.size}\r\ncontent-length: {end - start}\r\n\r\n".encode()
    return Response(206, head, plain.ok.file, start, end - start)


def _bounds(match: re.Match[str], size: int) -> tuple[int, int]:
    """First byte and the one after the last; empty when nothing of the range exists."""
    if match[3] is not None:
        return max(0, size - int(match[3])), size
    start = int(match[1])
    return start, min(int(match[2]) + 1, size) if match[2] else size
