"""From the file's data and the checkout to the blueprint of one environment, with where every value came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from golive.blueprint.checkout import Checkout
from golive.blueprint.detect import detect_migrations, detect_project, detect_service
from golive.blueprint.detection import Detection
from golive.blueprint.document import Document
from golive.blueprint.env import scopes
from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault, validate
from golive.blueprint.jwt_rules import fill_keys
from golive.blueprint.migration_tools import NEEDS_SERVICE, drizzle_table, tool_of
from golive.blueprint.models import NAME_PATTERN, Blueprint
from golive.blueprint.positions import KeyPath, key_path
from golive.blueprint.problem import Problem, blueprint_error
from golive.blueprint.rules import check
from golive.blueprint.static_prefix import detect_strip
from golive.blueprint.sugar import expand

MAX_ENVIRONMENTS = 50
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,30}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,5}")


@dataclass(frozen=True)
class Origin:
    """Where a value came from; `str()` is what `golive config` prints.

    `detail` is the place in the file (`golive.toml:12`) or the file that shows a detected value; `environment` is the
    overlay's name for values from one.
    """

    source: Literal["file", "environment", "detected", "default"]
    detail: str = ""
    environment: str = ""

    def __str__(self) -> str:
        if self.source == "environment":
            return f"environments.{self.environment} ({self.detail})"
        return {"file": self.detail, "detected": f"detected from {self.detail}", "default": "default"}[self.source]


@dataclass(frozen=True)
class Resolved:
    """The blueprint, and the origin of every leaf by its key path (`services.api.health.ready.path`)."""

    blueprint: Blueprint
    origins: Mapping[str, Origin]

    def leaves(self) -> Iterator[tuple[str, Any, Origin]]:
        """Every value in the file's own notation, with its origin, in the order of the models."""
        for path, value in leaves(dump(self.blueprint)):
            yield key_path(path), value, self.origins[key_path(path)]


def dump(blueprint: Blueprint) -> dict[str, Any]:
    """The blueprint as JSON data with the file's key names."""
    return blueprint.model_dump(mode="json", by_alias=True)


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value that is not a table or a list of tables; empty tables count as values."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from leaves(child, (*path, key))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for index, child in enumerate(value):
            yield from leaves(child, (*path, index))
    else:
        yield path, value


@dataclass(frozen=True)
class _Layer:
    """The file's own table (`prefix` is empty) or one environment's overlay, with short forms written out."""

    prefix: KeyPath
    table: dict[str, Any]


@dataclass
class _Draft:
    """What is known while an environment is put together."""

    document: Document
    environment: str
    layers: list[_Layer]
    table: dict[str, Any]
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    unsure: list[KeyPath] = field(default_factory=list)

    def problem(self, fault: Fault) -> Problem:
        layer, line = self._place(fault.path)
        path = key_path((*layer.prefix, *fault.path))
        return Problem(path, fault.message, fault.hint, self.document.file, line)

    def _place(self, path: KeyPath) -> tuple[_Layer, int]:
        """The layer whose text decides this path: the newest that writes it itself, else the deepest parent."""
        best, best_line, best_depth = self.layers[0], 1, -1
        for layer in self.layers:
            line, known = self.document.lines.nearest((*layer.prefix, *path))
            depth = len(known) - len(layer.prefix)
            if depth > best_depth or (depth == best_depth == len(path)):
                best, best_line, best_depth = layer, line, depth
        return best, best_line


def resolve(document: Document, checkout: Checkout, environment: str = "production") -> Resolved:
    """The blueprint of one environment. The whole file is checked: the overlays of other environments too.

    Raises BlueprintError with every problem.
    """
    if not _ENVIRONMENT.fullmatch(environment):
        hint = "such as production, preview/fix-login or development"
        raise blueprint_error([Problem("", f"`{environment}` is not the name of an environment", hint)])
    declared, problems = _declared(document)
    cache: dict[str, Detection] = {}
    chosen, draft = _attempt(document, checkout, environment, cache)
    problems += [draft.problem(fault) for fault in draft.faults]
    for other in declared:
        if other != environment:
            _, tried = _attempt(document, checkout, other, cache)
            problems += [p for fault in tried.faults if (p := tried.problem(fault)) not in problems]
    if problems:
        raise blueprint_error(problems)
    found = (path for path, _ in leaves(dump(chosen)))
    return Resolved(chosen, {key_path(p): draft.origins.get(p, Origin("default")) for p in found})


