"""Which picture a request may have, and what has to be done for it. Pure.

Everything that a client can vary is on a list: sources, widths, qualities, formats. A URL has no query, so the same
picture has one name and nobody can have it made without end.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

POLICY: Final = "x-golive-images"
PATH: Final = "/_golive/image"
RESERVED: Final = "/_golive/"
LONGEST: Final = 2048
OWN: Final = "own"
_UNWANTED: Final = re.compile(r"q\s*=\s*0(\.0*)?\s*(;|$)")
TYPES: Final = {name: f"image/{name.lower()}" for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF")}
"""By Pillow's names: what is read, and what is made of it."""


class Refused(Exception):
    """The request cannot be answered with a picture; `status` and a sentence for whoever wrote it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Policy:
    """What the edge says of a site. `stamp` changes with its releases, `probe` lets golive in where it is protected."""

    app: str
    stamp: str
    tls: bool
    sources: tuple[str, ...]
    widths: tuple[int, ...]
    qualities: tuple[int, ...]
    formats: tuple[str, ...]
    ttl: int
    largest: int
    probe: str = ""

    def text(self) -> str:
        """As the header's value."""
        return json.dumps(list(vars(self).values()))


@lru_cache(maxsize=256)
def parse_policy(text: str) -> Policy:
    """The inverse of `Policy.text`. Raises ValueError or TypeError."""
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in json.loads(text)]
    return Policy(*values)


@dataclass(frozen=True)
class Wanted:
    """A picture: `origin` is `own` or `https://host:port`, `path` is clean, `format` is Pillow's name or empty for the
    source's own."""

    origin: str
    path: str
    width: int
    quality: int
    format: str


def wanted(target: str, accept: str, policy: Policy) -> Wanted:
    """What a request asks for. Refused when it is not on the lists."""
    if len(target) > LONGEST:
        raise Refused(414, "the address is too long")
    given = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    values = dict(given)
    if len(values) != len(given) or not {"url", "w"} <= values.keys() <= {"url", "w", "q"}:
        raise Refused(400, "ask with url, w and, if it is not the usual one, q")
    origin, path = source(values["url"], policy.sources)
    return Wanted(
        origin,
        path,
        _listed("w", values["w"], policy.widths),
        _listed("q", values.get("q", str(policy.qualities[0])), policy.qualities),
        _format(accept, policy.formats),
    )


def _listed(name: str, text: str, allowed: tuple[int, ...]) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) in allowed):
        raise Refused(400, f"{name} is one of {', '.join(map(str, sorted(allowed)))}")
    return int(text)


def _format(accept: str, formats: tuple[str, ...]) -> str:
    parts = (part.partition(";") for part in accept.lower().split(","))
    taken = {name.strip() for name, _, rest in parts if not _UNWANTED.search(rest)}
    return next((name.upper() for name in formats if f"image/{name}" in taken), "")


def source(url: str, sources: tuple[str, ...]) -> tuple[str, str]:
    """Where a picture is: its server and a clean path. Refused when no source has it."""
    origin, path = _parts(url)
    for allowed in sources:
        server, folder = _parts(allowed.removesuffix("*"))
        if origin == server and path.startswith(folder) and not (origin == OWN and path.startswith(RESERVED)):
            return origin, path
    raise Refused(400, "url is not in one of the sources of [edge.images]")


def _parts(url: str) -> tuple[str, str]:
    if url.startswith("/") and not url.startswith("//"):
        return OWN, _clean(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused(400, "url is not a URL") from None
    if parts.scheme != "https" or not host or "@" in parts.netloc or not url.isascii():
        raise Refused(400, "url is a path, or begins with https://")
    tail = "?" if parts.query or url.endswith("?") else "#" if parts.fragment else ""
    return f"https://{host}:{port or 443}", _clean(parts.path + tail)


def _clean(path: str) -> str:
    """One spelling of a path; what others might read differently is refused."""
    plain = unquote(path, errors="strict") if "%" in path else path
    odd = any(ord(char) < 32 or char in "\\?#%;\x7f" for char in plain)
    if odd or not plain.startswith("/") or any(part in (".", "..") for part in plain.split("/")) or "//" in plain:
        raise Refused(400, "url has a plain path without a query")
    return quote(plain, safe="/_.~@-")


def is_public(address: str) -> bool:
    """Whether anybody on the internet could ask there: nothing of this machine or of its networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if (
            inner
            or ip.is_site_local
            or ip in ipaddress.ip_network("64:ff9b::/32")
            or ip in ipaddress.ip_network("::/96")
        ):
            return False  # an IPv4 address in another's clothes
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
