"""From the state to what the edge should serve. The state decides; applying it twice changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from golive.blueprint.csp import Csp
from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.edge.hot import hot_files
from golive.edge.inline_scripts import hashes
from golive.edge.model import Canary, Counter, EdgeConfig, Endpoint, RouteRule, Site, Upstream
from golive.edge.quota import UPSTREAM as QUOTA
from golive.edge.static_plan import ROOT, SLASH
from golive.release import closed, passing, quotas, reads
from golive.release.dev_site import dev_site
from golive.release.host import Host
from golive.release.rule import rule_of
from golive.release.shifts import shifted, shifts
from golive.state.records import App, Generation, GenerationState
from golive.supervise.unit import Status

if TYPE_CHECKING:
    from golive.release.trial import Trial

STATIC = "static"
"""The upstream of every static service: one server, told the artifact by a header."""
PREVIOUS = 4
"""Releases of a static service whose hashed files are still served, as many as the static server looks at."""
GRPC_IDLE = timedelta(minutes=5)
"""HTTP/2 says when a connection is going away, so an idle one need not be given up early."""
SERVED = (GenerationState.LIVE, GenerationState.DRAINING)


def edge_config(host: Host) -> EdgeConfig:
    """The whole edge, as anybody may apply it at any time: what a changeover asks for meanwhile is in `host`."""
    sites, upstreams = [], {STATIC: Upstream(STATIC, (host.gateway.static_endpoint(),))}
    counters: list[Counter] = []
    for app in host.state.apps():
        generations = [g for g in host.state.generations(app.place, SERVED) if _is_routed(host, g)]
        elsewhere = {k[2]: g for k, g in host.switching.items() if k[:2] == tuple(app.place)}
        trial = host.trials.get(app.place)
        tried = [g for g in trial.generations.values() if _is_routed(host, g)] if trial else []
        for generation in (*generations, *elsewhere.values(), *tried):
            service = host.service(generation)
            if service.kind is ServiceKind.WEB:
                for upstream in _upstreams(host, generation, service):
                    upstreams[upstream.name] = upstream
        if app.live is not None:
            live = {g.service: g for g in generations if g.state is GenerationState.LIVE}
            sites.append(_site(host, app, {**live, **elsewhere}, trial))
            numbers = (app.live, trial.release) if trial else (app.live,)
            counting = filter(quotas.has_quotas, (host.release_blueprint(app.place, number) for number in numbers))
            counters += [quotas.counter(host, app.place, blueprint) for blueprint in islice(counting, 1)]
    sites = _hot(host, sites)
    for dev in host.dev.values():
        site, servers = dev_site(dev)
        sites.append(site)
        upstreams |= {upstream.name: upstream for upstream in servers}
    certificates = tuple(c for site in sites if site.policy.https for c in host.gateway.certificates_for(site.domains))
    streams = tuple(stream for app in host.state.apps() for stream in reads.streams(host, app.place))
    if counters:
        upstreams[QUOTA] = Upstream(QUOTA, (host.gateway.quota_endpoint(),))
    return EdgeConfig(tuple(sites), tuple(upstreams.values()), certificates, streams, host.challenges, tuple(counters))


def _is_routed(host: Host, generation: Generation) -> bool:
    return bool(host.service(generation).route)


def upstream_names(generation: Generation, service: Service) -> tuple[str, ...]:
    """Of a web service: one for HTTP and, where it has that port, one for gRPC."""
    return (generation.upstream, grpc_upstream(generation)) if service.grpc else (generation.upstream,)


def grpc_upstream(generation: Generation) -> str:
    return f"{generation.upstream}/grpc"


async def in_flight(host: Host, generation: Generation) -> int | None:
    """Requests and streams open on a generation, by HTTP and by gRPC; None when the edge knows neither."""
    counts = [await host.gateway.in_flight(name) for name in upstream_names(generation, host.service(generation))]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _upstreams(host: Host, generation: Generation, service: Service) -> tuple[Upstream, ...]:
    """Instances that are ready; all of them when none is, so that retries may find the first that comes back."""
    source = host.held.get(generation.upstream, generation)
    instances = (
        [i for i in host.state.instances(source.id) if i.port is not None and i.unit not in host.aside]
        if source
        else []
    )
    states = {i.unit: host.supervisor.state(i.unit) for i in instances}
    # A crashed one stays in: it is back on its port in a moment, and retries hide the gap.
    well = [i for i in instances if (s := states[i.unit]) is not None and s.status is not Status.UNREADY]
    chosen = well or instances
    ready = service.health.ready
    http = tuple(Endpoint(port=i.port or 0) for i in chosen)
    found = (Upstream(generation.upstream, http, health_path=ready.path if ready else None),)
    if service.grpc is None:
        return found
    grpc = tuple(Endpoint(port=i.grpc_port or 0) for i in chosen)
    return (*found, Upstream(grpc_upstream(generation), grpc, http2=True, keepalive_idle=GRPC_IDLE))


def _site(host: Host, app: App, live: dict[str, Generation], trial: Trial | None) -> Site:
    number = app.live or 0
    blueprint = host.release_blueprint(app.place, number)
    maintenance = closed.in_force(host.state.maintenance(app.place), time.time())
    tried = trial.generations if trial else {}
    rules = _rules(host, app, number, live, tried)
    made = Site(*app.place, blueprint.domains, rules, blueprint.edge, closed.of_site(maintenance))
    guard = passing.protected(host, app.place, blueprint, number)
    made = replace(made, protected=guard, probe=passing.probe(host, app.place, blueprint), serves=_served(blueprint))
    if trial is None:
        return made
    canary = Canary(*trial.shares(), _rules(host, app, trial.release, {**live, **tried}, live))
    return replace(made, canary=canary, serves=made.serves or _served(host.release_blueprint(app.place, trial.release)))


def _rules(
    host: Host, app: App, number: int, live: dict[str, Generation], beside: Mapping[str, Generation]
) -> tuple[RouteRule, ...]:
    """What a release answers by those generations. Pages of `beside`, which answers too, may ask for their files."""
    blueprint = host.release_blueprint(app.place, number)
    rules: list[RouteRule] = []
    suspended = host.state.suspended(app.place)
    maintenance = closed.in_force(host.state.maintenance(app.place), time.time())
    for name, service in blueprint.services.items():
        generation = live.get(name)
        if generation is None or not service.route:
            continue
        target = generation.upstream
        headers: tuple[tuple[str, str], ...] = ()
        if service.kind is ServiceKind.STATIC:
            target, headers = STATIC, _static_headers(host, app, generation, beside.get(name))
            if service.trailing_slash is not None:
                headers = (*headers, (SLASH, "edge"))
        rules += [rule_of(name, service, prefix, target, headers, blueprint) for prefix in service.route]
        for prefix in service.grpc.route if service.grpc else ():
            rule = rule_of(name, service, prefix, grpc_upstream(generation), (), blueprint)
            rule = replace(rule, strip_prefix=False, timeout=timedelta(0), compression=False)
            rules.append(replace(rule, rules=(), grpc=True))
    if any(service.replaces for service in blueprint.services.values()):
        rules = shifted(rules, blueprint, shifts(host, app.place, suspended))
    if app.place in host.waiting:
        rules = [replace(rule, hold=host.waiting[app.place]) for rule in rules if rule.targets[0][0] != STATIC] + [
            rule for rule in rules if rule.targets[0][0] == STATIC
        ]
    return tuple(replace(rule, closed=closed.of_service(maintenance, rule.service, suspended)) for rule in rules)


def _served(blueprint: Blueprint) -> tuple[str, ...]:
    """Words of paths that the app may have, though no route names them: an image may hold PHP."""
    images = any(service.build.builder == "docker" for service in blueprint.services.values())
    return (".php", "wp-", "xmlrpc", "phpmyadmin", "adminer") if images else ()


def _hot(host: Host, sites: list[Site]) -> list[Site]:
    """The sites, with the static files that need not go to the static server."""
    services = sum(rule.serves_files for site in sites for rule in site.every_rule)

    def answered(rule: RouteRule) -> RouteRule:
        if not rule.serves_files:
            return rule
        artifact = dict(rule.request_headers)[ROOT]
        return replace(rule, hot=hot_files(host.home.artifacts / artifact / "app", services))

    return [_scripted(host, site.with_rules(answered)) for site in sites]


def _scripted(host: Host, site: Site) -> Site:
    """The site with policies that know the scripts in its static pages."""

    def known(csp: Csp | None, rules: Iterable[RouteRule]) -> Csp | None:
        if csp is None or not csp.hashes:
            return csp
        artifacts = {dict(rule.request_headers)[ROOT] for rule in rules if rule.serves_files}
        found = sorted({one for key in artifacts for one in hashes(host.home.artifacts / key / "app")})
        return csp.with_scripts(tuple(found))

    csp = known(site.policy.csp, (rule for rule in site.every_rule if rule.csp is None))
    made = site.with_rules(lambda rule: replace(rule, csp=known(rule.csp, [rule])))
    return replace(made, policy=made.policy.model_copy(update={"csp": csp}))


def _static_headers(
    host: Host, app: App, generation: Generation, beside: Generation | None
) -> tuple[tuple[str, str], ...]:
    """Its artifact, and those of releases before, newest first: pages loaded from them may still ask for their hashed
    files."""
    name = generation.service
    keys = [_artifact(host, beside)] if beside else []
    keys += [r.artifacts[name] for r in host.state.releases(app.place) if r.state == "ready" and name in r.artifacts]
    previous = ",".join(list(dict.fromkeys(keys))[:PREVIOUS])
    return (ROOT, _artifact(host, generation)), ("x-golive-previous", previous)


def _artifact(host: Host, generation: Generation) -> str:
    return host.state.release(generation.place, generation.release).artifacts[generation.service]
