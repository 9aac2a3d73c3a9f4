"""From the state to what the edge should serve. The state decides; applying it twice changes nothing."""

from __future__ import annotations

from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.edge.model import EdgeConfig, Endpoint, RouteRule, Site, Upstream
from golive.release.host import Host
from golive.state.records import App, Generation, GenerationState
from golive.supervise.unit import Status

STATIC = "static"
"""The upstream of every static service: one server, told the artifact by a header."""
SERVED = (GenerationState.LIVE, GenerationState.DRAINING)


def edge_config(host: Host) -> EdgeConfig:
    """The whole edge, as anybody may apply it at any time: what a changeover asks for meanwhile is in `host`."""
    sites, upstreams = [], {STATIC: Upstream(STATIC, (host.gateway.static_endpoint(),))}
    for app in host.state.apps():
        generations = [g for g in host.state.generations(app.place, SERVED) if _is_routed(host, g)]
        elsewhere = {k[2]: g for k, g in host.switching.items() if k[:2] == tuple(app.place)}
        for generation in (*generations, *elsewhere.values()):
            service = host.service(generation)
            if service.kind is ServiceKind.WEB:
                upstreams[generation.upstream] = _upstream(host, generation, service)
        if app.live is not None:
            live = {g.service: g for g in generations if g.state is GenerationState.LIVE}
            sites.append(_site(host, app, host.release_blueprint(app.place, app.live), {**live, **elsewhere}))
    certificates = tuple(c for site in sites if site.policy.https for c in host.gateway.certificates_for(site.domains))
    return EdgeConfig(tuple(sites), tuple(upstreams.values()), certificates)


def _is_routed(host: Host, generation: Generation) -> bool:
    return bool(host.service(generation).route)


def _upstream(host: Host, generation: Generation, service: Service) -> Upstream:
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
    endpoints = tuple(Endpoint(port=i.port or 0) for i in (well or instances))
    ready = service.health.ready
    return Upstream(generation.upstream, endpoints, health_path=ready.path if ready else None)


def _site(host: Host, app: App, blueprint: Blueprint, live: dict[str, Generation]) -> Site:
    rules = []
    for name, service in blueprint.services.items():
        generation = live.get(name)
        if generation is None or not service.route:
            continue
        target = generation.upstream
        headers: tuple[tuple[str, str], ...] = ()
        if service.kind is ServiceKind.STATIC:
            artifact = host.state.release(app.place, generation.release).artifacts[name]
            target, headers = STATIC, (("x-golive-root", artifact),)
        rules += [_rule(name, service, prefix, target, headers, blueprint) for prefix in service.route]
    return Site(*app.place, blueprint.domains, tuple(rules), blueprint.edge)


def _rule(
    name: str, service: Service, prefix: str, target: str, headers: tuple[tuple[str, str], ...], blueprint: Blueprint
) -> RouteRule:
    return RouteRule(
        service=name,
        prefix=prefix,
        targets=((target, 100),),
        strip_prefix=service.strip_prefix,
        timeout=service.timeout,
        idle_timeout=service.idle_timeout,
        rate_limits=service.rate_limit,
        request_headers=headers,
        hold=None if service.overlap else blueprint.release.ready_timeout + blueprint.release.drain,
        domains=service.domains,
        compression=service.kind is not ServiceKind.STATIC,
    )
