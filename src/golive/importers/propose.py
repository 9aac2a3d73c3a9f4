"""`golive init`: a checkout as the golive.toml it needs, with the reason for every part and what is left to decide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout
from golive.blueprint.detect import detect_migrations, detect_project, detect_service
from golive.blueprint.document import parse_document
from golive.blueprint.env import check_environment
from golive.blueprint.models import Blueprint, ServiceKind
from golive.blueprint.problem import Problem
from golive.blueprint.resolve import Resolved, resolve
from golive.blueprint.sugar import expand
from golive.engines.catalog import KINDS
from golive.errors import BlueprintError
from golive.importers.answers import paths_of_next, served_prefixes
from golive.importers.drivers import find_drivers
from golive.importers.files import import_checkout
from golive.importers.grpc_services import find_grpc
from golive.importers.merge import Merged, add_resource, drop_service, merge_imports, shorten, tidy, with_route
from golive.importers.needs import declare_used
from golive.importers.places import service_name
from golive.importers.report import Imported, Table
from golive.importers.toml_text import document
from golive.importers.workers import find_workers
from golive.importers.writing import text_of

_FRONT = ("web", "frontend", "front", "client", "app", "ui", "www", "site")
_FRONT_FRAMEWORKS = ("next", "nuxt", "astro", "remix", "sveltekit", "vite", "react-router")


@dataclass(frozen=True)
class Proposed:
    """The file's text and data; `problems` is what it still needs, empty when `golive config` accepts it; `unset` are
    the variables that must have a value before the first `golive up`; `found` is what there is, in a few words each."""

    text: str
    table: Table
    imported: tuple[Imported, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    unset: tuple[str, ...] = ()
    found: tuple[str, ...] = ()

    def to_json(self) -> Table:
        return {
            "toml": self.text,
            "blueprint": self.table,
            "imported": [entry.to_json() for entry in self.imported],
            "notes": list(self.notes),
            "problems": [problem.to_json() for problem in self.problems],
            "unset": list(self.unset),
            "found": list(self.found),
        }


def propose(checkout: Checkout, name: str) -> Proposed:
    """The golive.toml of a checkout. `name` is the app's, unless a file of it says another."""
    return propose_from(checkout, name, import_checkout(checkout))


def propose_from(checkout: Checkout, name: str, imports: Sequence[Imported]) -> Proposed:
    """The same from imports that are there already."""
    merged = merge_imports(imports)
    merged.table = {"name": service_name(str(merged.table.get("name") or name)) or "app", **_without_name(merged.table)}
    _detected(merged, checkout)
    _undetectable(merged, checkout)
    nothing = _nothing(merged, checkout)
    _workers(merged, checkout)
    _stores(merged, checkout)
    _grpc(merged, checkout)
    _ports(merged)
    _routes(merged, checkout)
    usage = declare_used(merged, checkout)
    static = [name for name, table in merged.tables("services").items() if _kind(table, checkout)[0] == "static"]
    given = tidy(merged, usage, static)
    _plain_kinds(merged, checkout)
    shorten(merged.table)
    imports = [entry.given(given) for entry in imports]
    resolved, problems = _accepted(merged, checkout)
    problems = (nothing,) if nothing else problems
    merged.notes += _too_old(resolved.blueprint) if resolved else []
    text = text_of(merged, imports, usage, resolved, problems)
    notes = [note for entry in imports for note in entry.notes] + merged.notes
    unset, found = (_unset(resolved), tuple(_words(resolved.blueprint))) if resolved else ((), ())
    return Proposed(text, merged.table, tuple(imports), tuple(dict.fromkeys(notes)), problems, unset, found)


def _words(blueprint: Blueprint) -> Iterator[str]:
    for name, service in blueprint.services.items():
        what = service.build.framework or (service.build.builder if service.kind is ServiceKind.WEB else service.kind)
        yield f"{name} ({what}{'' if service.source == '.' else f' in {service.source}'})"
    yield from (f"{name} ({resource.engine})" for name, resource in blueprint.resources.items())
    if blueprint.env:
        yield f"{len(blueprint.env)} variable{'' if len(blueprint.env) == 1 else 's'}"
    if blueprint.migrations:
        yield f"migrations ({blueprint.migrations.tool} in {blueprint.migrations.source})"