def _declared(document: Document) -> tuple[list[str], list[Problem]]:
    overlays = document.data.get("environments", {})
    table: KeyPath = ("environments",)

    def at(path: KeyPath, message: str, hint: str | None = None) -> Problem:
        return Problem(key_path(path), message, hint, document.file, document.lines.nearest(path)[0])

    if not isinstance(overlays, dict):
        return [], [at(table, "must be a table: `[environments.<name>]`")]
    if len(overlays) > MAX_ENVIRONMENTS:
        return [], [at(table, f"more than {MAX_ENVIRONMENTS} environments")]
    problems = []
    for name, overlay in overlays.items():
        if not _ENVIRONMENT.fullmatch(name):
            problems.append(at((*table, name), "must be a name such as production, preview or development"))
        elif not isinstance(overlay, dict):
            problems.append(at((*table, name), "must be a table: a partial blueprint"))
        else:
            for key in ("name", "environments"):
                if key in overlay:
                    problems.append(at((*table, name, key), "cannot differ between environments"))
    return [name for name, overlay in overlays.items() if _ENVIRONMENT.fullmatch(name)], problems


def _attempt(
    document: Document, checkout: Checkout, environment: str, cache: dict[str, Detection]
) -> tuple[Blueprint, _Draft]:
    draft = _draft(document, environment)
    given = draft.table
    table = merge({}, given)
    table["environment"] = environment
    _fill_domains(table)
    _detect_services(draft, table, checkout, cache)
    _fill_routes(table)
    _fill_prefixes(draft, table, checkout)
    _fill_migrations(draft, table, checkout)
    _fill_hooks(draft, table)
    _fill_keys(draft, table, checkout)
    if "environment" in given:
        draft.faults.append(Fault(("environment",), "unknown key", _ENVIRONMENT_HINT))
    blueprint, shape = validate(table)
    draft.faults = _once(draft.unsure, shape, draft.faults, check(Facts(blueprint, given, checkout)))
    return blueprint, draft


_ENVIRONMENT_HINT = "differences between environments go below `[environments.<name>]`"


def _draft(document: Document, environment: str) -> _Draft:
    overlays = document.data.get("environments")
    layers = [_Layer((), expand(document.data))]
    if isinstance(overlays, dict):
        for name in scopes(environment):
            if isinstance(overlay := overlays.get(name), dict):
                own = {key: value for key, value in overlay.items() if key not in ("name", "environments")}
                layers.append(_Layer(("environments", name), expand(own, declared=layers[0].table.get("env"))))
    table: dict[str, Any] = {}
    draft = _Draft(document, environment, layers, table)
    for layer in layers:
        table.update(merge(table, layer.table))
        for path, _ in leaves(layer.table):
            line = document.lines.nearest((*layer.prefix, *path))[0]
            place = f"{document.file}:{line}"
            name = str(layer.prefix[1]) if layer.prefix else ""
            draft.origins[path] = Origin("environment" if name else "file", place, name)
    written = {path for path, _ in leaves(table)}
    draft.origins = {path: origin for path, origin in draft.origins.items() if path in written}
    return draft


_PROBE_KINDS = {"path", "tcp", "grpc", "command"}


def merge(base: Mapping[str, Any], over: Mapping[str, Any], inside: tuple[str, ...] = ()) -> dict[str, Any]:
    """Tables are merged, everything else is replaced. A probe of another kind replaces the base's kind.

    `inside` is where both stand: a service has keys of the same names, and keeps them.
    """
    merged = dict(base)
    if inside[-2:-1] == ("health",) and _PROBE_KINDS & over.keys():
        merged = {key: value for key, value in base.items() if key not in _PROBE_KINDS}
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(value, dict):
            merged[key] = merge(before if isinstance(before, dict) else {}, value, (*inside, key))
        else:
            merged[key] = value
    return merged


