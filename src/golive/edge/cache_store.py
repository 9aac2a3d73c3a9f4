"""What the response cache holds in memory: answers by app, each app within its own bound, least recently used first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NamedTuple

from golive.edge.cache_policy import HOP_BY_HOP, Headers, Lifetime, Policy, is_unchanged, keyed, varies_by

OVERHEAD: Final = 2048
"""Bytes that an answer costs beside its body, its head and the words with which it was asked for."""
PASSING: Final = 4096
"""URLs remembered as not to be kept."""
PASS_FOR: Final = 10.0
"""Seconds for which requests for such a URL do not wait for each other."""
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_ON_304: Final = ("cache-control", "content-location", "date", "etag", "expires", "last-modified", "vary")


class Url(NamedTuple):
    """What is asked for: of a generation (its cluster), under a host, the path with its query as the service sees it.

    The generation is part of it, so a deploy begins with an empty cache and never gives an older release's answer.
    """

    origin: str
    host: str
    target: str


class Key(NamedTuple):
    """One answer: a URL and the values of the request headers that it depends on."""

    url: Url
    values: tuple[str, ...]


@dataclass(slots=True)
class Kept:
    """An answer. Times in seconds of the loop's clock; `head` lacks its empty line, so that more can follow."""

    path: str
    status: int
    headers: Headers
    head: bytes
    short: bytes
    body: bytes
    stored: float
    fresh_until: float
    stale_until: float
    retry_at: float = 0.0

    def answer(self, request: Mapping[str, str], now: float, status: str) -> tuple[bytes, bytes]:
        """Head and body for a client. `status` is what Cache-Status says after the cache's name.

        Only of a success may a client be told that it has it already (RFC 9110, 13.2.1).
        """
        age = max(0, int(now - self.stored))
        rest = f"age: {age}\r\ncache-status: golive; {status}; ttl={int(self.fresh_until - now)}\r\n\r\n".encode()
        if self.status < 300 and is_unchanged(request, self.headers):
            return self.short + rest, b""
        return self.head + rest, self.body


def head_of(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Status line and headers, without the empty line."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def end_to_end(headers: Headers) -> Headers:
    """Without what is between two neighbours only, Content-Length and Age too."""
    named = {part.strip().lower() for name, value in headers if name == "connection" for part in value.split(",")}
    return [(n, v) for n, v in headers if n not in HOP_BY_HOP and n not in named and n != "age"]


def keep(path: str, status: int, headers: Headers, body: bytes, life: Lifetime, now: float) -> Kept:
    """An answer as it is stored."""
    own = end_to_end(headers)
    age = next((int(v) for n, v in headers if n == "age" and v.isdecimal()), 0)
    head = head_of(status, [*own, ("content-length", str(len(body)))])
    short = head_of(304, [(n, v) for n, v in own if n in _ON_304])
    fresh = now + life.fresh
    return Kept(path, status, own, head, short, body, now - age, fresh, fresh + life.stale)


@dataclass
class Counts:
    """Of requests. `stale` are hits too old, given while a newer answer was fetched; `joined` waited for another's."""

    hits: int = 0
    stale: int = 0
    misses: int = 0
    joined: int = 0
    passed: int = 0
    failed: int = 0


@dataclass(slots=True)
class Page:
    """A URL: the request headers that its answers say they depend on, and the values of which there is one."""

    names: tuple[str, ...] = ()
    values: set[tuple[str, ...]] = field(default_factory=set)


@dataclass
class Shelf:
    """One app's answers."""

    budget: int = 0
    bytes: int = 0
    kept: OrderedDict[Key, Kept] = field(default_factory=OrderedDict)
    pages: dict[Url, Page] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)


