"""Combinations that a blueprint may not have: each rule yields faults from the facts, and all are always asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

from golive.blueprint.checkout import Checkout, OutsideCheckout, join
from golive.blueprint.env import RESERVED, default_text, fault_of, injected_names, resource_variables
from golive.blueprint.faults import Fault
from golive.blueprint.models import Blueprint, Probe, Service, ServiceKind, Variable, VariableType
from golive.blueprint.positions import KeyPath
from golive.errors import nearest


@dataclass(frozen=True)
class Facts:
    """`given` is what the file says, overlays merged and short forms written out; `blueprint` has everything filled."""

    blueprint: Blueprint
    given: Mapping[str, Any]
    checkout: Checkout

    def table(self, *path: str) -> Mapping[str, Any]:
        """The file's table at a path, empty where it has none."""
        value: Any = self.given
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, Mapping) else {}


Rule = Callable[[Facts], Iterator[Fault]]

_WEB, _STATIC, _WORKER, _CRON = ServiceKind.WEB, ServiceKind.STATIC, ServiceKind.WORKER, ServiceKind.CRON
_MEANING: Mapping[str, tuple[ServiceKind, ...]] = {
    "command": (_WEB, _WORKER, _CRON),
    "port": (_WEB,),
    "route": (_WEB, _STATIC),
    "strip_prefix": (_WEB, _STATIC),
    "domains": (_WEB, _STATIC),
    "rate_limit": (_WEB, _STATIC),
    "timeout": (_WEB,),
    "idle_timeout": (_WEB,),
    "health": (_WEB, _WORKER),
    "scale": (_WEB, _WORKER),
    "limits": (_WEB, _WORKER, _CRON),
    "overlap": (_WEB, _WORKER),
    "spa": (_STATIC,),
    "clean_urls": (_STATIC,),
    "schedule": (_CRON,),
    "timezone": (_CRON,),
    "restart": (_WEB, _WORKER),
    "stop_timeout": (_WEB, _WORKER, _CRON),
}
_ARTICLES = {_WEB: "a web service", _STATIC: "a static service", _WORKER: "a worker", _CRON: "a cron service"}


def check(facts: Facts) -> list[Fault]:
    """Every fault of every rule."""
    return [fault for rule in _RULES for fault in rule(facts)]


def _services(facts: Facts) -> Iterator[tuple[KeyPath, Service]]:
    for name, service in facts.blueprint.services.items():
        yield ("services", name), service


