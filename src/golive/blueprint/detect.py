"""What a checkout says by itself, so that golive.toml need not: kind, build, start command, health paths, migrations.

Only files are looked at; the project's code is parsed, never run. A value found comes with its evidence, the file that
shows it; where two answers fit or none does, a fault says what was found and which key decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from golive.blueprint.checkout import Checkout, OutsideCheckout, join
from golive.blueprint.detect_go import detect_go
from golive.blueprint.detect_node import detect_node
from golive.blueprint.detection import Detection, build_of, place_of, probes
from golive.blueprint.faults import Fault
from golive.blueprint.go_project import Module, find_module, main_packages
from golive.blueprint.migration_tools import FoundMigrations, find
from golive.blueprint.node_project import Project, find_project
from golive.blueprint.positions import KeyPath
from golive.blueprint.procfile import procfile
from golive.blueprint.python_project import (
    FRAMEWORKS,
    App,
    Dependencies,
    dependencies,
    django_app,
    find_apps,
    python_version,
)
from golive.blueprint.python_routes import health_paths
from golive.blueprint.start import start_command

_STATIC_FOLDERS = ("public", "dist", "build", "out", "site", "_site")


@dataclass(frozen=True)
class Proposal:
    """A service that `golive init` would write."""

    name: str
    source: str
    route: str | None
    detection: Detection


def detect_service(checkout: Checkout, given: Mapping[str, Any]) -> Detection:
    """Fill what `given`, the service's table with short forms written out, leaves open.

    Only keys that `given` does not have are in the result. `source` must be inside the checkout; a source outside, or
    of a wrong type, detects nothing: validation speaks about it.
    """
    original = given
    found = Detection()
    source = given.get("source", ".")
    if not isinstance(source, str) or not _is_folder(checkout, source):
        return found
    given = _with_procfile(found, checkout, source, given)
    build = build_of(given)
    listed = dependencies(checkout, source)
    kind = given.get("kind") or ("cron" if "schedule" in given else None)
    toolchain = _toolchain(found, checkout, given, listed)
    if toolchain is None and _is_image(checkout, source, given, listed):
        _image(found, checkout, source, build, kind or "web")
        found.values = {path: value for path, value in found.values.items() if not _has(original, path)}
        return found
    if kind is None and "command" in given and not isinstance(toolchain, Project):
        kind = "web"
    if isinstance(toolchain, Module):
        detect_go(found, checkout, given, toolchain, kind or "web")
    elif isinstance(toolchain, Project):
        detect_node(found, checkout, given, toolchain, kind)
    elif kind == "static" or (kind is None and not _looks_like_python(checkout, source, listed, build)):
        _static(found, checkout, source, given, build)
    else:
        _process(found, checkout, given, listed, kind or "web")
    found.values = {path: value for path, value in found.values.items() if not _has(original, path)}
    return found


def _is_image(checkout: Checkout, source: str, given: Mapping[str, Any], listed: Dependencies | None) -> bool:
    """Asked for, or all that there is: a Dockerfile beside an application that golive knows is passed over."""
    build, files = build_of(given), checkout.below(source)
    if build.get("builder") == "docker" or ("dockerfile" in build and "builder" not in build):
        return True
    known = "builder" in build or "command" in given or given.get("kind") == "static" or _static_folder(files)
    python = _looks_like_python(checkout, source, listed, build)
    return "Dockerfile" in files and not known and "index.html" not in files and not python


def _image(found: Detection, checkout: Checkout, source: str, build: Mapping[str, Any], kind: str) -> None:
    file = build.get("dockerfile", "Dockerfile")
    evidence = join(source, file) if isinstance(file, str) else source
    found.add(("kind",), kind, evidence)
    found.add(("build", "builder"), "docker", evidence)
    found.add(("build", "dockerfile"), "Dockerfile", evidence)
    if isinstance(file, str) and checkout.read(evidence) is None:
        found.faults.append(Fault(("build", "dockerfile"), f"there is no {file} in {place_of(source)}"))


def _with_procfile(found: Detection, checkout: Checkout, source: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The command of the process type that the service is, when it has none of its own."""
    processes = procfile(checkout, source)
    kind = given.get("kind", "cron" if "schedule" in given else "web")
    evidence = join(source, "Procfile")
    if "release" in processes:
        found.notes.append(f"{evidence}: `release: {processes['release']}` is not run; migrations go to `migrations`")
    line = processes.get(str(kind)) if "command" not in given else None
    if line is None or re.fullmatch(r"(npm|pnpm|yarn)( run)? start", line):  # what package.json says is more exact
        return given
    found.add(("command",), line, evidence)
    return {**given, "command": line}


