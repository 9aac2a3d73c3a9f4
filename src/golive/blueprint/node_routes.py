"""Which paths a Node server answers: by Next's files, else constants given to a router, below the prefix it is used at.

A path of a router whose place cannot be told is left out: a wrong health path would fail every deploy.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from golive.blueprint.checkout import Checkout, join

_SCRIPT = re.compile(r"\.(ts|tsx|js|jsx|mjs|cjs)$")
_ROUTE = re.compile(r"""\b(\w+)\.(?:get|all|route|head)\(\s*["'`](/[\w./:-]*)["'`]""")
_ROUTER = re.compile(r"""\b(?:const|let|var)\s+(\w+)[^=\n]*=\s*(?:new\s+)?(?:\w+\.)?(?:Router|router)\(""")
_USED = re.compile(
    r"""\.(?:use|route|register)\(\s*(?:["'`](?P<path>/[\w./:-]*)["'`]\s*,\s*)?"""
    r"""(?:(?P<name>\w+)\s*(?:,\s*\{[^}]*\bprefix\s*:\s*["'`](?P<prefix>/[\w./:-]*)["'`]|"""
    r"""(?!,\s*\{[^}]*\bprefix\b)[,)])|require\(\s*["'`](?P<file>[^"'`]+)["'`]\s*\))"""
)
_IMPORTED = re.compile(
    r"""\bimport\s+(?:(\w+)|\{([^}]*)\})\s+from\s+["'`]([^"'`]+)["'`]|"""
    r"""\b(?:const|let|var)\s+(?:(\w+)|\{([^}]*)\})\s*=\s*require\(\s*["'`]([^"'`]+)["'`]\s*\)"""
)
_PLUGIN = re.compile(
    r"\bexport\s+default\s+(?:async\s+)?(?:function\b|\()|\bmodule\.exports\s*=\s*(?:async\s+)?(?:function\b|\()"
)
MAX_FILES = 400


def routes(checkout: Checkout, folder: str, framework: str | None) -> list[str]:
    """Constant paths that the server answers, in the order of its files."""
    files = [f for f in checkout.below(folder) if _SCRIPT.search(f) and not re.search(r"\.(test|spec|d)\.", f)]
    if framework == "next":
        return list(dict.fromkeys(path for file in files if (path := _of_next(file))))
    texts = {f: checkout.read(join(folder, f)) or "" for f in files if f.count("/") < 4}
    texts = dict(list(texts.items())[:MAX_FILES])
    places = _places(texts)
    return list(dict.fromkeys(path for file, text in texts.items() for path in _in_file(file, text, places)))


def _of_next(file: str) -> str | None:
    plain = _SCRIPT.sub("", file.removeprefix("src/"))
    match = re.fullmatch(r"app/((?:[^/\[]+/)*)route|pages/(api/[^\[]+?)(?:/index)?", plain)
    return "/" + re.sub(r"\([^)]*\)/", "", match[1] or match[2] or "").rstrip("/") if match else None


def _places(texts: Mapping[str, str]) -> dict[str, str]:
    """File → the prefix at which another file uses the router that it exports."""
    found: dict[str, str] = {}
    for file, text in texts.items():
        imported = dict(_imports(file, text))
        for used in _USED.finditer(text):
            asked = used["file"]
            target = _stem(file, asked) if asked else imported.get(used["name"] or "")
            if target:
                found.setdefault(target, used["path"] or used["prefix"] or "")
    return found


def _imports(file: str, text: str) -> Iterator[tuple[str, str]]:
    for one, many, source, name, names, required in _IMPORTED.findall(text):
        place = source or required
        if place.startswith("."):
            for word in re.findall(r"(\w+)\s*(?:,|$)", many or names) or [one or name]:
                yield word, _stem(file, place)


def _stem(file: str, asked: str) -> str:
    """A file without its ending, so that `./health`, `./health.js` and `./health/index.ts` are one."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), asked))
    return re.sub(r"/index$", "", _SCRIPT.sub("", path))


def _in_file(file: str, text: str, places: Mapping[str, str]) -> Iterator[str]:
    routers = set(_ROUTER.findall(text))
    here = {
        used["name"]: used["path"] or used["prefix"] or "" for used in _USED.finditer(text) if used["name"] in routers
    }
    exported = places.get(_stem("", file))
    for owner, path in _ROUTE.findall(text):
        if owner in routers:
            prefix = here.get(owner, exported)
        else:
            prefix = exported if exported is not None and _PLUGIN.search(text) else None if _PLUGIN.search(text) else ""
        if prefix is not None:
            yield (prefix.rstrip("/") + path) if prefix != "/" else path