class Store:
    """Not for use by several threads."""

    def __init__(self) -> None:
        self.shelves: dict[str, Shelf] = {}
        self._passing: OrderedDict[int, float] = OrderedDict()
        """By hash: a URL is anybody's words, and two of the same hash only do not wait."""

    def shelf(self, policy: Policy) -> Shelf:
        found = self.shelves.get(policy.app)
        if found is None:
            found = self.shelves[policy.app] = Shelf()
        found.budget = policy.memory
        return found

    def key(self, url: Url, request: Mapping[str, str], policy: Policy) -> Key:
        """Of the answer to a request, as far as is known what it depends on."""
        page = self.shelf(policy).pages.get(url)
        return Key(url, keyed(request, policy, page.names if page else ()))

    def find(self, key: Key, policy: Policy, now: float) -> Kept | None:
        """The answer, fresh or stale; None when there is none that may still be given."""
        shelf = self.shelf(policy)
        found = shelf.kept.get(key)
        if found is None:
            return None
        if now >= found.stale_until:
            self._remove(shelf, key)
            return None
        shelf.kept.move_to_end(key)
        return found

    def put(self, url: Url, request: Mapping[str, str], policy: Policy, kept: Kept) -> None:
        """Keep it, in place of others that were not asked for as recently. What Vary says is learned from it."""
        shelf = self.shelf(policy)
        page = shelf.pages.get(url, Page())
        names = tuple(sorted({*page.names, *varies_by(kept.headers, policy)}))
        if names != page.names:
            for values in list(page.values):
                self._remove(shelf, Key(url, values))
        key = Key(url, keyed(request, policy, names))
        self._remove(shelf, key)
        page = shelf.pages.setdefault(url, Page(names))
        page.values.add(key.values)
        shelf.kept[key] = kept
        shelf.bytes += _cost(key, kept)
        while shelf.bytes > shelf.budget and shelf.kept:
            self._remove(shelf, next(iter(shelf.kept)))

    def drop(self, key: Key, policy: Policy) -> None:
        self._remove(self.shelf(policy), key)

    def _remove(self, shelf: Shelf, key: Key) -> None:
        found = shelf.kept.pop(key, None)
        if found is None:
            return
        shelf.bytes -= _cost(key, found)
        page = shelf.pages[key.url]
        page.values.discard(key.values)
        if not page.values:
            del shelf.pages[key.url]

    def passes(self, url: Url, now: float) -> bool:
        """Whether an answer of this URL was not one to keep a moment ago."""
        return self._passing.get(hash(url), 0.0) > now

    def let_pass(self, url: Url, now: float) -> None:
        self._passing[hash(url)] = now + PASS_FOR
        self._passing.move_to_end(hash(url))
        while len(self._passing) > PASSING:
            self._passing.popitem(last=False)

    def purge(self, app: str, path: str | None) -> int:
        """Forget an app's answers at a path, as clients ask for it, and below; all of them without one. How many."""
        shelf = self.shelves.get(app)
        if shelf is None:
            return 0
        base = (path or "/").rstrip("/")
        gone = [key for key, kept in shelf.kept.items() if _under(kept.path.partition("?")[0], base)]
        for key in gone:
            self._remove(shelf, key)
        return len(gone)

    def sweep(self, now: float) -> None:
        """Give back the memory of what is too old."""
        for shelf in self.shelves.values():
            for key in [key for key, kept in shelf.kept.items() if now >= kept.stale_until]:
                self._remove(shelf, key)

    def facts(self) -> dict[str, dict[str, int]]:
        """By app: counts, and how much there is. As JSON."""
        return {
            app: {**vars(shelf.counts), "answers": len(shelf.kept), "bytes": shelf.bytes, "memory": shelf.budget}
            for app, shelf in self.shelves.items()
        }


def _cost(key: Key, kept: Kept) -> int:
    """Bytes, about."""
    words = (*key.url, *key.values, kept.path)
    return len(kept.body) + len(kept.head) + len(kept.short) + sum(map(len, words)) + OVERHEAD


def _under(path: str, base: str) -> bool:
    return path == base or path.startswith(base + "/") or not base