def _unset(resolved: Resolved) -> tuple[str, ...]:
    """Variables that nobody but the user knows, without which nothing starts."""
    return tuple(p.path.removeprefix("env.") for p in check_environment(resolved.blueprint, {}))


def _without_name(table: Table) -> Table:
    return {key: value for key, value in table.items() if key != "name"}


def _detected(merged: Merged, checkout: Checkout) -> None:
    """Services that no file named; not the root beside services in its folders, which is only their workspace."""
    services = merged.tables("services")
    for proposal in detect_project(checkout):
        same = [name for name, table in services.items() if table.get("source", ".") == proposal.source]
        within = any(_is_below(table.get("source", "."), proposal.source) for table in services.values())
        answering = [name for name in same if services[name].get("kind") not in ("worker", "cron")]
        if answering or (within and not same):
            continue
        name = service_name(proposal.name, services)
        services[name] = {"source": proposal.source}
        kinds = proposal.detection.values.get(("kind",))
        merged.came_from(f"services.{name}", f"found in {kinds[1] if kinds else proposal.source}")


def _is_below(place: str, folder: str) -> bool:
    return place != folder and (folder == "." or place.startswith(folder + "/"))


def _undetectable(merged: Merged, checkout: Checkout) -> None:
    """Services whose folder shows no way to start them, while others can be started."""
    services = merged.tables("services")
    faults = {}
    for name, table in services.items():
        found = detect_service(checkout, expand({"services": {name: table}})["services"][name]).faults
        if found and "command" not in table:
            faults[name] = found[0]
    if len(faults) < len(services):
        for name, fault in faults.items():
            hint = f" ({fault.hint})" if fault.hint else ""
            drop_service(merged, name, f"{fault.message}; to keep it: `{'.'.join(map(str, fault.path))}`{hint}")


def _nothing(merged: Merged, checkout: Checkout) -> Problem | None:
    """Where no service was found: the one that a choice is missing for, or the problem that there is none."""
    if merged.tables("services"):
        return None
    fault = next(iter(detect_service(checkout, {}).faults), None)
    if fault and fault.path[0] in ("build", "command"):
        merged.tables("services")["web"] = {"source": "."}
        return None
    said = fault.message if fault else "nothing here shows how it is built or started"
    hint = "the service's folder is `source` in [services.web], and `command` the line that starts it, on $PORT"
    return Problem("services", f"there is none: {said}", hint)


def _workers(merged: Merged, checkout: Checkout) -> None:
    services = merged.tables("services")
    folders = list(dict.fromkeys(table.get("source", ".") for table in services.values()))
    for folder in folders:
        known = [t for t in services.values() if t.get("source", ".") == folder and t.get("kind") == "worker"]
        if known:
            continue
        for worker in find_workers(checkout, folder):
            name = service_name(worker.name, services)
            services[name] = {"kind": "worker", "source": worker.source, "command": worker.command}
            merged.came_from(f"services.{name}", f"found in {worker.evidence}")


def _stores(merged: Merged, checkout: Checkout) -> None:
    folders = (".", *(table.get("source", ".") for table in merged.tables("services").values()))
    drivers = find_drivers(checkout, folders)
    for engine, evidence in sorted(drivers.engines.items()):
        add_resource(merged, engine, f"found in {evidence}")
    for store, evidence in drivers.others.items():
        merged.notes.append(f"{evidence} talks to {store}, which golive does not run: give its address as a variable")
    migrations = detect_migrations(checkout, tuple(dict.fromkeys(folders)))
    if migrations and not drivers.others:
        add_resource(merged, "postgres", f"found in {migrations[0].evidence}")
    if len(migrations) > 1 and "migrations" not in merged.table:
        merged.table["migrations"] = {"source": migrations[0].source}
        others = ", ".join(found.source for found in migrations[1:])
        merged.notes.append(f"migrations: {migrations[0].source} was chosen; there are also {others}")


def _grpc(merged: Merged, checkout: Checkout) -> None:
    """The second port of a service that also speaks gRPC."""
    for name, table in merged.tables("services").items():
        if "grpc" in table or _kind(table, checkout)[0] != "web":
            continue
        found = find_grpc(checkout, table.get("source", "."))
        if found and found.ready:
            table["grpc"] = {"route": list(found.routes)}
            merged.came_from(f"services.{name}", f"gRPC found in {found.evidence}")
        elif found:
            routes = ", ".join(found.routes)
            merged.notes.append(
                f"services.{name} serves gRPC ({routes}): let it take that port from GRPC_PORT, and set `grpc.route`"
            )


