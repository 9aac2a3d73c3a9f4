"""Several imports and what detection found, as one blueprint: what decides first stays, the rest fills its gaps."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from golive.blueprint.env import RESERVED, injected_names
from golive.blueprint.models import Blueprint, Resource, Service, ServiceKind
from golive.importers.places import service_name
from golive.importers.report import Imported, Table

_LOOSE = ("worker", "cron")
_ENV = "env"


@dataclass
class Merged:
    """The blueprint put together so far; `origins` says which files each service and resource came from."""

    table: Table = field(default_factory=dict)
    origins: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def tables(self, key: str) -> dict[str, Table]:
        found: dict[str, Table] = self.table.setdefault(key, {})
        return found

    def came_from(self, path: str, evidence: str) -> None:
        known = self.origins.setdefault(path, [])
        if evidence not in known:
            known.append(evidence)


def merge_imports(imports: Sequence[Imported]) -> Merged:
    """Every proposal, in the order given."""
    merged = Merged()
    for imported in imports:
        proposal = copy.deepcopy(imported.proposal)
        renamed = _services(merged, proposal.pop("services", {}), imported.file)
        _resources(merged, proposal.pop("resources", {}), imported.file)
        _variables(merged, proposal.pop("env", {}), renamed)
        for key, entry in proposal.items():
            _fill(merged.table, {key: entry})
    return merged


def _services(merged: Merged, services: dict[str, Table], file: str) -> dict[str, str]:
    """The name each of the file's services has now."""
    before = dict(merged.tables("services"))
    renamed: dict[str, str] = {}
    for name, service in services.items():
        if set(service) <= {"source"} and any(
            s.get("source", ".") == service.get("source", ".") for s in before.values()
        ):
            known = next(n for n, s in before.items() if s.get("source", ".") == service.get("source", "."))
            renamed[name] = known
            continue
        match = _match(before, name, service)
        if match is None:
            made = service_name(name, merged.tables("services"))
            merged.tables("services")[made] = service
        else:
            made = match
            _fill(merged.tables("services")[made], service)
        renamed[name] = made
        merged.came_from(f"services.{made}", file)
    return renamed


def _match(known: dict[str, Table], name: str, service: Table) -> str | None:
    """The service of another file that this one is: of the same folder and kind."""
    kind, source = service.get("kind"), service.get("source", ".")
    for other, table in known.items():
        theirs = table.get("kind")
        if table.get("source", ".") != source or (kind and theirs and kind != theirs):
            continue
        if _LOOSE[0] in (kind, theirs) or _LOOSE[1] in (kind, theirs):
            if other == name or table.get("command") == service.get("command"):
                return other
            continue
        return other
    return None


def _fill(table: Table, more: Table) -> None:
    """Put in what the table does not have; a table in both is filled in turn."""
    for key, value in more.items():
        if key not in table:
            table[key] = value
        elif isinstance(table[key], dict) and isinstance(value, dict) and key not in ("health",):
            _fill(table[key], value)


def _resources(merged: Merged, resources: dict[str, Table], file: str) -> None:
    taken = {table["engine"]: name for name, table in merged.tables("resources").items()}
    for name, resource in resources.items():
        if (known := taken.get(resource["engine"])) is not None:
            _fill(merged.tables("resources")[known], resource)
            merged.came_from(f"resources.{known}", file)
            continue
        made = service_name(name, merged.tables("resources"))
        merged.tables("resources")[made] = resource
        merged.came_from(f"resources.{made}", file)


def add_resource(merged: Merged, engine: str, evidence: str) -> None:
    """A resource that detection found, unless there is one of its engine."""
    names = merged.tables("resources")
    if not any(table["engine"] == engine for table in names.values()):
        name = service_name("db" if engine == "postgres" else "cache", names)
        names[name] = {"engine": engine}
        merged.came_from(f"resources.{name}", evidence)


def _variables(merged: Merged, variables: dict[str, Table], renamed: dict[str, str]) -> None:
    table = merged.tables(_ENV)
    for name, entry in variables.items():
        owners = [renamed[owner] for owner in entry.get("for", []) if owner in renamed]
        given = {key: value for key, value in entry.items() if key != "for"}
        before = table.get(name)
        if before is None:
            table[name] = given | ({"for": owners} if owners else {})
            continue
        if "for" in before:
            before["for"] = list(dict.fromkeys([*before["for"], *owners])) if owners else []
            if not before["for"]:
                del before["for"]
        if "description" in given:
            before.setdefault("description", given["description"])


def tidy(merged: Merged) -> None:
    """Take out what would contradict: variables that resources give, owners that are gone, doubled constants."""
    services, variables = merged.tables("services"), merged.tables(_ENV)
    given = _injected(merged.tables("resources"))
    gone = [name for name in variables if name in given or name in RESERVED]
    for name in gone:
        del variables[name]
    if gone:
        merged.notes.append(f"given by golive and its resources, so not declared: {', '.join(gone)}")
    for entry in variables.values():
        _owners(entry, services)
    for service, table in services.items():
        for name in list(table.get("env", {})):
            secret = variables.get(name, {}).get("type") == "secret"
            if name in given or name in RESERVED or secret:
                del table["env"][name]
                merged.notes.append(f"services.{service}.env.{name} is left out: it is given otherwise")
        if not table.get("env", True):
            del table["env"]
    for key in ("services", "resources", _ENV):
        if not merged.table.get(key, True):
            del merged.table[key]


def _injected(resources: dict[str, Table]) -> set[str]:
    if not resources:
        return set()
    made = {name: Resource.model_validate(table) for name, table in resources.items()}
    stand_in = {"app": Service(kind=ServiceKind.STATIC)}
    return injected_names(Blueprint(name="app", services=stand_in, resources=made))


def _owners(entry: Table, services: dict[str, Table]) -> None:
    """A static service has no environment: what it is given, its build is given."""
    owners = [owner for owner in entry.get("for", []) if owner in services]
    dynamic = [owner for owner in owners if services[owner].get("kind") != "static"]
    entry.pop("for", None)
    if dynamic and len(dynamic) < len([s for s in services.values() if s.get("kind") != "static"]):
        entry["for"] = dynamic
    if entry.get("type") == "secret":
        for key in ("build", "client"):
            entry.pop(key, None)
    elif owners and not dynamic:
        entry["build"] = True


def drop_service(merged: Merged, name: str, why: str) -> None:
    """Leave a service out, and say so."""
    merged.tables("services").pop(name, None)
    merged.notes.append(f"services.{name} is left out: {why}")


def with_route(table: Table, routes: Iterable[str]) -> None:
    """The routes of a service in the shortest form."""
    listed: list[Any] = list(dict.fromkeys(routes))
    table["route"] = listed[0] if len(listed) == 1 else listed
