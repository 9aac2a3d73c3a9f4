"""What may be kept of an answer, for how long and for whom (RFC 9111, RFC 5861). Pure.

The edge's own words come in a header that it writes on each request, see `Policy`; the answer's in Cache-Control,
Vary and Set-Cookie.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

POLICY: Final = "x-golive-cache"
ORIGIN: Final = "x-golive-origin"
"""The generation's cluster; the edge's inner listener sends the request there."""

KEPT: Final = (200, 203, 301, 308)
KEPT_WHEN_SAID: Final = (204, 404, 410)
"""Only when the answer itself says for how long."""
KEYED: Final = ("accept", "accept-encoding", "origin", "x-envoy-original-path", "x-forwarded-proto")
"""Headers that an answer often depends on without saying so. Accept-Encoding is only there when the edge does not
compress, the path as it was asked where a rule or a prefix changed it; the scheme differs behind proxies, and a
redirect to the other one must not be kept for both."""
PASSED: Final = (
    *KEYED,
    *("accept-language", "user-agent", "x-request-id", "traceparent", "tracestate"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"),
)
"""What the service is asked with. No other header of a client reaches it, so none can get into somebody else's
answer."""
HOP_BY_HOP: Final = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length")
)

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Policy:
    """What the edge says of a path. Times in seconds, sizes in bytes; `vary` are lower-case header names."""

    app: str
    ttl: int
    stale: int = 0
    vary: tuple[str, ...] = ()
    largest: int = 10**6
    memory: int = 32 * 10**6

    def text(self) -> str:
        """As the header's value."""
        return json.dumps([self.app, self.ttl, self.stale, list(self.vary), self.largest, self.memory])


@lru_cache(maxsize=1024)
def parse_policy(text: str) -> Policy:
    """The inverse of `Policy.text`. Raises ValueError."""
    app, ttl, stale, vary, largest, memory = json.loads(text)
    return Policy(app, ttl, stale, tuple(vary), largest, memory)


@dataclass(frozen=True)
class Lifetime:
    """Seconds for which an answer is fresh, and after that may still be given."""

    fresh: float
    stale: float


def directives(headers: Headers) -> dict[str, str]:
    """Of Cache-Control, in lower case; a name without a value has an empty one."""
    found: dict[str, str] = {}
    for text in _values(headers, "cache-control"):
        for part in _split(text):
            name, _, value = part.partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _split(text: str) -> list[str]:
    """At commas that are not inside quotes."""
    parts, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]


def _values(headers: Headers, name: str) -> Iterable[str]:
    return (value for key, value in headers if key == name)


def lifetime(status: int, headers: Headers, policy: Policy) -> Lifetime | str:
    """How long the answer may be kept, or in a word why not at all. Names of `headers` are in lower case.

    `s-maxage` is the answer's word to shared caches and holds; `max-age` and Expires can only make it shorter than the
    blueprint says. What must be revalidated is never given stale.
    """
    said = directives(headers)
    for word in ("no-store", "private", "no-cache"):
        if word in said:
            return word
    names = {name for name, _ in headers}
    if "set-cookie" in names:
        return "set-cookie"
    if any("*" in value for value in _values(headers, "vary")):
        return "vary"
    explicit = [seconds for word in ("s-maxage", "max-age") if (seconds := _number(said.get(word))) is not None]
    if status not in KEPT and not (status in KEPT_WHEN_SAID and explicit):
        return "status"
    fresh = _number(said.get("s-maxage"))
    if fresh is None:
        limits = [x for x in (_number(said.get("max-age")), _until_expiry(headers, said)) if x is not None]
        fresh = min(policy.ttl, *limits) if limits else policy.ttl
    fresh -= _number(next(iter(_values(headers, "age")), None)) or 0
    if fresh <= 0:
        return "expired"
    stale = _number(said.get("stale-while-revalidate"))
    if any(word in said for word in ("must-revalidate", "proxy-revalidate")):
        stale = 0
    return Lifetime(fresh, policy.stale if stale is None else stale)


def _number(text: str | None) -> int | None:
    """None when it is absent; zero when it cannot be read (RFC 9111, 4.2.1: then it is stale)."""
    if text is None:
        return None
    return min(int(text), 10**9) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _until_expiry(headers: Headers, said: Mapping[str, str]) -> int | None:
    expires = next(iter(_values(headers, "expires")), None)
    if expires is None or "max-age" in said:
        return None
    try:
        date = next(iter(_values(headers, "date")), "")
        return max(0, int((parsedate_to_datetime(expires) - parsedate_to_datetime(date)).total_seconds()))
    except (ValueError, TypeError):
        return 0


def varies_by(headers: Headers, policy: Policy) -> tuple[str, ...]:
    """The request headers that an answer depends on beyond those that are always part of its key, sorted.

    What the service is not asked with (cookies too) cannot have changed its answer.
    """
    named = {part.strip().lower() for value in _values(headers, "vary") for part in value.split(",") if part.strip()}
    sent = {*PASSED, *policy.vary}
    return tuple(sorted((named & sent) - {*KEYED, *policy.vary, "x-request-id"}))


def keyed(request: Mapping[str, str], policy: Policy, learned: Sequence[str] = ()) -> tuple[str, ...]:
    """The values that tell one answer of a URL from another."""
    return tuple(_folded(name, request.get(name, "")) for name in (*KEYED, *policy.vary, *learned))


def _folded(name: str, value: str) -> str:
    return value.lower().replace(" ", "") if name.startswith("accept") else value


def asked_with(request: Mapping[str, str], policy: Policy) -> list[tuple[str, str]]:
    """The headers that the service gets, in place of all that the client sent."""
    names = ("host", *PASSED, *(name for name in policy.vary if name not in PASSED))
    return [(name, request[name]) for name in names if name in request]


def is_unchanged(request: Mapping[str, str], headers: Headers) -> bool:
    """Whether the client has this answer already (RFC 9110, 13.1): 304 is all it needs."""
    wanted = request.get("if-none-match")
    if wanted is not None:
        tag = next(iter(_values(headers, "etag")), None)
        tags = [part.strip().removeprefix("W/") for part in wanted.split(",")]
        return tag is not None and (tag.removeprefix("W/") in tags or wanted.strip() == "*")
    since, changed = request.get("if-modified-since"), next(iter(_values(headers, "last-modified")), None)
    if since is None or changed is None:
        return False
    try:
        return parsedate_to_datetime(changed) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False