def _ports(merged: Merged) -> None:
    """Workers have no route, port or HTTP probe, whatever their files said."""
    for table in merged.tables("services").values():
        if table.get("kind") in ("worker", "cron"):
            for key in ("route", "port", "domains", "health"):
                table.pop(key, None)


def _routes(merged: Merged, checkout: Checkout) -> None:
    """`/` for the service that is looked at first, `/<name>` for the others."""
    services = merged.tables("services")
    kinds = {name: _kind(table, checkout) for name, table in services.items()}
    open_ = [n for n, t in services.items() if kinds[n][0] in ("web", "static") and not t.get("domains")]
    taken: set[str] = set()
    for name in open_:
        own = [route for route in services[name].get("route", []) if route not in taken]
        taken |= set(own)
        if "route" in services[name]:
            services[name].pop("route")
            if own:
                with_route(services[name], own)
    left = [name for name in open_ if "route" not in services[name]]
    if len(open_) < 2:
        return
    shadowed: list[str] = []
    for name in sorted(left, key=lambda n: _rank(n, *kinds[n])):
        if "/" not in taken:
            services[name]["route"] = "/"
            shadowed = paths_of_next(checkout, services[name].get("source", ".")) if kinds[name][1] == "next" else []
        else:
            _below(services[name], name, taken, checkout, shadowed)
        taken |= {services[name]["route"]} if isinstance(services[name]["route"], str) else set(services[name]["route"])


def _kind(table: Table, checkout: Checkout) -> tuple[str, str]:
    """Kind and framework, from the table or detected."""
    found = detect_service(checkout, expand({"services": {"x": table}})["services"]["x"]).values
    kind = table.get("kind") or found.get(("kind",), ("web", ""))[0]
    framework = table.get("build", {}).get("framework") or found.get(("build", "framework"), ("", ""))[0]
    return str(kind), str(framework or "")


def _plain_kinds(merged: Merged, checkout: Checkout) -> None:
    """A kind that is detected all the same need not be written."""
    for table in merged.tables("services").values():
        kind = table.get("kind")
        rest = {key: value for key, value in table.items() if key != "kind"}
        if kind and "command" not in rest and _kind(rest, checkout)[0] == kind and not _faulty(rest, checkout):
            del table["kind"]


def _faulty(table: Table, checkout: Checkout) -> bool:
    return bool(detect_service(checkout, expand({"services": {"x": table}})["services"]["x"]).faults)


def _rank(name: str, kind: str, framework: str) -> tuple[bool, bool, bool, str]:
    return kind != "static", framework not in _FRONT_FRAMEWORKS, name not in _FRONT, name


def _below(table: Table, name: str, taken: set[str], checkout: Checkout, shadowed: list[str]) -> None:
    """The prefixes that the code itself answers; else the service's name, which it does not get to see."""
    served = [p for p in served_prefixes(checkout, table.get("source", "."), name, shadowed) if p not in taken]
    if served:
        with_route(table, served)
        return
    table["route"] = f"/{name}"
    table["strip_prefix"] = True


def _too_old(blueprint: Blueprint) -> list[str]:
    """Toolchains that are asked for and that golive itself could not fetch."""
    notes = []
    for name, service in blueprint.services.items():
        found = re.match(r"[v=^~ ]*(\d+)(?![\d])", service.build.node or "")
        oldest = KINDS["node"].minimum[0]
        if found and int(found[1]) < oldest:
            asked = f"services.{name} asks for Node.js {service.build.node}"
            notes.append(f"{asked}: golive brings {oldest} and newer. Raise it in package.json, or install that one")
    return notes


def _accepted(merged: Merged, checkout: Checkout) -> tuple[Resolved | None, tuple[Problem, ...]]:
    """Whether golive takes it as it is."""
    text = document(merged.table, {}, [], [])
    try:
        return resolve(parse_document(text), checkout), ()
    except BlueprintError as error:
        return None, tuple(error.problems)
