"""Which paths a Go program answers: constants given to a router, below the prefixes of the groups they stand in.

net/http, chi, gin, echo, fiber and gorilla/mux are known. A path whose prefix cannot be told is left out: a wrong
health path would fail every deploy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout, join

_ROUTE = re.compile(
    r"""(?P<owner>\w+)\.(?:HandleFunc|Handle|GET|Get|Any|All|HEAD|HandlerFunc|Method)\(\s*(?:["`]GET["`]\s*,\s*)?"""
    r"""["`](?:GET )?(?P<path>/[\w./{}:-]*)["`]"""
)
_GROUP = re.compile(
    r"""(?P<name>\w+)\s*:?=\s*(?P<of>\w+)\.(?:Group\(\s*["`](?P<path>/[\w./{}:-]*)["`]|"""
    r"""PathPrefix\(\s*["`](?P<prefix>/[\w./{}:-]*)["`]\s*\)\.Subrouter\()"""
)
_CLOSURE = re.compile(r"""\.(?:Route|Group)\(\s*["`](?P<path>/[\w./{}:-]*)["`]\s*,\s*func\s*\([^)]*\)\s*\{""")
_MOUNT = re.compile(r"""\.Mount\(\s*["`](?P<path>/[\w./{}:-]*)["`]\s*,\s*(?:\w+\.)*(?P<maker>\w+)\(""")
_FUNCTION = re.compile(r"^func\s+(?:\([^)]*\)\s*)?(?P<name>\w+)\s*\((?P<given>[^{\n]*)\{", re.MULTILINE)
_HANDED = re.compile(
    r"\b(\w+)\s+(?:\*gin\.RouterGroup|gin\.IRoute[rs]|\*echo\.Group|fiber\.Router|chi\.Router|\*mux\.Router)"
)
"""A router that the caller may have put below a prefix."""


@dataclass(frozen=True)
class _Span:
    """A piece of a file, and the prefix of what is routed in it; None when it cannot be told."""

    start: int
    end: int
    prefix: str | None
    owner: str | None = None


def routes(checkout: Checkout, folder: str) -> list[str]:
    """Constant paths given to any router, in the files of the folder, in their order."""
    files = [f for f in checkout.below(folder) if f.endswith(".go") and not f.endswith("_test.go")]
    texts = [checkout.read(join(folder, f)) or "" for f in files if not f.startswith("vendor/")]
    mounted = {found["maker"]: found["path"] for text in texts for found in _MOUNT.finditer(text)}
    return list(dict.fromkeys(path for text in texts for path in _in_file(text, mounted)))


def _in_file(text: str, mounted: dict[str, str]) -> Iterator[str]:
    closures = [_Span(m.end(), _end(text, m.end()), m["path"]) for m in _CLOSURE.finditer(text)]
    functions = list(_functions(text, mounted))
    for found in _ROUTE.finditer(text):
        at, owner = found.start(), found["owner"]
        inside = [span for span in closures if span.start <= at < span.end]
        function = [span for span in functions if span.start <= at < span.end]
        groups = _groups(text[function[0].start if function else 0 : at])
        around = _around(function, _root(owner, groups), closed=bool(inside))
        prefixes = [*around, *(span.prefix for span in inside), _below(owner, groups)]
        if None not in prefixes:
            yield _joined([*(prefix for prefix in prefixes if prefix), found["path"]])


def _around(functions: list[_Span], root: str, *, closed: bool) -> list[str | None]:
    """The prefixes that a function's caller gives to what is routed in it by `root`, or in a closure."""
    return [span.prefix for span in functions if span.owner is None or closed or span.owner == root]


def _functions(text: str, mounted: dict[str, str]) -> Iterator[_Span]:
    """Functions whose router is not the program's own: mounted elsewhere, or handed to them."""
    for found in _FUNCTION.finditer(text):
        end = _end(text, found.end())
        if found["name"] in mounted:
            yield _Span(found.end(), end, mounted[found["name"]])
        elif handed := _HANDED.search(found["given"]):
            yield _Span(found.end(), end, None, handed[1])


def _groups(text: str) -> dict[str, tuple[str, str]]:
    """Variable → the one it is a group of, and the group's prefix."""
    return {m["name"]: (m["of"], m["path"] or m["prefix"]) for m in _GROUP.finditer(text)}


def _below(owner: str, groups: dict[str, tuple[str, str]]) -> str:
    parts: list[str] = []
    while owner in groups and len(parts) < 10:
        owner, prefix = groups[owner]
        parts.insert(0, prefix)
    return _joined(parts) if parts else ""


def _root(owner: str, groups: dict[str, tuple[str, str]]) -> str:
    for _ in range(10):
        owner = groups.get(owner, (owner, ""))[0]
    return owner


def _joined(parts: list[str]) -> str:
    return "/" + "/".join(part.strip("/") for part in parts if part.strip("/"))


def _end(text: str, start: int) -> int:
    """Behind the bracket that closes the one before `start`; strings are not looked into."""
    depth = 1
    for found in re.finditer(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|//[^\n]*|[{}]', text[start:]):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return start + found.end()
    return len(text)