def _toolchain(
    found: Detection, checkout: Checkout, given: Mapping[str, Any], listed: Dependencies | None
) -> Module | Project | None:
    """The Go module or Node project that the service is, None for all else."""
    source, builder = str(given.get("source", ".")), build_of(given).get("builder")
    module = find_module(checkout, source) if builder in (None, "go") else None
    if module and not (builder == "go" or "package" in build_of(given) or main_packages(checkout, source)):
        module = None
    project = find_project(checkout, source, sure=builder == "node") if builder in (None, "node") else None
    python = bool(listed and listed.names & set(FRAMEWORKS)) or build_of(given).get("framework") in FRAMEWORKS
    kinds = [name for name, there in (("go", module), ("python", python), ("node", project)) if there]
    if builder is None and len(kinds) > 1 and project is not None and not project.is_application:
        kinds, project = [name for name in kinds if name != "node"], None  # a package.json for tools only
    if builder is None and len(kinds) > 1 and not (kinds == ["python", "node"] and "framework" in build_of(given)):
        message = f"{place_of(source)} holds more than one application: {', '.join(kinds)}"
        hint = "choose with `build.builder`, or give each a folder and a service of its own"
        found.faults.append(Fault(("build", "builder"), message, hint))
    return module or (None if python and builder is None else project)


def _is_folder(checkout: Checkout, source: str) -> bool:
    try:
        return checkout.what_is(source) == "folder"
    except OutsideCheckout:
        return False


def _has(given: Mapping[str, Any], path: KeyPath) -> bool:
    value: Any = given
    for key in path:
        if not isinstance(value, Mapping):
            return True
        if key not in value:
            return False
        value = value[key]
    return True


def _looks_like_python(checkout: Checkout, source: str, listed: Dependencies | None, build: Mapping[str, Any]) -> bool:
    if build.get("builder") == "python" or "framework" in build:
        return True
    files = checkout.below(source)
    if "index.html" in files and not (listed and listed.names & set(FRAMEWORKS)):
        return bool(find_apps(checkout, source))
    return listed is not None or any(f.endswith(".py") for f in files)


def _static(
    found: Detection, checkout: Checkout, source: str, given: Mapping[str, Any], build: Mapping[str, Any]
) -> None:
    files = checkout.below(source)
    if "command" in build and "output" not in build:
        found.faults.append(
            Fault(("build", "output"), "is required: which folder does `build.command` make?", 'such as "dist"')
        )
    built = "command" in build or "output" in build
    folder = "." if built or "index.html" in files else _static_folder(files)
    if folder is None:
        if given.get("kind") == "static":
            hint = "`source` is the folder that is served; `build.output` the one a build makes"
            found.faults.append(Fault(("source",), f"{place_of(source)} has no index.html", hint))
        else:
            found.faults.append(_nothing_found(source, files))
        return
    evidence = join(source, "golive.toml" if built else join(folder, "index.html"))
    found.add(("kind",), "static", evidence)
    found.add(("build", "builder"), "static", evidence)
    if folder != ".":
        found.add(("build", "output"), folder, evidence)


def _static_folder(files: tuple[str, ...]) -> str | None:
    return next((folder for folder in _STATIC_FOLDERS if f"{folder}/index.html" in files), None)


