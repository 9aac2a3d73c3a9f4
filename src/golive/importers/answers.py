"""Which paths an application's code answers, so that the edge sends it those and no others: read, never run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.node_routes import routes as files_of_next

MAX_FILES = 400
MAX_BYTES = 300_000
MAX_NARROW = 8
"""Prefixes of one service, beyond which a list says less than a note."""
_SUFFIXES = (".py", ".go", ".js", ".ts", ".mjs", ".cjs")
_NOT_THE_APPS = re.compile(
    r"(?:^|/)(?:tests?|__tests__|spec|e2e|fixtures|testdata|testkit|node_modules|vendor|docs?|dist)/|"
    r"(?:\.|_)(?:test|spec)\.|(?:^|/)(?:test_|conftest)|\.config\.|\.d\.ts$"
)
_LITERAL = re.compile(r"""(?<![\w)\]+])(?<!\+ )["'`](?:[A-Z]+ )?(/[A-Za-z][\w./{}:<>$*()-]*)["'`]""")
_DJANGO = re.compile(r"""\b(?:re_)?path\(\s*r?["']\^?([a-z][\w-]*/)""")
_HEALTH = re.compile(r"/(?:health|healthz|readiness|ready|readyz|liveness|livez|live)")


def served_prefixes(checkout: Checkout, source: str, name: str, shadowed: Iterable[str] = ()) -> list[str]:
    """The prefixes under which the code of a folder answers: of its API and its health paths; empty when it knows none.

    `shadowed` are paths that a service at `/` answers itself: a prefix that would take them is cut into narrower ones.
    """
    paths = list(dict.fromkeys(_paths(checkout, source)))
    groups = ([p for p in paths if _under(p, root)] for root in ("/api", f"/{name}", "/graphql", "/v1", "/v2"))
    own = next((group for group in groups if group), [])
    if not own:
        return []
    kept = list(shadowed)
    prefixes = [_common(own)]
    if any(_under(path, prefixes[0]) for path in kept):
        narrow = dict.fromkeys(_first(path, len(_segments(prefixes[0])) + 1) for path in own)
        prefixes = [p for p in narrow if p != prefixes[0] and not any(_under(path, p) for path in kept)][:MAX_NARROW]
    health = [p for p in paths if _HEALTH.fullmatch(p) and not any(_under(p, prefix) for prefix in prefixes)]
    return [*prefixes, *(p for p in dict.fromkeys(health) if p not in kept)]


def paths_of_next(checkout: Checkout, source: str) -> list[str]:
    """What a Next.js application answers below `/api` by files of its own."""
    return [path for path in files_of_next(checkout, source, "next") if _under(path, "/api")]


def _paths(checkout: Checkout, source: str) -> Iterator[str]:
    files = [f for f in checkout.below(source) if f.endswith(_SUFFIXES) and not _NOT_THE_APPS.search(f)]
    for file in files[:MAX_FILES]:
        text = (checkout.read(join(source, file)) or "")[:MAX_BYTES]
        yield from (path.rstrip("/") or "/" for path in _LITERAL.findall(text))
        if file.rpartition("/")[2] == "urls.py":
            yield from (f"/{path}".rstrip("/") for path in _DJANGO.findall(text))


def _segments(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _first(path: str, count: int) -> str:
    plain = []
    for part in _segments(path)[:count]:
        if not re.fullmatch(r"[\w.-]+", part):
            break
        plain.append(part)
    return "/" + "/".join(plain)


def _common(paths: list[str]) -> str:
    """What all of them begin with: the root of the API and its version, never one resource only."""
    first, *rest = (_segments(path) for path in paths)
    length = 1
    versioned = len(first) > 1 and re.fullmatch(r"v\d+", first[1])
    if versioned and all(other[1:2] == first[1:2] for other in rest):
        length = 2
    return "/" + "/".join(first[:length])


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")
