"""What of a workspace a service is made of: its own folder, the packages it depends on, and what belongs to all.

A folder with a manifest of its own that the service does not depend on is a sibling: a change in it builds nothing.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from golive.blueprint.go_project import workspace_members
from golive.build.source import Tree, narrowed
from golive.errors import BuildFailed

MANIFESTS = ("package.json", "go.mod", "pyproject.toml", "requirements.txt", "Cargo.toml")
_NODE_LISTS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


def inner_of(workspace: str | None, source: str) -> str:
    """The service's folder seen from the root of its workspace; "" when it is the root. ValueError when outside."""
    root, folder = posixpath.normpath(workspace or source), posixpath.normpath(source)
    inner = posixpath.relpath(folder, root)
    if inner.startswith(".."):
        raise ValueError(f"{source} is not inside {workspace}")
    return "" if inner == "." else inner


def part_of_workspace(tree: Tree, inner: str, builder: str) -> Tree:
    """The tree without siblings. Their manifests stay, since installers and Go want to see every member."""
    folders = {e.path.rpartition("/")[0] for e in tree.entries if e.path.rpartition("/")[2] in MANIFESTS} - {""}
    needed = needed_of(tree, inner, builder)
    kept, counted = set(), set()
    for entry in tree.entries:
        owners = [f for f in _folders_above(entry.path) if f in folders]
        if not owners or any(owner in needed for owner in owners) or entry.path.startswith(f"{inner}/"):
            kept.add(entry.path)
            counted.add(entry.path)
        elif entry.path.rpartition("/")[2] in ("package.json", "go.mod", "go.sum", "pyproject.toml"):
            kept.add(entry.path)
            if builder == "go":  # every member's requirements take part in choosing versions
                counted.add(entry.path)
    return narrowed(tree, kept, counted)


def needed_of(tree: Tree, inner: str, builder: str) -> set[str]:
    """`needed_folders` of a tree."""
    files = {entry.path: entry.origin for entry in tree.entries if entry.link is None}
    folders = {path.rpartition("/")[0] for path in files if path.rpartition("/")[2] in MANIFESTS} - {""}
    return needed_folders(inner, builder, folders, files)


def needed_folders(inner: str, builder: str, folders: Iterable[str], files: Mapping[str, str]) -> set[str]:
    """The folders of packages that the service's own depends on, directly or not, itself included."""
    folders = set(folders)
    own = next((f for f in (inner, *_folders_above(inner)) if f in folders or not f), inner)
    graph = _GRAPHS[builder](folders, files) if builder in _GRAPHS else {}
    needed, todo = set(), [own]
    while todo:
        folder = todo.pop()
        if folder not in needed:
            needed.add(folder)
            todo += graph.get(folder, ())
    return needed


def packages_to_build(tree: Tree, inner: str) -> tuple[str, ...]:
    """The packages with a build script that the service depends on, each after those that it depends on itself."""
    files = {entry.path: entry.origin for entry in tree.entries if entry.link is None}
    folders = {path.rpartition("/")[0] for path in files if path.endswith("/package.json")}
    graph = _node_graph(folders, files)
    order: list[str] = []

    def visit(folder: str, above: frozenset[str]) -> None:
        for other in sorted(graph.get(folder, ())):
            if other not in above:
                visit(other, above | {other})
        if folder not in order:
            order.append(folder)

    visit(inner, frozenset({inner}))
    scripts = {f: _json(files.get(_at(f, "package.json"))).get("scripts") or {} for f in order if f != inner}
    return tuple(folder for folder, known in scripts.items() if "build" in known)


def _folders_above(path: str) -> list[str]:
    """`a/b/c` → `a/b`, `a`."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _node_graph(folders: set[str], files: Mapping[str, str]) -> dict[str, set[str]]:
    packages = {f: data for f in (*folders, "") if (data := _json(files.get(_at(f, "package.json"))))}
    by_name = {str(data.get("name")): folder for folder, data in packages.items()}
    graph: dict[str, set[str]] = {}
    for folder, data in packages.items():
        lists = [data[key] for key in _NODE_LISTS if isinstance(data.get(key), dict)]
        wanted = {by_name[name] for names in lists for name in names if name in by_name}
        local = [
            str(v).partition(":")[2] for names in lists for v in names.values() if str(v).startswith(("file:", "link:"))
        ]
        graph[folder] = wanted | {posixpath.normpath(posixpath.join(folder, path)) for path in local}
    return graph


def _go_graph(folders: set[str], files: Mapping[str, str]) -> dict[str, set[str]]:
    texts = {f: text for f in (*folders, "") if (text := _text(files.get(_at(f, "go.mod"))))}
    work = _text(files.get("go.work"))
    used = {"" if member == "." else member for member in workspace_members(work)}
    by_path = {
        m[1]: f for f in used if f in texts and (m := re.search(r"^module\s+\"?([^\s\"]+)", texts[f], re.MULTILINE))
    }
    graph: dict[str, set[str]] = {}
    for folder, text in texts.items():
        required = set(re.findall(r"^\s*(?:require\s+)?([\w.~/-]+)\s+v\d", text, re.MULTILINE))
        replaced = re.findall(r"=>\s*(\.{1,2}/[^\s]*)", text)
        graph[folder] = {by_path[path] for path in required if path in by_path}
        graph[folder] |= {posixpath.normpath(posixpath.join(folder, path)) for path in replaced}
    return graph


def _python_graph(folders: set[str], files: Mapping[str, str]) -> dict[str, set[str]]:
    projects = {f: data for f in (*folders, "") if (data := _toml(files.get(_at(f, "pyproject.toml"))))}
    by_name = {_normal(data.get("project", {}).get("name", "")): folder for folder, data in projects.items()}
    graph: dict[str, set[str]] = {}
    for folder, data in projects.items():
        listed = data.get("project", {}).get("dependencies", [])
        names = {_normal(re.split(r"[^\w.-]", str(item).strip())[0]) for item in listed}
        graph[folder] = {by_name[name] for name in names if name in by_name}
    return graph


_GRAPHS: Mapping[str, Callable[[set[str], Mapping[str, str]], dict[str, set[str]]]] = {
    "node": _node_graph,
    "go": _go_graph,
    "python": _python_graph,
}


def _at(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", str(name)).lower()


def _text(path: str | None) -> str:
    try:
        return Path(path).read_text(errors="replace") if path else ""
    except OSError:
        return ""


def _json(path: str | None) -> dict[str, Any]:
    try:
        data = json.loads(_text(path) or "null")
    except (ValueError, RecursionError) as error:
        raise BuildFailed(f"{path} cannot be read: {error}", hint="it must be JSON") from None
    return data if isinstance(data, dict) else {}


def _toml(path: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except (ValueError, RecursionError):
        return {}