def _once(unsure: list[KeyPath], shape: list[Fault], detected: list[Fault], rules: list[Fault]) -> list[Fault]:
    """Faults without those that only follow from another: nothing is judged by a value that is itself at fault."""
    kept = list(shape)
    for faults in (detected, rules):
        broken = [fault.path for fault in kept] + (unsure if faults is rules else [])
        kept += [f for f in faults if not any(_touches(b, p) for b in broken for p in (f.path, *f.also))]
    return kept


def _touches(broken: KeyPath, path: KeyPath) -> bool:
    if len(broken) <= len(path):
        return path[: len(broken)] == broken
    # What is said about a whole service or resource still holds when one key in it is at fault.
    return broken[: len(path)] == path and (len(path) > 2 or isinstance(broken[len(path)], int))


def _tables(table: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    entries = table.get(key)
    return {k: v for k, v in entries.items() if isinstance(v, dict)} if isinstance(entries, dict) else {}


def _fill_domains(table: dict[str, Any]) -> None:
    if "domains" not in table:
        name = table.get("name")
        good = isinstance(name, str) and re.fullmatch(NAME_PATTERN, name)
        table["domains"] = [f"{name if good else 'app'}.localhost"]


def _detect_services(draft: _Draft, table: dict[str, Any], checkout: Checkout, cache: dict[str, Detection]) -> None:
    services = table.get("services")
    if services is None or services == {}:
        draft.faults.append(_no_services(checkout))
        table["services"] = {"app": {"kind": "static", "route": ["/"]}}
    for name, service in _tables(table, "services").items():
        known = repr(service)
        if known not in cache:
            cache[known] = detect_service(checkout, service)
        for path, (value, evidence) in cache[known].values.items():
            _put(service, path, value)
            for leaf, _ in leaves(value, ("services", name, *path)):
                draft.origins[leaf] = Origin("detected", evidence)
        if "kind" not in service:
            # Nothing could be detected, and what stood in the way (the source) is reported by its own rule.
            service["kind"] = "web"
            draft.unsure.append(("services", name, "kind"))
        for fault in cache[known].faults:
            draft.faults.append(Fault(("services", name, *fault.path), fault.message, fault.hint))


def _no_services(checkout: Checkout) -> Fault:
    proposals = detect_project(checkout)
    found = "; ".join(f'[services.{p.name}] source = "{p.source}"' for p in proposals[:4])
    hint = f"this checkout looks like {found}" if found else "such as `[services.web]` with `source`"
    return Fault(("services",), "there is no service", hint)


def _put(table: dict[str, Any], path: KeyPath, value: Any) -> None:
    for key in path[:-1]:
        table = table.setdefault(str(key), {})
    table[str(path[-1])] = value


def _fill_routes(table: dict[str, Any]) -> None:
    """`/` goes to the only service that answers, to one with domains of its own, or to the only static one."""
    answering = {n: s for n, s in _tables(table, "services").items() if s.get("kind") in ("web", "static")}
    open_ = {name: service for name, service in answering.items() if "route" not in service}
    for service in open_.values():
        if service.get("domains"):
            service["route"] = ["/"]
    shared = {name: service for name, service in answering.items() if not service.get("domains")}
    left = {name: service for name, service in shared.items() if "route" not in service}
    static = [name for name in left if left[name]["kind"] == "static"]
    taken = any("/" in s["route"] for s in shared.values() if isinstance(s.get("route"), list))
    chosen = next(iter(left)) if len(left) == 1 else static[0] if len(static) == 1 else None
    if chosen and not taken:
        left[chosen]["route"] = ["/"]


def _fill_prefixes(draft: _Draft, table: dict[str, Any], checkout: Checkout) -> None:
    for name, service in _tables(table, "services").items():
        if evidence := detect_strip(checkout, service):
            service["strip_prefix"] = True
            draft.origins["services", name, "strip_prefix"] = Origin("detected", evidence)


def _fill_keys(draft: _Draft, table: dict[str, Any], checkout: Checkout) -> None:
    for name, service in _tables(table, "services").items():
        if file := fill_keys(service, checkout):
            draft.origins["services", name, "jwt", "keys"] = Origin("detected", file)


def _fill_migrations(draft: _Draft, table: dict[str, Any], checkout: Checkout) -> None:
    given = table.get("migrations", {})
    if given is False:
        del table["migrations"]
        return
    if not isinstance(given, dict):
        return
    given = dict(given)
    postgres = [name for name, r in _tables(table, "resources").items() if r.get("engine") == "postgres"]
    sources = {
        name: source
        for name, s in _tables(table, "services").items()
        if isinstance(source := s.get("source", "."), str)
    }
    if "source" not in given and not _find_source(draft, given, postgres, checkout, tuple(sources.values())):
        return
    source = given.get("source")
    if not isinstance(source, str):
        table["migrations"] = given
        return
    _fill_tool(draft, given, source, checkout)
    _fill_database(draft, given, postgres)
    if given.get("tool") == "drizzle" and "table" not in given and (named := drizzle_table(checkout, source)):
        given["table"] = named[0]
        draft.origins["migrations", "table"] = Origin("detected", named[1])
    if given.get("tool") in NEEDS_SERVICE and "service" not in given:
        owner = nearest_owner(source, sources)
        if owner:
            given["service"] = owner
            draft.origins["migrations", "service"] = Origin("detected", source)
    table["migrations"] = given


def _fill_hooks(draft: _Draft, table: dict[str, Any]) -> None:
    """Where there is one service that a hook can run in, that is it."""
    running = [name for name, s in _tables(table, "services").items() if s.get("kind") != "static"]
    hooks = table.get("hooks")
    if len(running) != 1 or not isinstance(hooks, dict):
        return
    for when, listed in hooks.items():
        for index, hook in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(hook, dict) and "service" not in hook:
                listed[index] = {**hook, "service": running[0]}
                draft.origins["hooks", when, index, "service"] = Origin("detected", f"services.{running[0]}")


def _fill_database(draft: _Draft, given: dict[str, Any], postgres: list[str]) -> None:
    if "resource" in given:
        return
    at = ("migrations", "resource")
    if len(postgres) == 1:
        draft.origins[at] = Origin("detected", "the only PostgreSQL resource")
    elif postgres:
        hint = f"choose one of {', '.join(postgres)}"
        draft.faults.append(Fault(at, f"is required: which database does {given['source']}/ change?", hint))
    else:
        hint = '[resources.db] with engine = "postgres"'
        draft.faults.append(Fault(at, "is required, and there is no PostgreSQL resource", hint))
    given["resource"] = postgres[0] if postgres else "db"


def _find_source(
    draft: _Draft, given: dict[str, Any], postgres: list[str], checkout: Checkout, folders: tuple[str, ...]
) -> bool:
    found = detect_migrations(checkout, folders) if postgres else []
    if len(found) > 1:
        places = ", ".join(f"{m.source}/ ({m.tool})" for m in found)
        hint = f'choose one: `migrations = "{found[0].source}"`, or `migrations = false`'
        draft.faults.append(Fault(("migrations",), f"more than one folder of migrations: {places}", hint))
    if len(found) != 1:
        return bool(given) and not found
    given["source"] = found[0].source
    draft.origins["migrations", "source"] = Origin("detected", found[0].evidence)
    return True


def _fill_tool(draft: _Draft, given: dict[str, Any], source: str, checkout: Checkout) -> None:
    if "tool" in given:
        return
    tool = tool_of(checkout, source)
    given["tool"] = tool[0] if tool else "sql"
    if tool:
        draft.origins["migrations", "tool"] = Origin("detected", tool[1])


def nearest_owner(folder: str, sources: Mapping[str, str]) -> str | None:
    """The service whose source is the folder or the closest one above it."""
    above = [name for name, s in sources.items() if s in (".", folder) or folder.startswith(s.rstrip("/") + "/")]
    return max(above, key=lambda name: len(sources[name]), default=None)
