"""What a service depends on: the files that list it, whether golive can install from them, and their digest."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from golive.build.python_locks import LOCKS, translate
from golive.errors import BuildFailed

_LATER = {"Pipfile": "pipenv"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCAL = re.compile(r"^\s*(-e\b|--editable\b|\.{1,2}(/|\\|$|\[)|[^#]*@\s*file:|[^#\s]*/[^#\s]*\.(whl|tar\.gz|zip)\b)")


@dataclass(frozen=True)
class Dependencies:
    """`file` is relative to the source. `digest` covers all it includes; `local`: it names folders of the source.

    `hashed`: every requirement carries hashes, so that anything without one is refused. `pinned` are the requirements
    that another tool's lock file was translated to.
    """

    file: str
    digest: str
    local: bool = False
    hashed: bool = False
    pinned: tuple[str, ...] = ()
    package: str | None = None
    """The member of a uv workspace whose dependencies these are."""

    @property
    def locked(self) -> bool:
        """Installed by `uv sync` from a lock."""
        return self.file.rpartition("/")[2] == "uv.lock"


def read_dependencies(root: Path, file: str | None, member: str = "") -> Dependencies | None:
    """Read the file a service lists its dependencies in. Raises BuildFailed when it cannot be installed from.

    `member` is the service's folder in a uv workspace whose root is `root`.
    """
    if file is None:
        return None
    path = root / file
    tool = _LATER.get(path.name)
    if tool:
        raise _other_tool(file, tool)
    if not path.is_file():
        raise BuildFailed(f"{file} does not exist", where=str(root), hint="see `build.dependencies` of the service")
    if path.name == "uv.lock":
        return _member(root, file, member) if member else _lock(root, file)
    if path.name in LOCKS:
        return _translated(root, file)
    if path.name == "pyproject.toml":
        return _project(root, file)
    return _requirements(root, file)


def stale(project: dict[str, Any], lock: dict[str, Any]) -> tuple[str, ...]:
    """Direct dependencies of a pyproject.toml that its uv.lock does not hold. Pure."""
    names = [_normal(text) for text in project.get("project", {}).get("dependencies", []) if isinstance(text, str)]
    locked = {_normal(str(package.get("name", ""))) for package in lock.get("package", [])}
    return tuple(name for name in names if name and name not in locked)


def _lock(root: Path, file: str) -> Dependencies:
    path = root / file
    project_file = path.with_name("pyproject.toml")
    if not project_file.is_file():
        raise BuildFailed(f"{file} has no pyproject.toml beside it", where=str(root), hint="commit both files")
    project, lock = _toml(project_file), _toml(path)
    if missing := stale(project, lock):
        raise BuildFailed(
            f"{file} is older than pyproject.toml: {', '.join(missing)} is not in it",
            hint="run `uv lock` and commit uv.lock",
        )
    sources = [package.get("source", {}) for package in lock.get("package", []) if isinstance(package, dict)]
    folders = [source.get(kind) for source in sources for kind in ("directory", "editable", "virtual", "path")]
    local = any(folder not in (None, ".") for folder in folders)
    return Dependencies(file, _digest(path.read_bytes(), project_file.read_bytes()), local)


def _member(root: Path, file: str, member: str) -> Dependencies:
    """One package of a workspace. Other members are not installed: their source is beside it, on PYTHONPATH."""
    whole = _lock(root, file)
    project = _toml(root / member / "pyproject.toml")
    if missing := stale(project, _toml(root / file)):
        raise BuildFailed(
            f"{file} is older than {member}/pyproject.toml: {', '.join(missing)} is not in it",
            hint="run `uv lock` and commit uv.lock",
        )
    name = str(project.get("project", {}).get("name", ""))
    return replace(whole, digest=_digest(whole.digest.encode(), name.encode()), local=False, package=name)


def _translated(root: Path, file: str) -> Dependencies:
    """poetry's, pipenv's or pdm's lock file. What it says decides, not how it says it."""
    path = root / file
    project = path.with_name("pyproject.toml")
    if path.name == "poetry.lock" and not project.is_file():
        raise BuildFailed(f"{file} has no pyproject.toml beside it", where=str(root), hint="commit both files")
    try:
        pinned = translate(path.name, path.read_text(), project.read_text() if project.is_file() else "")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildFailed(f"{file} cannot be read: {error}", where=str(root)) from None
    hashed = bool(pinned) and all("--hash=" in line for line in pinned)
    return Dependencies(file, _digest("\n".join(pinned).encode()), hashed=hashed, pinned=pinned)


def _project(root: Path, file: str) -> Dependencies:
    project = _toml(root / file)
    if "project" not in project and "poetry" in project.get("tool", {}):
        raise _other_tool(file, "poetry")
    listed = project.get("project", {})
    parts = [listed.get("dependencies", []), listed.get("requires-python"), listed.get("dynamic", [])]
    uv = project.get("tool", {}).get("uv", {})
    local = "dependencies" in listed.get("dynamic", []) or any(
        isinstance(source, dict) and ("path" in source or "workspace" in source)
        for source in uv.get("sources", {}).values()
    )
    return Dependencies(file, _digest(repr([parts, uv]).encode()), local)


def _requirements(root: Path, file: str) -> Dependencies:
    texts: dict[Path, str] = {}
    _collect(root, root / file, texts)
    content = "\n".join(texts.values())
    lines = [line for line in content.replace("\\\n", " ").splitlines() if _is_requirement(line)]
    hashed = bool(lines) and all("--hash=" in line for line in lines)
    parts = [part.encode(errors="surrogateescape") for part in texts.values()]
    return Dependencies(file, _digest(*parts), any(_LOCAL.match(line) for line in content.splitlines()), hashed)


def _collect(root: Path, path: Path, texts: dict[Path, str]) -> None:
    """A requirements file and the ones that it includes, each once."""
    if path in texts:
        return
    try:
        texts[path] = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        raise BuildFailed(f"{shown} cannot be read: {error}", where=str(root)) from None
    for line in texts[path].splitlines():
        included = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]*([^\s#]+)", line)
        if included and "://" not in included[1]:
            _collect(root, (path.parent / included[1]).resolve(), texts)


def _is_requirement(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith(("#", "-"))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BuildFailed(f"{path.name} cannot be read: {error}", where=str(path)) from None


def _normal(requirement: str) -> str:
    """The name of a requirement as PEP 503 writes it."""
    name = _NAME.match(requirement.strip())
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


def _digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(b"%d:" % len(part) + part)
    return total.hexdigest()


def _other_tool(file: str, tool: str) -> BuildFailed:
    return BuildFailed(
        f"{file} of {tool} says what is wanted, not what is installed",
        hint=f"run `{tool} lock` and commit the lock file beside it",
    )
