"""What a Node folder says about itself: its package.json, framework, package manager, workspace and version."""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.go_project import above

LOCKS: Mapping[str, str] = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
}
SERVERS = (
    "express", "fastify", "koa", "@nestjs/core", "@hapi/hapi", "hono", "polka", "restify", "@hono/node-server",
    "@apollo/server", "graphql-yoga", "socket.io", "ws", "@feathersjs/feathers", "@adonisjs/core", "h3", "elysia",
)  # fmt: skip
_FRAMEWORKS: tuple[tuple[str, str, str], ...] = (
    ("next", "next", "out"),
    ("nuxt", "nuxt", ".output/public"),
    ("@sveltejs/kit", "sveltekit", "build"),
    ("astro", "astro", "dist"),
    ("gatsby", "gatsby", "public"),
    ("@docusaurus/core", "docusaurus", "build"),
    ("react-scripts", "create-react-app", "build"),
    ("@vue/cli-service", "vue-cli", "dist"),
    ("@angular/core", "angular", "dist"),
    ("@11ty/eleventy", "eleventy", "_site"),
    ("vite", "vite", "dist"),
    ("parcel", "parcel", "dist"),
)
"""The package that shows a framework, golive's name for it, and the folder its build writes pages to."""
PREFIXES: Mapping[str, str] = {
    "next": "NEXT_PUBLIC_",
    "vite": "VITE_",
    "astro": "PUBLIC_",
    "sveltekit": "PUBLIC_",
    "create-react-app": "REACT_APP_",
    "vue-cli": "VUE_APP_",
    "gatsby": "GATSBY_",
    "nuxt": "NUXT_PUBLIC_",
}
"""The prefix without which a framework keeps a variable out of the browser."""
_CONFIG = ("js", "mjs", "cjs", "ts", "mts", "cts")


@dataclass(frozen=True)
class Project:
    """A folder with a package.json. `root` is the folder of its workspace or itself, relative to the checkout."""

    folder: str
    root: str
    data: Mapping[str, Any] = field(repr=False)
    top: Mapping[str, Any] = field(repr=False)
    framework: str | None
    output: str | None

    @property
    def evidence(self) -> str:
        return join(self.folder, "package.json")

    @property
    def scripts(self) -> dict[str, str]:
        return {name: line for name, line in table(self.data, "scripts").items() if isinstance(line, str)}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for key in ("dependencies", "devDependencies") for name in table(self.data, key))

    @property
    def is_application(self) -> bool:
        """Something that runs or is served, and not only tools for another application's front end."""
        known = self.framework is not None and (self.framework not in ("vite", "parcel") or "build" in self.scripts)
        return known or bool(self.names & set(SERVERS)) or "start" in self.scripts


def find_project(checkout: Checkout, folder: str, *, sure: bool = False) -> Project | None:
    """The project of a folder with a package.json that builds or starts something; any package.json when `sure`."""
    data = read_json(checkout, join(folder, "package.json"))
    if data is None:
        return None
    root = workspace_of(checkout, folder) or folder
    framework = next(((name, out) for package, name, out in _FRAMEWORKS if _depends(data, package)), None)
    project = Project(
        folder=folder,
        root=root,
        data=data,
        top=data if root == folder else read_json(checkout, join(root, "package.json")) or {},
        framework=framework[0] if framework else None,
        output=framework[1] if framework else None,
    )
    startable = {"build", "start"} & set(project.scripts) or project.is_application or _main(project)
    return project if sure or startable else None


def read_json(checkout: Checkout, path: str) -> dict[str, Any] | None:
    """A JSON object of the checkout; None when it is not there or is not one."""
    try:
        data = json.loads(checkout.read(path) or "")
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def node_version(checkout: Checkout, project: Project) -> tuple[str, str] | None:
    """A range as npm writes it and the file that asks for it: what pins a version before what only bounds it."""
    for place in dict.fromkeys((project.folder, project.root)):
        for name in (".nvmrc", ".node-version"):
            text = (checkout.read(join(place, name)) or "").strip()
            if text and "\n" not in text:
                return text.removeprefix("v"), join(place, name)
        if pinned := re.search(r"^nodejs?\s+v?(\S+)", checkout.read(join(place, ".tool-versions")) or "", re.MULTILINE):
            return pinned[1], join(place, ".tool-versions")
        data = project.data if place == project.folder else project.top
        for key in ("volta", "engines"):
            asked = table(data, key).get("node")
            if isinstance(asked, str) and asked.strip() not in ("", "*"):
                return asked.strip(), join(place, "package.json")
    return None