def _nothing_found(source: str, files: tuple[str, ...]) -> Fault:
    top = sorted({f.split("/")[0] for f in files if not f.startswith(".")})
    shown = ", ".join(top[:8]) + (" …" if len(top) > 8 else "") if top else "nothing"
    if "package.json" in files:
        hint = "a built front end needs `build.command` and `build.output`; a server `kind` and `command`"
    else:
        hint = "set `source`, or `kind` and `command`"
    message = f"cannot tell what this is: neither index.html nor a Python application in {place_of(source)} ({shown})"
    return Fault(("kind",), message, hint)


def _process(
    found: Detection, checkout: Checkout, given: Mapping[str, Any], listed: Dependencies | None, kind: str
) -> None:
    source = given.get("source", ".")
    build = build_of(given)
    python = _looks_like_python(checkout, source, listed, build)
    reason = "schedule" if kind == "cron" else "command" if "command" in given else "source"
    found.add(("kind",), kind, f"`{reason}`")
    found.add(("build", "builder"), "python" if python else "none", listed.evidence if listed else source)
    if listed:
        evidence = join(source, listed.evidence)
        found.add(("build", "builder"), "python" if python else "none", evidence)
        if listed.file:
            found.add(("build", "dependencies"), listed.file, evidence)
        if listed.workspace:
            found.add(("build", "workspace"), listed.workspace, evidence)
        if listed.extra:
            found.add(("build", "extra"), list(listed.extra), evidence)
    if python and (version := python_version(checkout, source)):
        found.add(("build", "python"), version[0], join(source, version[1]))
    if kind == "web":
        _web_application(found, checkout, given, listed)


def _web_application(
    found: Detection, checkout: Checkout, given: Mapping[str, Any], listed: Dependencies | None
) -> None:
    source = given.get("source", ".")
    build = build_of(given)
    chosen = _choose(checkout, source, listed, build.get("framework"))
    if isinstance(chosen, Fault):
        if "command" not in given:
            found.faults.append(chosen)
        return
    framework = chosen.framework.split("-")[0]
    evidence = join(source, chosen.file)
    found.add(("kind",), "web", evidence)
    found.add(("build", "framework"), framework, evidence)
    if chosen.python_path:
        found.add(("env", "PYTHONPATH"), chosen.python_path, evidence)
    for probe, path in probes(health_paths(checkout, source, chosen)).items():
        if "health" not in given:
            found.add(("health", probe), {"path": path}, evidence)
    if "command" in given:
        return
    if listed is None and framework in FRAMEWORKS:
        hint = f"list `{framework}` in requirements.txt or pyproject.toml in {place_of(source)}"
        found.faults.append(Fault(("build", "dependencies"), f"{evidence} uses {framework}; nothing installs it", hint))
    command, added = start_command(chosen, _available(listed, build))
    found.add(("command",), command, evidence)
    if added:
        extra = (*(listed.extra if listed else ()), added)
        found.add(("build", "extra"), list(extra), f"{evidence}, no server listed")


def _available(listed: Dependencies | None, build: Mapping[str, Any]) -> set[str]:
    extra = build.get("extra")
    named = (
        {re.split(r"[\[<>=!~ ]", e)[0].lower() for e in extra if isinstance(e, str)}
        if isinstance(extra, list)
        else set()
    )
    return named | (set(listed.names) if listed else set())


