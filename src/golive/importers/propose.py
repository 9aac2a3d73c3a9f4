"""`golive init`: a checkout as the golive.toml it needs, with the reason for every part and what is left to decide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from golive.blueprint.checkout import Checkout
from golive.blueprint.detect import detect_migrations, detect_project, detect_service
from golive.blueprint.document import parse_document
from golive.blueprint.env import RESERVED
from golive.blueprint.problem import Problem
from golive.blueprint.resolve import Resolved, resolve
from golive.blueprint.sugar import expand
from golive.errors import BlueprintError
from golive.importers.drivers import find_drivers
from golive.importers.files import import_checkout
from golive.importers.grpc_services import find_grpc
from golive.importers.hush import is_own_secret, is_secret
from golive.importers.merge import Merged, add_resource, drop_service, merge_imports, tidy, with_route
from golive.importers.places import service_name
from golive.importers.report import Imported, Table
from golive.importers.toml_text import document
from golive.importers.usage import Usage, used_variables
from golive.importers.workers import find_workers

_FRONT = ("web", "frontend", "front", "client", "app", "ui", "www", "site")
_FRONT_FRAMEWORKS = ("next", "nuxt", "astro", "remix", "sveltekit", "vite", "react-router")
MAX_LISTED = 40
"""Lines about what was not carried over, at the end of the file."""


@dataclass(frozen=True)
class Proposed:
    """The file's text and data; `problems` is what it still needs, empty when `golive config` accepts it."""

    text: str
    table: Table
    imported: tuple[Imported, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]

    def to_json(self) -> Table:
        return {
            "toml": self.text,
            "blueprint": self.table,
            "imported": [entry.to_json() for entry in self.imported],
            "notes": list(self.notes),
            "problems": [problem.to_json() for problem in self.problems],
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
    _workers(merged, checkout)
    _stores(merged, checkout)
    _grpc(merged, checkout)
    _ports(merged)
    _routes(merged, checkout)
    usage = _usage(merged, checkout)
    tidy(merged)
    resolved, problems = _accepted(merged, checkout)
    text = _text(merged, imports, usage, resolved, problems)
    notes = [note for entry in imports for note in entry.notes] + merged.notes
    return Proposed(text, merged.table, tuple(imports), tuple(dict.fromkeys(notes)), problems)


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
        merged.came_from(f"services.{name}", f"detected from {kinds[1] if kinds else proposal.source}")


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
            merged.came_from(f"services.{name}", f"detected from {worker.evidence}")


def _stores(merged: Merged, checkout: Checkout) -> None:
    folders = (".", *(table.get("source", ".") for table in merged.tables("services").values()))
    drivers = find_drivers(checkout, folders)
    for engine, evidence in sorted(drivers.engines.items()):
        add_resource(merged, engine, f"detected from {evidence}")
    for store, evidence in drivers.others.items():
        merged.notes.append(f"{evidence} talks to {store}, which golive does not run: give its address as a variable")
    migrations = detect_migrations(checkout, tuple(dict.fromkeys(folders)))
    if migrations and not drivers.others:
        add_resource(merged, "postgres", f"detected from {migrations[0].evidence}")
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
            merged.came_from(f"services.{name}", f"gRPC detected from {found.evidence}")
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
    for name in sorted(left, key=lambda n: _rank(n, *kinds[n])):
        if "/" not in taken:
            services[name]["route"] = "/"
        else:
            _below(services[name], name, taken, checkout)
        taken |= {services[name]["route"]} if isinstance(services[name]["route"], str) else set(services[name]["route"])


def _kind(table: Table, checkout: Checkout) -> tuple[str, str]:
    """Kind and framework, from the table or detected."""
    found = detect_service(checkout, expand({"services": {"x": table}})["services"]["x"]).values
    kind = table.get("kind") or found.get(("kind",), ("web", ""))[0]
    framework = table.get("build", {}).get("framework") or found.get(("build", "framework"), ("", ""))[0]
    return str(kind), str(framework or "")


def _rank(name: str, kind: str, framework: str) -> tuple[bool, bool, bool, str]:
    return kind != "static", framework not in _FRONT_FRAMEWORKS, name not in _FRONT, name


def _below(table: Table, name: str, taken: set[str], checkout: Checkout) -> None:
    """`/api` when the code itself answers there; else the service's name, which it does not get to see."""
    for route in (f"/{name}", "/api"):
        if route not in taken and _mentions(checkout, table.get("source", "."), route):
            table["route"] = route
            return
    table["route"] = f"/{name}"
    table["strip_prefix"] = True


def _mentions(checkout: Checkout, source: str, route: str) -> bool:
    pattern = re.compile(rf"""["'`](?:[A-Z]+ )?{re.escape(route)}(?:["'`/])""")
    files = [f for f in checkout.below(source) if f.endswith((".py", ".go", ".js", ".ts", ".mjs", ".cjs"))]
    if source != "." and any("/app/api/" in f"/{f}" or "/pages/api/" in f"/{f}" for f in files) and route == "/api":
        return True
    prefix = "" if source == "." else source.rstrip("/") + "/"
    return any(pattern.search((checkout.read(prefix + f) or "")[:300_000]) for f in files[:400])


def _usage(merged: Merged, checkout: Checkout) -> dict[str, Usage]:
    """Declare what the code reads and nothing declares yet."""
    services, variables = merged.tables("services"), merged.tables("env")
    found: dict[str, Usage] = {}
    owners: dict[str, list[str]] = {}
    for source in dict.fromkeys(table.get("source", ".") for table in services.values()):
        names = [name for name, table in services.items() if table.get("source", ".") == source]
        for variable, usage in used_variables(checkout, source).items():
            found.setdefault(variable, usage)
            owners.setdefault(variable, []).extend(names)
            if variable in variables and usage.required and "default" not in variables[variable]:
                variables[variable].pop("required", None)
    for variable, usage in found.items():
        constant = any(variable in table.get("env", {}) for table in services.values())
        if variable not in variables and variable not in RESERVED and not constant:
            variables[variable] = _declared(usage) | {"for": owners[variable]}
            merged.came_from(f"env.{variable}", f"read in {usage.file}")
    return found


def _declared(usage: Usage) -> Table:
    if is_secret(usage.name) and not usage.name.startswith(("NEXT_PUBLIC_", "VITE_", "PUBLIC_")):
        if is_own_secret(usage.name):
            return {"type": "secret", "generate": True}
        return {"type": "secret"} if usage.required else {"type": "secret", "required": False}
    entry: Table = {} if usage.required else {"required": False}
    if usage.name.startswith(("NEXT_PUBLIC_", "VITE_", "PUBLIC_")):
        entry |= {"client": True, "build": True}
    return entry or {"type": "string"}


def _accepted(merged: Merged, checkout: Checkout) -> tuple[Resolved | None, tuple[Problem, ...]]:
    """Whether golive takes it as it is."""
    text = document(merged.table, {}, [], [])
    try:
        return resolve(parse_document(text), checkout), ()
    except BlueprintError as error:
        return None, tuple(error.problems)


def _text(
    merged: Merged,
    imports: Sequence[Imported],
    usage: dict[str, Usage],
    resolved: Resolved | None,
    problems: tuple[Problem, ...],
) -> str:
    comments: dict[str, list[str]] = {}
    for path, origins in merged.origins.items():
        comments[path] = [", ".join(origins)]
    for name in merged.table.get("services", {}):
        comments.setdefault(f"services.{name}", []).extend(_found(name, resolved))
    for name in merged.table.get("env", {}):
        if name in usage and f"env.{name}" not in comments:
            comments[f"env.{name}"] = [f"read in {usage[name].file}"]
    head = [
        "Written by `golive init`. `golive config` shows all of it with what is detected; `golive up` makes it live."
    ]
    if problems:
        head += ["", "It still needs:", *(f"  {problem.path}: {problem.message}" for problem in problems[:MAX_LISTED])]
    return document(merged.table, comments, head, _foot(merged, imports))


def _found(name: str, resolved: Resolved | None) -> list[str]:
    """What golive detects of a service, so that the file need not say it."""
    if resolved is None:
        return []
    shown: list[Any] = []
    for key in ("build.framework", "command", "health.ready.path", "build.output"):
        path = f"services.{name}.{key}"
        if (origin := resolved.origins.get(path)) is None or origin.source != "detected":
            continue
        value = next((value for at, value, _ in resolved.leaves() if at == path), None)
        shown.append(f"{key.removesuffix('.path')}: {value}")
    return [f"detected: {'; '.join(shown)}"] if shown else []


def _foot(merged: Merged, imports: Sequence[Imported]) -> list[str]:
    rows = [f"{entry.file}: {entry.problem}" for entry in imports if entry.problem]
    rows += merged.notes
    for entry in imports:
        needed = [lost for lost in entry.lost if not lost.instead.startswith("nothing")]
        rows += [f"{entry.file}: {x.path} ({x.value}): {x.why}; instead: {x.instead}" for x in needed]
        rest = [lost.path for lost in entry.lost if lost.instead.startswith("nothing")]
        rows += [f"{entry.file}, without a counterpart and nothing to do: {', '.join(rest)}"] if rest else []
    if not rows:
        return []
    more = (
        [f"… and {len(rows) - MAX_LISTED} more: golive init --dry-run --json lists all"]
        if len(rows) > MAX_LISTED
        else []
    )
    return ["Not carried over:", *(f"  {row}" for row in rows[:MAX_LISTED]), *more]
