"""Several imports and what detection found, as one blueprint: what decides first stays, the rest fills its gaps."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from golive.blueprint.env import RESERVED
from golive.importers.connections import fitting_prefix, given_names, settle
from golive.importers.places import service_name
from golive.importers.report import Imported, Table
from golive.importers.usage import Usage

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
        _hooks(merged, proposal.pop("hooks", {}), renamed)
        for key, entry in proposal.items():
            _fill(merged.table, {key: entry})
    return merged


def _hooks(merged: Merged, hooks: dict[str, list[Table]], renamed: Mapping[str, str]) -> None:
    """All of them, each command once."""
    for when, listed in hooks.items():
        known: list[Table] = merged.table.setdefault("hooks", {}).setdefault(when, [])
        for hook in listed:
            if "service" in hook:
                hook["service"] = renamed.get(hook["service"], hook["service"])
            if all(hook["run"] != other["run"] for other in known):
                known.append(hook)


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
        if "default" in given and "default" not in before and before.get("type") != "secret":
            before |= {key: given[key] for key in ("type", "values", "default") if key in given}
            for key in ("required", "example"):
                before.pop(key, None)


def tidy(merged: Merged, usage: Mapping[str, Usage], static: Collection[str]) -> dict[str, str]:
    """Take out what would contradict: variables that resources give, owners that are gone, doubled constants.

    Variable → what gives it, of those that were taken out. `static` are the services that are only files.
    """
    services, variables, resources = merged.tables("services"), merged.tables(_ENV), merged.tables("resources")
    if fitting := fitting_prefix(resources, usage):
        resources[fitting[0]]["prefix"] = fitting[1]
    reserved = [name for name in variables if name in RESERVED]
    for name in reserved:
        del variables[name]
    gone, strange = settle(variables, resources, usage)
    for name in strange:
        merged.notes.append(_strange(name, usage, resources))
    for entry in variables.values():
        _owners(entry, services, static)
    given = given_names(resources)
    for service, table in services.items():
        _constants(merged, service, table, given)
    _homes(merged, [name for name in services if name not in static])
    for key in ("services", "resources", _ENV):
        if not merged.table.get(key, True):
            del merged.table[key]
    return dict.fromkeys(gone, "the resource, which golive runs") | dict.fromkeys(reserved, "golive, to every instance")


def _homes(merged: Merged, running: list[str]) -> None:
    """Hooks run in a service that is there and has an environment; said only where there is a choice."""
    for when, listed in dict(merged.table.get("hooks", {})).items():
        for hook in listed:
            wanted = hook.pop("service", None)
            if len(running) > 1:
                hook["service"] = wanted if wanted in running else running[0]
        if not running:
            merged.notes.append(f"hooks.{when} is left out: there is no service that it could run in")
            del merged.table["hooks"]


def _strange(name: str, usage: Mapping[str, Usage], resources: Mapping[str, Table]) -> str:
    known = ", ".join(sorted(n for n in given_names(resources) if not n.startswith("PG")))
    return f"{usage[name].file} reads {name}, which golive does not give ({known} are): read one of those, or set it"


def _constants(merged: Merged, service: str, table: Table, given: Collection[str]) -> None:
    variables = merged.tables(_ENV)
    for name in list(table.get("env", {})):
        secret = isinstance(variables.get(name), dict) and variables[name].get("type") == "secret"
        if name in given or name in RESERVED or secret:
            del table["env"][name]
            merged.notes.append(f"services.{service}.env.{name} is left out: it is given otherwise")
    if not table.get("env", True):
        del table["env"]


def _owners(entry: Table, services: dict[str, Table], static: Collection[str]) -> None:
    """A static service has no environment: what it is given, its build is given."""
    owners = [owner for owner in entry.get("for", []) if owner in services]
    dynamic = [owner for owner in owners if owner not in static]
    entry.pop("for", None)
    if dynamic and len(dynamic) < len([s for s in services if s not in static]):
        entry["for"] = dynamic
    if entry.get("type") == "secret":
        for key in ("build", "client"):
            entry.pop(key, None)
    elif owners and not dynamic:
        entry["build"] = True


def shorten(table: Table) -> None:
    """The short forms of golive.toml wherever they say the same."""
    for service in table.get("services", {}).values():
        if service.get("restart") == "always":
            del service["restart"]
        health = service.get("health", {})
        for entry in health.values() if isinstance(health, dict) else ():
            for key in [k for k, usual in _USUAL.items() if str(entry.get(k)) == usual]:
                del entry[key]
        for probe, entry in health.items() if isinstance(health, dict) else ():
            if set(entry) == {"path"}:
                health[probe] = entry["path"]
        if isinstance(health, dict) and set(health) == {"ready"} and isinstance(health["ready"], str):
            service["health"] = health["ready"]
    for name, resource in table.get("resources", {}).items():
        if set(resource) <= {"engine", "version"}:
            version = f":{resource['version']}" if "version" in resource else ""
            table["resources"][name] = f"{resource['engine']}{version}"
    for name, entry in table.get(_ENV, {}).items():
        if entry.get("type") == "string" and len(entry) > 1:
            del entry["type"]
        default, kind = entry.get("default"), entry.get("type", "string")
        if set(entry) <= {"type", "default"} and "default" in entry and kind == _NATURAL.get(type(default)):
            table[_ENV][name] = default


_USUAL: Mapping[str, str] = {"interval": "10s", "timeout": "5s", "failures": "3"}
"""What a probe has when it says nothing."""
_NATURAL: Mapping[type, str] = {str: "string", int: "int", float: "float", bool: "bool"}
"""The type a bare value has by itself."""


def drop_service(merged: Merged, name: str, why: str) -> None:
    """Leave a service out, and say so."""
    merged.tables("services").pop(name, None)
    merged.notes.append(f"services.{name} is left out: {why}")


def with_route(table: Table, routes: Iterable[str]) -> None:
    """The routes of a service in the shortest form."""
    listed: list[Any] = list(dict.fromkeys(routes))
    table["route"] = listed[0] if len(listed) == 1 else listed
