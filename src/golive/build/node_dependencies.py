"""What a Node service depends on: its lock file, who installs from it, which install scripts the project approves."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golive.blueprint.models import BuildRecipe
from golive.blueprint.node_project import LOCKS
from golive.build.key import digest_key, this_platform
from golive.build.source import Entry, Tree
from golive.build.toolchains import Toolchain
from golive.errors import BuildFailed

_DECIDING = (
    "name", "version", "bin", "dependencies", "devDependencies", "optionalDependencies", "peerDependencies",
    "peerDependenciesMeta", "overrides", "resolutions", "workspaces", "packageManager", "pnpm", "dependenciesMeta",
    "allowScripts", "trustedDependencies", "bundleDependencies",
)  # fmt: skip
_SETTINGS = re.compile(
    r"(^|/)(\.npmrc|\.yarnrc|\.yarnrc\.yml|pnpm-workspace\.yaml|\.pnpmfile\.cjs)$|(^|/)patches/|^\.yarn/(patches|releases|plugins)/"
)
_PNPM_OF_LOCK = {"5": "8", "6": "8", "9": "10"}
"""The newest pnpm that reads a lock file of that version without changing it."""


@dataclass(frozen=True)
class NodeDependencies:
    """Whatever decides `node_modules`. `manager` is npm, pnpm, yarn (classic) or berry, `version` the one asked for.

    `lock` is relative to the tree, None when there is none; `files` are what an installer has to see, with their
    origins; `members` the folders with a package.json; `approved` the packages whose install scripts the project lets
    run. `development`: there are packages that a running service does not need.
    """

    manager: str
    version: str | None
    integrity: str | None
    lock: str | None
    digest: str
    files: Mapping[str, str] = field(repr=False)
    members: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    development: bool = False
    local: bool = False
    empty: bool = False


def read_node_dependencies(tree: Tree, recipe: BuildRecipe, inner: str) -> NodeDependencies:
    """Read what is installed. BuildFailed for a package.json that is missing or no JSON object."""
    entries = {entry.path: entry for entry in tree.entries}
    manifests = {path: entry for path, entry in entries.items() if path.rpartition("/")[2] == "package.json"}
    own = f"{inner}/package.json" if inner else "package.json"
    if own not in manifests:
        raise BuildFailed(f"{own} does not exist", where=str(tree.root), hint="see `source` of the service")
    data = {path: _read(entry) for path, entry in manifests.items()}
    top = data.get("package.json", data[own])
    lock = recipe.dependencies or next((name for name in LOCKS if name in entries), None)
    if lock is not None and lock not in entries:
        where, hint = str(tree.root), "commit it, or see `build.dependencies` of the service"
        raise BuildFailed(f"the lock file {lock} does not exist", where=where, hint=hint)
    text = _start(entries[lock]) if lock else ""
    kind, version, integrity = manager_of(recipe, top, lock, text, entries)
    settings = {path: entry for path, entry in entries.items() if _SETTINGS.search(path)}
    parts = [json.dumps([path, {k: d[k] for k in _DECIDING if k in d}], sort_keys=True) for path, d in data.items()]
    parts += [f"{path} {entry.digest}" for path, entry in settings.items()]
    parts += [entries[lock].digest if lock else "no lock", kind, version or ""]
    locked = {lock: entries[lock]} if lock else {}
    values = list(data.values())
    return NodeDependencies(
        manager=kind,
        version=version,
        integrity=integrity,
        lock=lock,
        digest=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
        files={path: entry.origin for path, entry in (manifests | settings | locked).items()},
        members=tuple(path.rpartition("/")[0] for path in manifests),
        approved=tuple(sorted(_approved(top, settings))),
        development=any(_names(d, "devDependencies") for d in values),
        local=len(manifests) > 1 or any(_is_local(v) for d in values for v in _names(d, "dependencies").values()),
        empty=not any(
            _names(d, key) for d in values for key in ("dependencies", "devDependencies", "optionalDependencies")
        ),
    )


def node_layer_key(node: NodeDependencies, toolchain: Toolchain, *, production: bool) -> str:
    """The name of the layer with the packages that run the service (`production`), or with those that build it too.

    Compiled packages are for one Node and one platform.
    """
    needed = "production" if production and node.development else "all"
    return digest_key("node-layer", [node.digest, toolchain.version, this_platform(), needed])


def _read(entry: Entry) -> dict[str, Any]:
    try:
        data = json.loads(Path(entry.origin).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BuildFailed(f"{entry.path} cannot be read: {error}", hint="it must be a JSON object") from None
    if not isinstance(data, dict):
        raise BuildFailed(f"{entry.path} cannot be read: it is not a JSON object")
    return data


def _names(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _is_local(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("file:", "link:", "workspace:", "portal:"))


def manager_of(
    recipe: BuildRecipe, top: Mapping[str, Any], lock: str | None, text: str, names: Collection[str]
) -> tuple[str, str | None, str | None]:
    """Who installs, the version asked for, and the hash that `packageManager` pins it by. Pure.

    `top` is package.json of the workspace's root, `text` the beginning of the lock file, `names` the files beside it.
    """
    named = re.fullmatch(r"(npm|pnpm|yarn)@([\w.-]+)(?:\+(sha\d+\.[0-9a-f]+))?", str(top.get("packageManager", "")))
    manager = recipe.package_manager or (named[1] if named else LOCKS.get((lock or "").rpartition("/")[2], "npm"))
    version, integrity = (named[2], named[3]) if named and named[1] == manager else (None, None)
    if manager == "pnpm" and version is None:
        found = re.search(r"lockfileVersion:\s*['\"]?(\d+)", text)
        version = _PNPM_OF_LOCK.get(found[1] if found else "9", "10")
    if manager == "yarn":
        berry = "__metadata:" in text or ".yarnrc.yml" in names or (version or "1").split(".")[0] not in ("1", "")
        return ("berry", version or "4", None) if berry else ("yarn", version or "1", integrity)
    return manager, version, integrity


def _start(entry: Entry) -> str:
    with Path(entry.origin).open(encoding="utf-8", errors="replace") as file:
        return file.read(400)


def _approved(top: Mapping[str, Any], settings: Mapping[str, Entry]) -> Iterator[str]:
    """npm's `allowScripts`, pnpm's `onlyBuiltDependencies` and `allowBuilds`, yarn's `dependenciesMeta`, bun's list."""
    for name, allowed in _names(top, "allowScripts").items():
        if allowed is True:
            yield re.sub(r"(?<=.)@[^@/]*$", "", name)
    for listed in (top.get("trustedDependencies"), _names(top, "pnpm").get("onlyBuiltDependencies")):
        yield from (name for name in listed if isinstance(name, str)) if isinstance(listed, list) else ()
    for name, meta in _names(top, "dependenciesMeta").items():
        if isinstance(meta, dict) and meta.get("built") is True:
            yield name
    if entry := settings.get("pnpm-workspace.yaml"):
        yield from approved_in_yaml(Path(entry.origin).read_text(errors="replace"))


def approved_in_yaml(text: str) -> Iterator[str]:
    """The names under `onlyBuiltDependencies:` (a list) and `allowBuilds:` (a map) of pnpm-workspace.yaml. Pure."""
    lines = {
        "onlyBuiltDependencies": re.compile(r"""\s*-\s*["']?([^"'\s]+)"""),
        "allowBuilds": re.compile(r"""\s*["']?([^"':\s]+)["']?:\s*true\b"""),
    }
    inside = ""
    for line in text.splitlines():
        if re.match(r"\S", line):
            inside = line.split(":")[0]
        elif inside in lines and (item := lines[inside].match(line)):
            yield item[1]