def _choose(checkout: Checkout, source: str, listed: Dependencies | None, wanted: Any) -> App | Fault:
    """The one app object of the folder."""
    names = set(listed.names) if listed else set()
    apps = find_apps(checkout, source)
    asgi = bool(names & {"uvicorn", "daphne", "hypercorn"}) and "gunicorn" not in names
    if django := django_app(checkout, source, asgi=asgi):
        apps = [app for app in apps if app.framework in FRAMEWORKS] + [django]
    if isinstance(wanted, str):
        apps = [app for app in apps if app.framework.split("-")[0] == wanted]
    if any(app.framework not in ("asgi", "wsgi") for app in apps) and wanted is None:
        apps = [app for app in apps if app.framework not in ("asgi", "wsgi")]
    if not apps:
        return _no_app(checkout, source, names, wanted)
    frameworks = _narrowed({app.framework.split("-")[0] for app in apps}, names)
    if len(frameworks) > 1:
        places = ", ".join(f"{app.framework.split('-')[0]} in {join(source, app.file)}" for app in apps[:4])
        hint = "choose with `build.framework`, or say how it starts with `command`"
        return Fault(("build", "framework"), f"more than one application: {places}", hint)
    return next(app for app in apps if app.framework.split("-")[0] in frameworks)


def _narrowed(frameworks: set[str], names: set[str]) -> set[str]:
    """FastAPI builds on Starlette; and a framework that nobody installs is not the one."""
    if "fastapi" in frameworks:
        frameworks = frameworks - {"starlette"}
    installed = frameworks & names
    return installed if len(installed) == 1 else frameworks


def _no_app(checkout: Checkout, source: str, names: set[str], wanted: Any) -> Fault:
    framework = wanted if isinstance(wanted, str) else next((f for f in FRAMEWORKS if f in names), None)
    if framework is None and not names:
        return _nothing_found(source, checkout.below(source))
    if framework is None:
        message = f"no known framework among the dependencies of {place_of(source)}"
        return Fault(("command",), message, "say how it starts: `command`, listening on $PORT")
    example = {"django": "manage.py and a wsgi.py", "flask": "`app = Flask(…)`"}.get(framework, f"an app ({framework})")
    message = f"{place_of(source)} depends on {framework}, but {example} was not found in main.py, app.py, src/, app/"
    return Fault(("command",), message, "say how it starts, such as `uvicorn pkg.module:app --port $PORT`")


def detect_migrations(checkout: Checkout, folders: tuple[str, ...]) -> list[FoundMigrations]:
    """Schema migrations in these folders (sources of services, and the root)."""
    return find(checkout, folders)


_USUAL_NAMES = {"backend": "api", "server": "api", "frontend": "web", "client": "web", "site": "web", ".": "web"}
_NOT_SERVICES = {"tests", "test", "docs", "doc", "examples", "scripts", "migrations", "db", "infra"}
_GROUPS = {"apps", "services", "packages"}


def detect_project(checkout: Checkout) -> list[Proposal]:
    """The services of a checkout without golive.toml: the root when it is an application, else its folders."""
    folders = [(".", detect_service(checkout, {}))]
    if folders[0][1].faults:
        tops = sorted({f.split("/")[0] for f in checkout.files if "/" in f} - _NOT_SERVICES)
        groups = {"/".join(f.split("/")[:2]) for f in checkout.files if f.split("/")[0] in _GROUPS and f.count("/") > 1}
        names = [top for top in tops if top not in _GROUPS] + sorted(groups)
        folders = [(name, detect_service(checkout, {"source": name})) for name in names]
    able = [(folder, detection) for folder, detection in folders if not detection.faults]
    static = any(d.values[("kind",)][0] == "static" for _, d in able)
    proposals: dict[str, Proposal] = {}
    for folder, detection in able:
        name = _service_name(folder, proposals)
        first = not any(p.route == "/" for p in proposals.values())
        at_root = first and (detection.values["kind",][0] == "static" or not static)
        proposals[name] = Proposal(name, folder, "/" if at_root else f"/{name}", detection)
    return list(proposals.values())


def _service_name(folder: str, taken: Mapping[str, Proposal]) -> str:
    last = folder.rpartition("/")[2]
    name = _USUAL_NAMES.get(last) or re.sub(r"[^a-z0-9-]+", "-", last.lower()).strip("-")[:28]
    name = name if re.match(r"[a-z]", name) else f"s-{name}"
    while name in taken:
        name += "2"
    return name
