"""What is filled in for a Go service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.detection import Detection, build_of, place_of, probes
from golive.blueprint.faults import Fault
from golive.blueprint.go_project import Module, choose_main, go_version, main_packages, program_name
from golive.blueprint.go_routes import routes


def detect_go(found: Detection, checkout: Checkout, given: Mapping[str, Any], module: Module, kind: str) -> None:
    """The version, the main package, where its program goes and how it is started."""
    source, build = str(given.get("source", ".")), build_of(given)
    found.add(("kind",), kind, module.evidence)
    found.add(("build", "builder"), "go", module.evidence)
    if module.root != source:
        found.add(("build", "workspace"), module.root, module.evidence)
    if version := go_version(checkout, module):
        found.add(("build", "go"), *version)
    package = build.get("package") or _package(found, checkout, given, module)
    if isinstance(package, str):
        _program(found, given, module, package)
    if kind == "web" and "health" not in given:
        for probe, path in probes(routes(checkout, source)).items():
            found.add(("health", probe), {"path": path}, source)


def _package(found: Detection, checkout: Checkout, given: Mapping[str, Any], module: Module) -> str | None:
    source, build = str(given.get("source", ".")), build_of(given)
    packages = main_packages(checkout, source)
    package = choose_main(packages, module, source)
    if package is not None:
        found.add(("build", "package"), package, join(source, package))
    elif "command" in build:
        if "output" not in build:
            message = "is required: which program does `build.command` make?"
            found.faults.append(Fault(("build", "output"), message, 'such as "bin/server"'))
    elif packages:
        message = f"more than one program in {place_of(source)}: {', '.join(packages[:6])}"
        hint = f'choose one with `build.package`, such as "{packages[0]}"'
        found.faults.append(Fault(("build", "package"), message, hint))
    else:
        message = f"no main package in {place_of(source)}"
        found.faults.append(Fault(("build", "package"), message, "the folder with `func main`, such as ./cmd/server"))
    return package


def _program(found: Detection, given: Mapping[str, Any], module: Module, package: str) -> None:
    source = str(given.get("source", "."))
    named = build_of(given).get("output")
    words = str(given.get("command", "")).split()
    first = words[0] if words else ""
    output = first.removeprefix("./") if first.startswith(("./", "bin/")) else ""
    output = named if isinstance(named, str) else output or f"bin/{program_name(package, module, source)}"
    found.add(("build", "output"), output, join(source, package))
    found.add(("command",), f"./{output}", join(source, package))
