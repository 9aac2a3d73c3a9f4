"""Rules about services: what each kind may have, and how routes, ports, probes and schedules fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from zoneinfo import ZoneInfo

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.facts import Facts, folder, inside, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.models import Probe, Service, ServiceKind
from golive.blueprint.positions import KeyPath
from golive.errors import nearest

_WEB, _STATIC, _WORKER, _CRON = ServiceKind.WEB, ServiceKind.STATIC, ServiceKind.WORKER, ServiceKind.CRON
_MEANING: Mapping[str, tuple[ServiceKind, ...]] = {
    "command": (_WEB, _WORKER, _CRON),
    "dev": (_WEB, _STATIC, _WORKER),
    "port": (_WEB,),
    "route": (_WEB, _STATIC),
    "grpc": (_WEB,),
    "replaces": (_WEB, _STATIC),
    "strip_prefix": (_WEB, _STATIC),
    "domains": (_WEB, _STATIC),
    "rate_limit": (_WEB, _STATIC),
    "quota": (_WEB, _STATIC),
    "cache": (_WEB,),
    "jwt": (_WEB,),
    "timeout": (_WEB,),
    "idle_timeout": (_WEB,),
    "health": (_WEB, _WORKER),
    "scale": (_WEB, _WORKER),
    "limits": (_WEB, _WORKER, _CRON),
    "overlap": (_WEB, _WORKER),
    "spa": (_STATIC,),
    "clean_urls": (_STATIC,),
    "redirect_html": (_WEB, _STATIC),
    "redirects": (_WEB, _STATIC),
    "rewrites": (_WEB, _STATIC),
    "headers": (_WEB, _STATIC),
    "trailing_slash": (_WEB, _STATIC),
    "schedule": (_CRON,),
    "timezone": (_CRON,),
    "restart": (_WEB, _WORKER),
    "stop_timeout": (_WEB, _WORKER, _CRON),
}
_ARTICLES = {_WEB: "a web service", _STATIC: "a static service", _WORKER: "a worker", _CRON: "a cron service"}


def _meaningless_keys(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        for key in facts.table(*map(str, path)):
            kinds = _MEANING.get(key, tuple(ServiceKind))
            if service.kind not in kinds:
                owners = " or ".join(_ARTICLES[kind] for kind in kinds)
                message = f"has no meaning for {_ARTICLES[service.kind]}"
                yield Fault((*path, key), message, f"it belongs to {owners}", also=((*path, "kind"),))


def _sources(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        yield from folder(facts.checkout, (*path, "source"), service.source)
        if service.build.output is not None and service.kind is _STATIC:
            yield from _output((*path, "build", "output"), service, facts.checkout)
        if service.build.dependencies is not None:
            yield from inside(facts.checkout, (*path, "build", "dependencies"), service.build.dependencies)


def _output(path: KeyPath, service: Service, checkout: Checkout) -> Iterator[Fault]:
    output = str(service.build.output)
    outside = list(inside(checkout, path, output))
    yield from outside
    if service.build.command is None and not outside:
        yield from folder(checkout, path, join(service.source, output), also=((*path[:2], "source"),))


def _commands(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        also = ((*path, "kind"), (*path, "source"), (*path, "build"))
        if service.kind is _STATIC:
            continue
        if service.command is None and service.build.builder != "docker":
            example = "`celery -A app worker`" if service.kind is _WORKER else "`python -m app`"
            message = f"is required for {_ARTICLES[service.kind]}"
            yield Fault((*path, "command"), message, f"the line that starts it, such as {example}", also=also)
        elif service.command is not None and not service.command.strip():
            yield Fault((*path, "command"), "is empty")


_PLAIN_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve", "flask")
"""Programs that are known not to look at PORT by themselves."""


def _ports_in_commands(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        words = (service.command or "").split()
        if service.kind is not _WEB or service.port is not None or not words or "PORT" in str(service.command):
            continue
        if words[0].rpartition("/")[2] in _PLAIN_SERVERS:
            hint = "add $PORT where the program takes its port, or set `port` to the one it always uses"
            yield Fault((*path, "command"), "does not use $PORT, and no `port` is set", hint, also=((*path, "port"),))


def _routes(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
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
    for (one_path, one), (other_path, other) in combinations(services_of(facts), 2):
        if one.replaces == other_path[1] or other.replaces == one_path[1]:
            continue
        same = {_plain(r) for r in one.route} & {_plain(r) for r in other.route}
        shared = set(one.domains or facts.blueprint.domains) & set(other.domains or facts.blueprint.domains)
        if same and shared:
            where = f"`{min(same)}` on {min(shared)}"
            also = tuple((*p, k) for p in (one_path, other_path) for k in ("kind", "route", "domains"))
            message = f"{where} is already answered by the service `{one_path[1]}`"
            yield Fault((*other_path, "route"), message, "give one of them another route or domain", also=also)


def _health(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        for name in ("startup", "ready", "live"):
            probe: Probe | None = getattr(service.health, name)
            if probe is not None:
                yield from _probe((*path, "health", name), service, probe)


def _probe(path: KeyPath, service: Service, probe: Probe) -> Iterator[Fault]:
    kind_at = ((*path[:2], "kind"),)
    asks = {"path": probe.path, "tcp": probe.tcp, "grpc": probe.grpc is not None, "command": probe.command}
    chosen = [key for key, given in asks.items() if given]
    if len(chosen) != 1:
        what = f"has {' and '.join(chosen)}" if chosen else "says nothing to ask"
        yield Fault(path, f"{what}: exactly one of path, tcp, grpc, command", 'such as `ready = "/health"`')
    elif service.kind is _WORKER and chosen != ["command"]:
        yield Fault((*path, chosen[0]), "a worker has no port to ask", "use `command`", also=kind_at)
    elif probe.grpc is not None and service.grpc is None:
        hint = 'such as `grpc = { route = "/package.Service" }` in the service; or ask by `path` or `tcp`'
        grpc_at = (*path[:2], "grpc")
        yield Fault((*path, "grpc"), "the service has no gRPC port to ask", hint, also=(grpc_at, *kind_at))
    if not probe.interval or not probe.timeout:
        key = "timeout" if probe.interval else "interval"
        yield Fault((*path, key), "must be more than 0")


def _scale(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
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
    for path, service in services_of(facts):
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
    for path, service in services_of(facts):
        at, kind = (*path, "schedule"), ((*path, "kind"),)
        if service.kind is _CRON and service.schedule is None:
            yield Fault(
                at, "is required for a cron service", 'such as `schedule = "0 3 * * *"` or `"@daily"`', also=kind
            )
        elif service.kind is _CRON and service.schedule is not None and not is_schedule(service.schedule):
            hint = "minute, hour, day, month, weekday: `*/5 * * * *`; or @hourly, @daily, @weekly"
            yield Fault(at, f"`{service.schedule}` is not a schedule", hint)
        if not is_zone(service.timezone):
            close = nearest_zone(service.timezone)
            hint = f"did you mean `{close}`?" if close else "an IANA zone, such as Europe/Berlin"
            yield Fault((*path, "timezone"), f"there is no time zone `{service.timezone}`", hint)


def is_schedule(text: str) -> bool:
    from croniter import croniter  # type: ignore[import-untyped, unused-ignore]

    if text.startswith("@"):
        return text in ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
    return len(text.split()) == 5 and len(text) < 200 and bool(croniter.is_valid(text))


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a path, an unknown key
        return False
    return True


def nearest_zone(name: str) -> str | None:
    from zoneinfo import available_timezones

    return nearest(name, sorted(available_timezones()))


def _limited_paths(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        limits = (("rate_limit", index, rule.path) for index, rule in enumerate(service.rate_limit))
        quotas = (("quota", index, rule.path) for index, rule in enumerate(service.quota))
        for key, index, limited in (*limits, *quotas):
            at = (*path, key, index, "path")
            if limited is None or any(_under(limited, route) for route in service.route):
                continue
            routes = ", ".join(service.route) or "nothing"
            message = f"`{limited}` is not under the service's route ({routes})"
            yield Fault(at, message, "paths are as the client sees them", also=((*path, "route"), (*path, "kind")))


def _caches(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        for index, rule in enumerate(service.cache):
            at = (*path, "cache", index, "path")
            if not any(_under(rule.prefix, route) for route in service.route):
                message = f"`{rule.path}` is not under the service's route ({', '.join(service.route) or 'nothing'})"
                yield Fault(at, message, "paths are as the client sees them", also=((*path, "route"), (*path, "kind")))
        if len({rule.prefix for rule in service.cache}) < len(service.cache):
            yield Fault((*path, "cache"), "names the same path twice")
        if service.cache and not service.overlap:
            hint = "requests are held at the edge while it changes over; leave one of the two out"
            yield Fault((*path, "cache"), "cannot be used with `overlap = false`", hint, also=((*path, "overlap"),))


def _under(path: str, route: str) -> bool:
    plain = _plain(route)
    return plain in ("/", path) or path.startswith(plain + "/")


def _domains(facts: Facts) -> Iterator[Fault]:
    places: list[tuple[KeyPath, tuple[str, ...]]] = [(("domains",), facts.blueprint.domains)]
    places += [((*path, "domains"), service.domains) for path, service in services_of(facts)]
    for path, domains in places:
        if len(set(domains)) < len(domains):
            yield Fault(path, "names a domain twice")
    if not facts.blueprint.domains and any(s.kind in (_WEB, _STATIC) for s in facts.blueprint.services.values()):
        yield Fault(("domains",), "must not be empty", "leave it out for <name>.localhost", also=(("name",),))


def _redirected(facts: Facts) -> Iterator[Fault]:
    """Overlays may have other domains: a redirect between two that are not there is moot."""
    domains, redirect = facts.blueprint.domains, facts.blueprint.edge.redirect
    for name, to in redirect.items():
        at: KeyPath = ("edge", "redirect", name)
        if (name in domains) != (to in domains):
            missing = to if name in domains else name
            yield Fault(at, f"`{missing}` is none of `domains`", f"golive domain add {missing}", also=(("domains",),))
        elif name in domains and to in redirect:
            yield Fault(at, f"`{to}` is redirected itself", "lead all of them to the one that answers")
        elif name in domains and name == domains[0]:
            yield Fault(at, "is the first of `domains`, at which the app is shown", "put one that answers first")
        elif to.startswith("*."):
            yield Fault(at, "leads to a wildcard", "to one name")


def _headers(facts: Facts) -> Iterator[Fault]:
    for name, value in facts.blueprint.edge.headers.items():
        if not name or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name):
            yield Fault(("edge", "headers", name), "is not a header name")
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            yield Fault(("edge", "headers", name), "must not contain line ends or control characters")


SERVICE_RULES = (
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
    _limited_paths,
    _caches,
    _domains,
    _redirected,
    _headers,
)