def package_manager(checkout: Checkout, project: Project) -> tuple[str | None, str, list[str]]:
    """Who installs, the file that shows it, and the lock files that are there (relative to the workspace's root)."""
    found = [name for name in LOCKS if checkout.read(join(project.root, name)) is not None]
    named = project.top.get("packageManager")
    if isinstance(named, str) and (match := re.match(r"(npm|pnpm|yarn)@", named)):
        return match[1], join(project.root, "package.json"), found
    managers = {LOCKS[name] for name in found}
    if len(managers) == 1:
        return managers.pop(), join(project.root, found[0]), found
    return ("npm" if not managers else None), project.evidence, found


def workspace_of(checkout: Checkout, folder: str) -> str | None:
    """The nearest folder above whose workspace has this folder among its members; None when it is on its own."""
    for place in above(folder):
        if place != folder and posixpath.normpath(folder) in members(checkout, place):
            return place
    return folder if members(checkout, folder) else None


def members(checkout: Checkout, root: str) -> list[str]:
    """The folders of a workspace's packages, relative to the checkout; empty when the folder is no workspace."""
    patterns = list(_patterns(checkout, root))
    folders = [f.rpartition("/")[0] for f in checkout.below(root) if f.endswith("/package.json")]
    return [posixpath.normpath(join(root, folder)) for folder in folders if is_member(folder, patterns)]


def is_member(folder: str, patterns: list[str]) -> bool:
    """Whether a folder, relative to the workspace's root, is one of its packages. Later patterns win. Pure."""
    inside = False
    for pattern in patterns if folder else ():
        sign, glob = (False, pattern[1:]) if pattern.startswith("!") else (True, pattern)
        if _matches(folder.split("/"), posixpath.normpath(glob).split("/")):
            inside = sign
    return inside


def _matches(parts: list[str], glob: list[str]) -> bool:
    if not glob:
        return not parts
    if glob[0] == "**":
        return any(_matches(parts[n:], glob[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], glob[0]) and _matches(parts[1:], glob[1:])


def _patterns(checkout: Checkout, root: str) -> Iterator[str]:
    data = read_json(checkout, join(root, "package.json")) or {}
    listed = data.get("workspaces")
    yield from workspace_patterns(listed, checkout.read(join(root, "pnpm-workspace.yaml")))


def workspace_patterns(listed: Any, pnpm: str | None) -> Iterator[str]:
    """The globs of `workspaces` in package.json, or of `packages:` in pnpm-workspace.yaml. Pure."""
    if isinstance(listed, dict):
        listed = listed.get("packages")
    if isinstance(listed, list):
        yield from (item for item in listed if isinstance(item, str))
    inside = False
    for line in (pnpm or "").splitlines():
        if re.match(r"\S", line):
            inside = line.startswith("packages:")
        if inside and (item := re.match(r"""\s*-\s*["']?([^"'#\s]+)""", line)):
            yield item[1]
        if flow := re.match(r"packages:\s*\[(.*)\]", line):
            yield from (word.strip().strip("\"'") for word in flow[1].split(",") if word.strip())


def config_text(checkout: Checkout, project: Project, name: str) -> tuple[str, str]:
    """The text of `<name>.config.*` without its comments, and its path; two empty strings when there is none."""
    for suffix in _CONFIG:
        path = join(project.folder, f"{name}.config.{suffix}")
        if text := checkout.read(path):
            return re.sub(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", "", text, flags=re.DOTALL), path
    return "", ""


def _depends(data: Mapping[str, Any], package: str) -> bool:
    return any(package in table(data, key) for key in ("dependencies", "devDependencies"))


def _main(project: Project) -> bool:
    main = project.data.get("main")
    return isinstance(main, str) and bool(table(project.data, "dependencies"))