def _meaningless_keys(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        for key in facts.table(*map(str, path)):
            kinds = _MEANING.get(key, tuple(ServiceKind))
            if service.kind not in kinds:
                owners = " or ".join(_ARTICLES[kind] for kind in kinds)
                message = f"has no meaning for {_ARTICLES[service.kind]}"
                yield Fault((*path, key), message, f"it belongs to {owners}", also=((*path, "kind"),))


def _sources(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        yield from _folder(facts.checkout, (*path, "source"), service.source)
        if service.build.output is not None and service.kind is _STATIC:
            yield from _output((*path, "build", "output"), service, facts.checkout)
        if service.build.dependencies is not None:
            yield from _inside(facts.checkout, (*path, "build", "dependencies"), service.build.dependencies)


def _output(path: KeyPath, service: Service, checkout: Checkout) -> Iterator[Fault]:
    output = str(service.build.output)
    outside = list(_inside(checkout, path, output))
    yield from outside
    if service.build.command is None and not outside:
        yield from _folder(checkout, path, join(service.source, output), also=((*path[:2], "source"),))


def _inside(checkout: Checkout, path: KeyPath, place: str) -> Iterator[Fault]:
    try:
        checkout.locate(place)
    except OutsideCheckout as reason:
        yield Fault(path, f"`{place}` {reason}")


def _folder(checkout: Checkout, path: KeyPath, place: str, also: tuple[KeyPath, ...] = ()) -> Iterator[Fault]:
    try:
        found = checkout.what_is(place)
    except OutsideCheckout as reason:
        yield Fault(path, f"`{place}` {reason}", also=also)
        return
    if found == "folder":
        return
    if found == "file":
        yield Fault(path, f"`{place}` is a file, not a folder", also=also)
        return
    folders = {f.rpartition("/")[0] for f in checkout.files}
    close = nearest(place, folders)
    yield Fault(path, f"there is no folder `{place}`", f"did you mean `{close}`?" if close else None, also=also)


def _commands(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        also = ((*path, "kind"), (*path, "source"), (*path, "build"))
        if service.kind is _STATIC:
            continue
        if service.command is None:
            example = "`celery -A app worker`" if service.kind is _WORKER else "`python -m app`"
            message = f"is required for {_ARTICLES[service.kind]}"
            yield Fault((*path, "command"), message, f"the line that starts it, such as {example}", also=also)
        elif not service.command.strip():
            yield Fault((*path, "command"), "is empty")


_PLAIN_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve", "flask")
"""Programs that are known not to look at PORT by themselves."""


def _ports_in_commands(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        words = (service.command or "").split()
        if service.kind is not _WEB or service.port is not None or not words or "PORT" in str(service.command):
            continue
        if words[0].rpartition("/")[2] in _PLAIN_SERVERS:
            hint = "add $PORT where the program takes its port, or set `port` to the one it always uses"
            yield Fault((*path, "command"), "does not use $PORT, and no `port` is set", hint, also=((*path, "port"),))


def _routes(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        if service.kind not in (_WEB, _STATIC):
            continue
        if not service.route:
            hint = 'the paths it answers, such as `route = "/api"`; the longest match wins'
            message = "is required: more than one service answers requests"
            yield Fault((*path, "route"), message, hint, also=((*path, "kind"),))
        for route in service.route:
            if "//" in route or "/../" in f"{route}/" or "/./" in f"{route}/":
                yield Fault((*path, "route"), f"`{route}` must not contain `//`, `.` or `..`")
        if len(set(map(_plain, service.route))) < len(service.route):
            yield Fault((*path, "route"), "names the same path twice")


def _plain(route: str) -> str:
    return route.rstrip("/") or "/"


def _route_conflicts(facts: Facts) -> Iterator[Fault]:
    for (one_path, one), (other_path, other) in combinations(_services(facts), 2):
        same = {_plain(r) for r in one.route} & {_plain(r) for r in other.route}
        shared = set(one.domains or facts.blueprint.domains) & set(other.domains or facts.blueprint.domains)
        if same and shared:
            where = f"`{min(same)}` on {min(shared)}"
            also = tuple((*p, k) for p in (one_path, other_path) for k in ("kind", "route", "domains"))
            message = f"{where} is already answered by the service `{one_path[1]}`"
            yield Fault((*other_path, "route"), message, "give one of them another route or domain", also=also)


def _health(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        for name in ("startup", "ready", "live"):
            probe: Probe | None = getattr(service.health, name)
            if probe is not None:
                yield from _probe((*path, "health", name), service, probe)


def _probe(path: KeyPath, service: Service, probe: Probe) -> Iterator[Fault]:
    kind_at = ((*path[:2], "kind"),)
    chosen = [key for key, given in (("path", probe.path), ("tcp", probe.tcp), ("command", probe.command)) if given]
    if len(chosen) != 1:
        what = f"has {' and '.join(chosen)}" if chosen else "says nothing to ask"
        yield Fault(path, f"{what}: exactly one of path, tcp, command", 'such as `ready = "/health"`')
    elif service.kind is _WORKER and chosen != ["command"]:
        yield Fault((*path, chosen[0]), "a worker has no port to ask", "use `command`", also=kind_at)
    if not probe.interval or not probe.timeout:
        key = "timeout" if probe.interval else "interval"
        yield Fault((*path, key), "must be more than 0")


def _scale(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        scale = service.scale
        both = ((*path, "scale", "min"), (*path, "scale", "max"))
        if scale.min > scale.max:
            yield Fault(both[0], f"is {scale.min}, more than max, which is {scale.max}", also=both)
        elif scale.cpu is not None and scale.min == scale.max:
            hint = f"such as `max = {scale.max + 2}`"
            yield Fault((*path, "scale", "cpu"), "has no effect while min and max are equal", hint, also=both)
        if not service.overlap and scale.max > 1:
            hint = "`overlap = false` means one instance; leave `scale` out"
            yield Fault((*path, "scale", "max"), "must be 1 with `overlap = false`", hint, also=((*path, "overlap"),))


def _ports(facts: Facts) -> Iterator[Fault]:
    owners: dict[int, str] = {}
    for path, service in _services(facts):
        if service.port is None or service.kind is not _WEB:
            continue
        if service.overlap:
            message = "a fixed port cannot be shared by the old and the new release"
            yield Fault((*path, "port"), message, "add `overlap = false`", also=((*path, "overlap"),))
        if service.port in owners:
            yield Fault((*path, "port"), f"is also the port of the service `{owners[service.port]}`")
        elif service.port in (80, 443):
            yield Fault((*path, "port"), "belongs to the edge", "leave `port` out: golive gives one as $PORT")
        owners.setdefault(service.port, str(path[1]))


def _schedules(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        at, kind = (*path, "schedule"), ((*path, "kind"),)
        if service.kind is _CRON and service.schedule is None:
            yield Fault(
                at, "is required for a cron service", 'such as `schedule = "0 3 * * *"` or `"@daily"`', also=kind
            )
        elif service.kind is _CRON and service.schedule is not None and not _is_schedule(service.schedule):
            hint = "minute, hour, day, month, weekday: `*/5 * * * *`; or @hourly, @daily, @weekly"
            yield Fault(at, f"`{service.schedule}` is not a schedule", hint)
        if not _is_zone(service.timezone):
            close = _nearest_zone(service.timezone)
            hint = f"did you mean `{close}`?" if close else "an IANA zone, such as Europe/Berlin"
            yield Fault((*path, "timezone"), f"there is no time zone `{service.timezone}`", hint)


def _is_schedule(text: str) -> bool:
    from croniter import croniter  # type: ignore[import-untyped, unused-ignore]

    if text.startswith("@"):
        return text in ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
    return len(text.split()) == 5 and len(text) < 200 and bool(croniter.is_valid(text))


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a path, an unknown key
        return False
    return True


def _nearest_zone(name: str) -> str | None:
    from zoneinfo import available_timezones

    return nearest(name, sorted(available_timezones()))


def _rate_limits(facts: Facts) -> Iterator[Fault]:
    for path, service in _services(facts):
        for index, rule in enumerate(service.rate_limit):
            at = (*path, "rate_limit", index, "path")
            if rule.path is None or any(_under(rule.path, route) for route in service.route):
                continue
            routes = ", ".join(service.route) or "nothing"
            message = f"`{rule.path}` is not under the service's route ({routes})"
            yield Fault(at, message, "paths are as the client sees them", also=((*path, "route"), (*path, "kind")))


def _under(path: str, route: str) -> bool:
    plain = _plain(route)
    return plain in ("/", path) or path.startswith(plain + "/")


def _domains(facts: Facts) -> Iterator[Fault]:
    places: list[tuple[KeyPath, tuple[str, ...]]] = [(("domains",), facts.blueprint.domains)]
    places += [((*path, "domains"), service.domains) for path, service in _services(facts)]
    for path, domains in places:
        if len(set(domains)) < len(domains):
            yield Fault(path, "names a domain twice")
    if not facts.blueprint.domains and any(s.kind in (_WEB, _STATIC) for s in facts.blueprint.services.values()):
        yield Fault(("domains",), "must not be empty", "leave it out for <name>.localhost", also=(("name",),))


def _variables(facts: Facts) -> Iterator[Fault]:
    for name, variable in facts.blueprint.env.items():
        path: KeyPath = ("env", name)
        yield from _variable_type(path, variable, facts.table("env", name))
        for service in variable.services:
            if service not in facts.table("services"):
                yield _unknown((*path, "for"), service, "service", facts.table("services"))
            elif _is_static(facts, service) and not variable.build:
                hint = "a static service has no environment; `build = true` gives it to the build"
                yield Fault((*path, "for"), f"`{service}` is static", hint, also=(("services", service, "kind"),))
        if name in RESERVED:
            yield Fault(path, "is given by golive to every service and cannot be declared", "choose another name")


def _is_static(facts: Facts, name: str) -> bool:
    service = facts.blueprint.services.get(name)
    return service is not None and service.kind is _STATIC


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
    for path, service in _services(facts):
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
            for key in ("version", "memory", "persistence", "eviction"):
                if key in given:
                    yield Fault((*path, key), "has no meaning for a resource golive does not run", "take it out")
        owned = {"postgres": ("extensions",), "redis": ("eviction", "persistence")}
        for other, keys in owned.items():
            for key in keys:
                if key in given and resource.engine != other:
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
    elif migrations.tool == "alembic" and migrations.service is None:
        yield Fault((*path, "service"), "is required for alembic: in whose environment does it run?")
    yield from _folder(facts.checkout, (*path, "source"), migrations.source)


def _headers(facts: Facts) -> Iterator[Fault]:
    for name, value in facts.blueprint.edge.headers.items():
        if not name or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name):
            yield Fault(("edge", "headers", name), "is not a header name")
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            yield Fault(("edge", "headers", name), "must not contain line ends or control characters")


_RULES: tuple[Rule, ...] = (
    _meaningless_keys,
    _sources,
    _commands,
    _ports_in_commands,
    _routes,
    _route_conflicts,
    _health,
    _scale,
    _ports,
    _schedules,
    _rate_limits,
    _domains,
    _variables,
    _service_constants,
    _resources,
    _prefixes,
    _migrations,
    _headers,
)
