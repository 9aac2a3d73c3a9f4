"""Lock files of poetry, pipenv and pdm as a list of pinned requirements with hashes, which uv installs.

Only what runs in production: the main group. Extras that the project asks for of a package are followed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from golive.errors import BuildFailed

Requirements = tuple[str, ...]


def translate(name: str, lock: str, project: str) -> Requirements:
    """The requirements of a lock file called `name`; `project` is the text of pyproject.toml beside it (for poetry).

    Raises BuildFailed when it is not what its name says, or names what no index has (a folder, a git repository).
    """
    try:
        if name == "Pipfile.lock":
            return from_pipenv(json.loads(lock))
        data = tomllib.loads(lock)
        return from_pdm(data) if name == "pdm.lock" else from_poetry(data, tomllib.loads(project or ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BuildFailed(f"{name} cannot be read: {error}", hint="lock again with the tool that wrote it") from None


def from_pipenv(lock: Mapping[str, Any]) -> Requirements:
    """The `default` section. Format: pipenv's documentation of Pipfile.lock."""
    return tuple(
        _line(
            name,
            str(package.get("version", "")).removeprefix("=="),
            package.get("hashes", ()),
            package.get("markers"),
            package,
        )
        for name, package in sorted(lock["default"].items())
    )


def from_pdm(lock: Mapping[str, Any]) -> Requirements:
    """Packages of the group `default`; locks older than groups (4.4) hold nothing else that can be told apart."""
    chosen = [p for p in lock["package"] if "default" in p.get("groups", ["default"])]
    hashes = lock.get("metadata", {}).get("files", {})
    found = {
        # A package with extras stands a second time, without files.
        (p["name"], p["version"]): _line(
            p["name"],
            p["version"],
            [f["hash"] for f in p.get("files") or hashes.get(f"{p['name']} {p['version']}", ())],
            p.get("marker"),
            p,
        )
        for p in chosen
        if not p.get("extras")
    }
    return tuple(found[key] for key in sorted(found))


def from_poetry(lock: Mapping[str, Any], project: Mapping[str, Any]) -> Requirements:
    """What the main dependencies reach in the lock. Older locks do not name groups, so this is walked for all."""
    packages: dict[str, list[Mapping[str, Any]]] = {}
    for package in lock.get("package", []):
        packages.setdefault(_normal(package["name"]), []).append(package)
    old_hashes = lock.get("metadata", {}).get("files", {})
    markers: dict[str, set[str]] = {}
    for name, extras, marker in _direct(project):
        _reach(name, extras, marker, packages, markers, set())
    lines = []
    for name in sorted(markers):
        for package in packages.get(name, []):
            files = package.get("files") or old_hashes.get(package["name"], ())
            lines.append(
                _line(
                    package["name"],
                    package["version"],
                    [f["hash"] for f in files],
                    _marker(package, markers[name]),
                    package,
                )
            )
    return tuple(lines)


def _reach(
    name: str,
    extras: Iterable[str],
    marker: str,
    packages: Mapping[str, list[Mapping[str, Any]]],
    markers: dict[str, set[str]],
    seen: set[tuple[str, tuple[str, ...]]],
) -> None:
    """Collect a package and what it needs; for each the conditions under which it is needed ("" is always)."""
    markers.setdefault(name, set()).add(marker)
    wanted = tuple(sorted(extras))
    if (name, wanted) in seen:
        return
    seen.add((name, wanted))
    for package in packages.get(name, []):
        optional = {
            _normal(re.split(r"[\s\[(;<>=!~]", item)[0])
            for extra, items in package.get("extras", {}).items()
            if _normal(extra) in {_normal(w) for w in wanted}
            for item in items
        }
        for other, spec in package.get("dependencies", {}).items():
            for one in spec if isinstance(spec, list) else [spec]:
                table = one if isinstance(one, dict) else {}
                if not table.get("optional") or _normal(other) in optional:
                    condition = "" if table.get("optional") else str(table.get("markers", ""))
                    _reach(_normal(other), table.get("extras", ()), condition, packages, markers, seen)


def _direct(project: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, ...], str]]:
    """The project's own dependencies: name, extras, marker; as PEP 621 and as poetry write them."""
    for text in project.get("project", {}).get("dependencies", []):
        if match := re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?[^;]*(?:;\s*(.*))?", text):
            extras = tuple(part.strip() for part in (match[2] or "").split(",") if part.strip())
            yield _normal(match[1]), extras, (match[3] or "").strip()
    for name, spec in project.get("tool", {}).get("poetry", {}).get("dependencies", {}).items():
        for one in spec if isinstance(spec, list) else [spec]:
            table = one if isinstance(one, dict) else {}
            if _normal(name) != "python" and not table.get("optional"):
                yield _normal(name), tuple(table.get("extras", ())), str(table.get("markers", ""))


def _marker(package: Mapping[str, Any], conditions: set[str]) -> str:
    """Poetry 2 writes a package's own marker; before that it follows from those on the way to it."""
    own = package.get("markers")
    if isinstance(own, dict):
        own = own.get("main", "")
    if isinstance(own, str) and own:
        return own
    if "" in conditions or len(conditions) == 0:
        return ""
    return " or ".join(f"({condition})" for condition in sorted(conditions))


def _line(name: str, version: str, hashes: Iterable[str], marker: Any, package: Mapping[str, Any]) -> str:
    if local := _local(package):
        raise BuildFailed(
            f"the lock file takes {name} from {local}, which golive does not install from a lock file of this kind",
            hint="publish it, vendor it into the source, or move to uv, whose lock files golive follows",
        )
    condition = f" ; {marker}" if isinstance(marker, str) and marker else ""
    return f"{name}=={version}{condition}" + "".join(f" --hash={hash}" for hash in hashes)


def _local(package: Mapping[str, Any]) -> str:
    source = package.get("source") if isinstance(package.get("source"), dict) else {}
    if source and source.get("type") in ("git", "directory", "file", "url"):
        return str(source.get("url"))
    return next((str(package[key]) for key in ("path", "git", "url", "file") if isinstance(package.get(key), str)), "")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


LOCKS: Mapping[str, str] = {"poetry.lock": "poetry", "Pipfile.lock": "pipenv", "pdm.lock": "pdm"}
