"""Rules about variables, resources and migrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from golive.blueprint.checkout import join
from golive.blueprint.env import RESERVED, default_text, fault_of, injected_names, resource_variables
from golive.blueprint.facts import Facts, folder, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.migration_tools import NEEDS_SERVICE
from golive.blueprint.models import ServiceKind, Variable, VariableType
from golive.blueprint.node_project import PREFIXES
from golive.blueprint.positions import KeyPath
from golive.errors import nearest


def _variables(facts: Facts) -> Iterator[Fault]:
    for name, variable in facts.blueprint.env.items():
        path: KeyPath = ("env", name)
        yield from _variable_type(path, variable, facts.table("env", name))
        for service in variable.services:
            if service not in facts.table("services"):
                yield _unknown((*path, "for"), service, "service", facts.table("services"))
            elif _is_static(facts, service) and not (variable.build or variable.client):
                hint = "a static service has no environment; `build = true` gives it to the build"
                yield Fault((*path, "for"), f"`{service}` is static", hint, also=(("services", service, "kind"),))
        if name in RESERVED:
            yield Fault(path, "is given by golive to every service and cannot be declared", "choose another name")


def _public_prefixes(facts: Facts) -> Iterator[Fault]:
    """A front end's framework hands to the browser what carries its prefix, and nothing else (ENV-3)."""
    for name, variable in facts.blueprint.env.items():
        given = {s: known for s in variable.services or facts.blueprint.services if (known := _prefix(facts, s))}
        public = {service: found for service, found in given.items() if name.startswith(found[1])}
        services = tuple(("services", service) for service in given)
        secret = variable.type is VariableType.SECRET
        if variable.client and given and not public and not secret:
            framework, prefix = next(iter(given.values()))
            message = f"{framework} keeps it from the browser: only variables that start with `{prefix}` get there"
            yield Fault(("env", name, "client"), message, f"call it {prefix}{name}", also=(("env", name), *services))
        elif secret and public and not variable.client:
            service, (framework, prefix) = next(iter(public.items()))
            message = (
                f"a secret whose name starts with `{prefix}` would end up in the browser ({framework}, `{service}`)"
            )
            yield Fault(("env", name, "type"), message, f"call it {name.removeprefix(prefix)}", also=services)


def _prefix(facts: Facts, name: str) -> tuple[str, str] | None:
    """The framework of a service and the prefix of what it shows to browsers, unless the project sets its own."""
    service = facts.blueprint.services.get(name)
    framework = service.build.framework if service else None
    if service is None or framework is None or framework not in PREFIXES:
        return None
    for suffix in ("ts", "js", "mts", "mjs"):
        if "envPrefix" in (facts.checkout.read(join(service.source, f"vite.config.{suffix}")) or ""):
            return None
    return framework, PREFIXES[framework]


def _is_static(facts: Facts, name: str) -> bool:
    service = facts.blueprint.services.get(name)
    return service is not None and service.kind is ServiceKind.STATIC


def _unknown(path: KeyPath, name: str, what: str, known: Mapping[str, Any]) -> Fault:
    close = nearest(name, known)
    hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(known)}" if known else None
    return Fault(path, f"there is no {what} `{name}`", hint)


def _variable_type(path: KeyPath, variable: Variable, given: Mapping[str, Any]) -> Iterator[Fault]:
    secret = variable.type is VariableType.SECRET
    type_at = ((*path, "type"),)
    for key in ("build", "client"):
        if secret and getattr(variable, key):
            why = "would end up in the artifact" if key == "build" else "would end up in the browser"
            yield Fault((*path, key), f"a secret {why}", "leave it out, or it is not a secret", also=type_at)
    if secret and variable.default is not None:
        hint = f"golive env set {path[1]}; `generate = true` makes one"
        yield Fault((*path, "default"), "a secret is not written in golive.toml", hint, also=type_at)
    if variable.generate and not secret:
        yield Fault((*path, "generate"), "only a secret is made by golive", 'type = "secret"', also=type_at)
    if variable.type is VariableType.ENUM and not variable.values:
        yield Fault((*path, "values"), "is required for an enum", 'such as `values = ["on", "off"]`', also=type_at)
    elif variable.type is not VariableType.ENUM and "values" in given:
        yield Fault((*path, "values"), "belongs to an enum", 'type = "enum"', also=type_at)
    elif not secret:
        yield from _default((*path, "default"), variable)


_DEFAULT_TYPES: Mapping[VariableType, tuple[tuple[type, ...], str]] = {
    VariableType.INT: ((int,), "an integer"),
    VariableType.FLOAT: ((int, float), "a number"),
    VariableType.BOOL: ((bool,), "true or false"),
    VariableType.STRINGS: ((list,), "a list of strings"),
    VariableType.INTS: ((list,), "a list of integers"),
    VariableType.URLS: ((list,), "a list of URLs"),
}
_FITTING = {bool: "bool", int: "int", float: "float", list: "string[]", dict: "json"}


def _default(path: KeyPath, variable: Variable) -> Iterator[Fault]:
    value, kind = variable.default, variable.type
    if value is None or (kind is VariableType.JSON and not isinstance(value, str)):
        return
    also = ((*path[:-1], "type"), (*path[:-1], "values"))
    types, words = _DEFAULT_TYPES.get(kind, ((str,), "a string"))
    if not isinstance(value, types) or (isinstance(value, bool) and kind is not VariableType.BOOL):
        fitting = _FITTING.get(type(value))
        plain = 'such as `["a", "b"]`' if list in types else "write it without quotes"
        hint = f'type = "{fitting}"' if fitting and fitting != kind else plain
        yield Fault(path, f"must be {words}, as the variable is of type {kind}", hint, also)
        return
    text = default_text(variable)
    items_fit = not isinstance(value, list) or all(_item_fits(kind, item) for item in value)
    fault = fault_of(variable, text) if text is not None and items_fit else f"must be {words}"
    if fault:
        yield Fault(path, fault, None, also)


