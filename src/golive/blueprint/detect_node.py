"""What is filled in for a Node project: Next.js, a front end that becomes files, or a server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.detection import Detection, build_of, place_of, probes
from golive.blueprint.faults import Fault
from golive.blueprint.node_project import SERVERS, Project, config_text, node_version, package_manager
from golive.blueprint.node_routes import routes
from golive.blueprint.start import node_start

_ROUTERS = frozenset((
    "react-router", "react-router-dom", "vue-router", "@tanstack/react-router", "wouter", "@solidjs/router",
    "@reach/router", "svelte-routing", "@angular/router", "preact-router",
))  # fmt: skip
_OUTPUT = re.compile(r"""\boutDir\s*:\s*["']([\w./-]+)["']""")


def detect_node(
    found: Detection, checkout: Checkout, given: Mapping[str, Any], project: Project, kind: str | None
) -> None:
    """Version, package manager, build line, what is served or started, health paths."""
    found.add(("build", "builder"), "node", project.evidence)
    if project.root != project.folder:
        found.add(("build", "workspace"), project.root, join(project.root, "package.json"))
    if version := node_version(checkout, project):
        found.add(("build", "node"), *version)
    _installer(found, checkout, given, project)
    if project.framework:
        found.add(("build", "framework"), project.framework, project.evidence)
    manager = build_of(given).get("package_manager") or found.values.get(("build", "package_manager"), ("npm", ""))[0]
    if "build" in project.scripts:
        found.add(("build", "command"), f"{manager} run build", project.evidence)
    elif project.framework == "next":
        found.add(("build", "command"), "next build", project.evidence)
    output = None if kind in ("web", "worker", "cron") or "command" in given else _pages(checkout, given, project)
    if kind == "static" or (kind is None and output):
        _static(found, given, project, output)
    else:
        _server(found, checkout, given, project, kind or "web")


def _installer(found: Detection, checkout: Checkout, given: Mapping[str, Any], project: Project) -> None:
    build = build_of(given)
    manager, evidence, locks = package_manager(checkout, project)
    if manager:
        found.add(("build", "package_manager"), manager, evidence)
    elif "package_manager" not in build:
        message = f"more than one lock file in {place_of(project.root)}: {', '.join(locks)}"
        hint = "remove the old one, or choose with `build.package_manager`"
        found.faults.append(Fault(("build", "package_manager"), message, hint))
    chosen = build.get("package_manager") or manager
    own = [
        name
        for name in locks
        if chosen and (chosen in name or (chosen == "npm" and name.startswith(("package", "npm"))))
    ]
    if own:
        found.add(("build", "dependencies"), own[0], join(project.root, own[0]))


def _pages(checkout: Checkout, given: Mapping[str, Any], project: Project) -> str | None:
    """The folder of pages that the build makes; None for what runs as a server."""
    named = build_of(given).get("output")
    if isinstance(named, str):
        return named
    framework = project.framework
    if framework is None or "build" not in project.scripts | {"build": ""}:
        return None
    if framework == "next":
        text, _ = config_text(checkout, project, "next")
        return "out" if re.search(r"""\boutput\s*:\s*["']export["']""", text) else None
    servers = {"astro": "@astrojs/node", "sveltekit": "@sveltejs/adapter-node", "nuxt": "nuxt"}
    if servers.get(framework) in project.names:
        generates = "generate" in project.scripts.get("build", "")
        return project.output if framework == "nuxt" and generates else None
    if framework in ("vite", "parcel") and project.names & set(SERVERS) and "start" in project.scripts:
        return None
    if framework in ("vite", "astro"):
        text, _ = config_text(checkout, project, framework)
        if custom := _OUTPUT.search(text):
            return custom[1].removeprefix("./")
    return project.output


def _static(found: Detection, given: Mapping[str, Any], project: Project, output: str | None) -> None:
    found.add(("kind",), "static", project.evidence)
    if output:
        found.add(("build", "output"), output, project.evidence)
    elif "output" not in build_of(given):
        message = "is required: which folder does the build make?"
        found.faults.append(Fault(("build", "output"), message, 'such as "dist"'))
    if project.names & _ROUTERS and project.framework in ("vite", "create-react-app", "vue-cli", "parcel", "angular"):
        found.add(("spa",), True, project.evidence)


def _server(found: Detection, checkout: Checkout, given: Mapping[str, Any], project: Project, kind: str) -> None:
    found.add(("kind",), kind, project.evidence)
    if "health" not in given and kind == "web":
        for probe, path in probes(routes(checkout, project.folder, project.framework)).items():
            found.add(("health", probe), {"path": path}, project.folder)
    if "command" in given or kind in ("worker", "cron"):
        return
    text, config = config_text(checkout, project, "next")
    standalone = project.framework == "next" and bool(re.search(r"""\boutput\s*:\s*["']standalone["']""", text))
    command = node_start(project, standalone=standalone, files=checkout.below(project.folder))
    if command:
        found.add(("command",), command, config if standalone else project.evidence)
        return
    if "build" in project.scripts and "output" not in build_of(given):
        message = f"cannot tell what {project.evidence} is: a build script, but no start script and no known framework"
        hint = 'a front end needs `build.output`, such as "dist"; a server a `command` that listens on $PORT'
        found.faults.append(Fault(("kind",), message, hint))
        return
    message = f"{project.evidence} has no start script and no main file"
    found.faults.append(Fault(("command",), message, "say how it starts: `command`, listening on $PORT"))