def _item_fits(kind: VariableType, item: Any) -> bool:
    wanted = int if kind is VariableType.INTS else str
    return isinstance(item, wanted) and not isinstance(item, bool)


def _service_constants(facts: Facts) -> Iterator[Fault]:
    injected = injected_names(facts.blueprint)
    for path, service in services_of(facts):
        for name in service.env:
            at = (*path, "env", name)
            declared = facts.blueprint.env.get(name)
            if name in RESERVED:
                yield Fault(at, "is given by golive and cannot be set", "choose another name")
            elif declared is not None and declared.type is VariableType.SECRET:
                yield Fault(
                    at, "is declared as a secret, which is not written in golive.toml", f"golive env set {name}"
                )
            elif name in injected:
                yield Fault(at, "is given by a resource", "take it out")
        for name in service.build.env:
            declared = facts.blueprint.env.get(name)
            if declared is not None and declared.type is VariableType.SECRET:
                yield Fault((*path, "build", "env", name), "is declared as a secret; builds get none", "take it out")


def _resources(facts: Facts) -> Iterator[Fault]:
    for name, resource in facts.blueprint.resources.items():
        path: KeyPath = ("resources", name)
        given, engine = facts.table("resources", name), ((*path, "engine"),)
        if resource.url_from is not None:
            if resource.url_from not in facts.table("env"):
                yield _undeclared((*path, "url_from"), resource.url_from, facts)
            for key in ("memory", "persistence", "eviction", "pool", "replicas", "mask", "preview"):
                if given.get(key) is not None:
                    yield Fault((*path, key), "has no meaning for a resource golive does not run", "take it out")
        if resource.direct_from is not None:
            if resource.url_from is None:
                yield Fault((*path, "direct_from"), "belongs to `url_from`", "golive knows the way past its own pool")
            elif resource.direct_from not in facts.table("env"):
                yield _undeclared((*path, "direct_from"), resource.direct_from, facts)
        owned = {
            "postgres": ("extensions", "pool", "replicas", "mask", "preview", "direct_from"),
            "redis": ("eviction", "persistence"),
        }
        for other, keys in owned.items():
            for key in keys:
                if given.get(key) is not None and resource.engine != other:
                    yield Fault((*path, key), f"has no meaning for {resource.engine}", f"it belongs to {other}", engine)
        if resource.version is not None and resource.url_from is None:
            yield from _version((*path, "version"), resource.engine, resource.version)


def _undeclared(path: KeyPath, name: str, facts: Facts) -> Fault:
    close = nearest(name, facts.table("env"))
    hint = f"did you mean `{close}`?" if close else f'add [env.{name}] with type = "secret"'
    return Fault(path, f"the variable `{name}` is not declared", hint)


_VERSIONS = {"postgres": range(15, 19), "redis": range(6, 9)}


def _version(path: KeyPath, engine: str, version: int) -> Iterator[Fault]:
    known = _VERSIONS[engine]
    if version not in known:
        message = f"{engine} {version} is not one golive runs"
        yield Fault(
            path, message, f"{known.start} to {known.stop - 1}, or leave it out", also=((*path[:-1], "engine"),)
        )


def _prefixes(facts: Facts) -> Iterator[Fault]:
    owners: dict[str, str] = {}
    for name, parts in resource_variables(facts.blueprint).items():
        clash = next((variable for variable in parts.values() if variable in owners), None)
        if clash:
            also = tuple(("resources", r, k) for r in (name, owners[clash]) for k in ("engine", "prefix"))
            message = f"{clash} would come from this resource and from `{owners[clash]}`"
            yield Fault(("resources", name), message, "give it another `prefix`", also)
        for variable in parts.values():
            owners.setdefault(variable, name)


def _migrations(facts: Facts) -> Iterator[Fault]:
    migrations = facts.blueprint.migrations
    if migrations is None:
        return
    path: KeyPath = ("migrations",)
    known = facts.table("resources")
    resource = facts.blueprint.resources.get(migrations.resource)
    if migrations.resource not in known:
        yield _unknown((*path, "resource"), migrations.resource, "resource", known)
    elif resource is not None and resource.engine != "postgres":
        message = f"`{migrations.resource}` is {resource.engine}; migrations change a PostgreSQL database"
        yield Fault((*path, "resource"), message, None, (("resources", migrations.resource),))
    if migrations.service is not None and migrations.service not in facts.table("services"):
        yield _unknown((*path, "service"), migrations.service, "service", facts.table("services"))
    elif migrations.tool in NEEDS_SERVICE and migrations.service is None:
        yield Fault((*path, "service"), f"is required for {migrations.tool}: in whose environment does it run?")
    if migrations.table is not None and migrations.tool not in ("drizzle", "golang-migrate"):
        message = f"has no meaning for {migrations.tool}, which records in a table of a fixed name"
        yield Fault((*path, "table"), message, "take it out", ((*path, "tool"),))
    if migrations.rehearse is not None and resource is not None and resource.url_from is not None:
        message = f"`{migrations.resource}` is run by somebody else: golive copies what it runs itself"
        yield Fault((*path, "rehearse"), message, "take it out", (("resources", migrations.resource),))
    yield from folder(facts.checkout, (*path, "source"), migrations.source)


DATA_RULES = (_variables, _public_prefixes, _service_constants, _resources, _prefixes, _migrations)
