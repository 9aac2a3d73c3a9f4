"""RDS: which request goes where. One route configuration for HTTP and one for HTTPS.

A rule becomes several Envoy routes, because Envoy ties retries, limits and buffering to routes: one for each path that
a rate limit names, and in each of them one for methods that may be repeated, one for bodies of unknown length and one
for the rest. The service's redirects and rewrites come before those of the same path.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta

from golive.blueprint.caching import CachedPath
from golive.blueprint.cors import SAID
from golive.blueprint.models import Quota, RateLimit
from golive.blueprint.routing import Rule
from golive.edge import cors, geoip, headers, hot, jwt, limits, protect, quota, shares, shield
from golive.edge.answers import answer, marked, moved, redirecting, strange, unknown
from golive.edge.closed import USUAL, closed_routes, entrances, largest
from golive.edge.model import Closed, EdgeConfig, HotFile, RouteRule, Site, Tokens, cluster_name
from golive.edge.resource import HTTP, Json, Layout, discovery, seconds, typed
from golive.edge.rules import Looks, added, fallback, literal_start, location, matched, rewritten
from golive.edge.static_plan import FALLBACK

ROUTES = "config.route.v3.RouteConfiguration"
BUFFER = f"{HTTP}buffer"
GRPC_WEB = f"{HTTP}grpc_web"
COMPRESSORS = ("zstd", "br", "gzip")

RETRY_FOR = timedelta(seconds=5)
"""How long at least a request waits for an instance that is being restarted; 7 s on average."""
RETRY_STEP = timedelta(milliseconds=250)
"""Longest pause between two tries; Envoy chooses at random below it, so half of it on average."""
UNKNOWN_LENGTH = 10 * 10**6
"""Bytes. A body whose length is not announced is held in memory until it is known to be within bounds, up to here."""
REPEATABLE_BODY = 1024 * 1024
"""Bytes of a request kept so that it can be sent again. A longer one is refused where it would have to wait."""
HELD_BODY = UNKNOWN_LENGTH
"""The same for requests that are held while a service changes over."""
SAFE = "connect-failure,refused-stream,reset"
"""Retried when no answer has begun. Not on 502 to 504: those may be the application's own words."""
UNSAFE = "connect-failure,refused-stream,reset-before-request"
"""Retried only when the application cannot have seen the request."""
Rules = tuple[tuple[RouteRule, ...], tuple[RouteRule, ...]]
"""Of a site's release and of its canary, on one domain; longest prefix first."""


@dataclass(frozen=True)
class Part:
    """The part of a rule under `prefix`, with the limits that apply there."""

    rule: RouteRule
    prefix: str
    limits: tuple[RateLimit, ...]
    quotas: tuple[Quota, ...] = ()
    cache: CachedPath | None = None

    def hot(self) -> list[HotFile]:
        """Files that Envoy answers, their paths as a client asks for them."""
        base = self.rule.prefix.rstrip("/") if self.rule.strip_prefix else ""
        found = (replace(file, path=base + file.path) for file in self.rule.hot)
        return [file for file in found if under(file.path, self.prefix)]


def render_routes(config: EdgeConfig, layout: Layout, *, tls: bool) -> Json:
    """The RDS file of the HTTPS listener or of the HTTP one."""
    ready = set(config.tls_domains())
    hosts = []
    for site in sorted(config.sites, key=lambda s: (s.app, s.environment)):
        if tls:
            domains = tuple(d for d in site.domains if d in ready)
            hosts += [*_hosts(site, domains, layout, tls=True), *moved(site, domains, layout, tls=True)]
        elif not site.policy.https:
            hosts += [*_hosts(site, site.domains, layout, tls=False), *moved(site, site.domains, layout, tls=False)]
        else:
            asked = redirecting(site, ready, layout.https_port, config.challenges)
            hosts += _secured(site, asked, layout) if site.policy.trusted_proxies else asked
    hosts = [{**host, "routes": [strange(host), *host["routes"]]} for host in hosts] + [unknown()]
    name = "https" if tls else "http"
    longest = max(largest(config.sites), hot.largest(config))
    return discovery(
        ROUTES,
        [
            {
                "@type": f"type.googleapis.com/envoy.{ROUTES}",
                "name": name,
                "validate_clusters": True,
                "ignore_port_in_host_matching": True,
                # A header for some paths is stronger than the same one for the whole app.
                "most_specific_header_mutations_wins": True,
                "virtual_hosts": hosts,
                **({"max_direct_response_body_size_bytes": longest} if longest > USUAL else {}),
            }
        ],
    )


def _hosts(site: Site, domains: tuple[str, ...], layout: Layout, *, tls: bool) -> list[Json]:
    """One virtual host for each set of domains with the same rules."""
    groups: dict[Rules, list[str]] = {}
    for domain in (d for d in domains if d not in site.policy.redirect):
        beside = site.canary.rules_for(domain) if site.canary else ()
        groups.setdefault((site.rules_for(domain), beside), []).append(domain)
    return [_host(site, rules, sorted(names), layout, tls=tls) for rules, names in groups.items()]


def _secured(site: Site, asked: list[Json], layout: Layout) -> list[Json]:
    """HTTP hosts of a TLS site behind proxies: what came to one of them over TLS is served, all else as in `asked`.

    Only a trusted proxy can say so: for everybody else Envoy writes the header.
    """
    came = {"name": "x-forwarded-proto", "string_match": {"exact": "https"}}
    plain = {domain: host["routes"] for host in asked for domain in host["domains"]}
    served = [*_hosts(site, site.domains, layout, tls=True), *moved(site, site.domains, layout, tls=True)]
    made = []
    for host in served:
        routes = [shares.narrowed(route, [came]) for route in host["routes"]]
        for domain in host["domains"]:
            *challenges, last = plain[domain]
            name = f"{site.app}/{site.environment} {domain}"
            made.append({**host, "name": name, "domains": [domain], "routes": [*challenges, *routes, last]})
    return made


def _host(site: Site, rules: Rules, domains: list[str], layout: Layout, *, tls: bool) -> Json:
    routes = [{**made, **marked(site, "", made["metadata"]["filter_metadata"])} for made in shield.routes(site)]
    closures = (site.closed, *(rule.closed for release in rules for rule in release))
    routes += [{**made, **marked(site, "")} for made in entrances(closures, secure=tls)]
    routes += [{**made, **marked(site, "")} for made in protect.routes(site, secure=tls)]
    own = _closed(site, site.closed, "", {"prefix": "/"})
    own.append(_too_large(site))
    if site.policy.images:
        from golive.edge.pictures import image_routes

        own += image_routes(site, retry_policy(SAFE, RETRY_FOR), tls=tls)
    own += _releases(site, rules, layout, tls=tls)
    own.append(answer(site, 404, "Not found"))
    routes += protect.admitted(site, own, secure=tls)
    if site.divided:
        routes = headers.with_policies(routes, headers.own_policies(site.policy, None))
    host: Json = {
        "name": f"{site.app}/{site.environment} {domains[0]}",
        "domains": domains,
        "routes": routes,
        "request_body_buffer_limit": REPEATABLE_BODY,
        **headers.response_headers(site.policy, tls=tls, csp=not site.divided),
        **headers.forwarded(*([shield.PROBE] if site.probe else [])),
    }
    if site.protected:
        host["response_headers_to_add"].append(protect.PRIVATE)
    if site.policy.country and not site.located:  # nobody looks it up, and what a client says is not it
        host["request_headers_to_remove"] += [geoip.COUNTRY, geoip.REGION]
    if filters := shield.shadow(site) | geoip.turned_on(site) | ({} if site.policy.compression else _uncompressed()):
        host["typed_per_filter_config"] = filters
    return host


def _releases(site: Site, rules: Rules, layout: Layout, *, tls: bool) -> list[Json]:
    """What the site's release answers; before it, for those who have it, what its canary does."""
    own = _release(site, rules[0], layout, tls=tls)
    if site.canary is None:
        return own
    nothing = answer(site, 404, "Not found")
    stay = [*_release(site, rules[1], layout, tls=tls), nothing]
    come = [*_release(site, tuple(map(shares.undrawn, rules[1])), layout, tls=tls), nothing]
    share, rest = site.canary.share, site.canary.rest
    new = shares.staying(stay, share) + shares.drawn(come, share, secure=tls)
    return new + shares.shared(own, rest, secure=tls)


def _release(site: Site, rules: tuple[RouteRule, ...], layout: Layout, *, tls: bool) -> list[Json]:
    routes: list[Json] = []
    for part in parts(rules):
        made = _part_routes(site, part, rules, layout)
        routes += shares.shared(made, part.rule.share, secure=tls) if part.rule.share else made
    return routes


def _uncompressed() -> Json:
    off = typed("extensions.filters.http.compressor.v3.CompressorPerRoute", disabled=True)
    return {f"{HTTP}compressor.{name}": off for name in COMPRESSORS}


def parts(rules: tuple[RouteRule, ...]) -> list[Part]:
    """The rules cut at the paths that limits, caches and tokens name; longest first: Envoy takes the first match."""
    found = []
    for rule in rules:
        beside = [r for r in rules if r.share and r.prefix == rule.prefix] if rule.share else [rule]
        named = [path for r in beside for path in (*(x.path for x in r.rate_limits), *(x.path for x in r.quotas))]
        named += [x.prefix for r in beside for x in r.cache]
        named += [path for r in beside if r.tokens for path in (*r.tokens.paths, *r.tokens.exempt)]
        paths = [path.rstrip("/") or "/" for path in named if path and under(path, rule.prefix)]
        for prefix in dict.fromkeys([rule.prefix, *paths]):
            taken = next(
                (r for r in rules if r is not rule and len(r.prefix) > len(rule.prefix) and under(prefix, r.prefix)),
                None,
            )
            if taken is None:
                apply = tuple(x for x in rule.rate_limits if x.path is None or under(prefix, x.path))
                counts = tuple(x for x in rule.quotas if x.path is None or under(prefix, x.path))
                caches = (x for x in rule.cache if under(prefix, x.prefix))
                kept = max(caches, key=lambda x: len(x.prefix), default=None)
                found.append(Part(rule, prefix, apply, counts, kept))
    return sorted(found, key=lambda p: (-len(p.prefix), p.prefix))


def under(path: str, prefix: str) -> bool:
    """Whether a path is the prefix or below it; `/apix` is not under `/api`."""
    base = prefix.rstrip("/")
    return path == base or path.startswith(base + "/")


@dataclass(frozen=True)
class Passage:
    """Requests that `match` takes and that go to `to`, with a new path when a rewrite gives one.

    `start` is the beginning of the new path that is written out; empty when the path stays.
    """

    part: Part
    to: RouteRule
    match: Json
    start: str = ""
    path: str | None = None
    request_headers: tuple[tuple[str, str], ...] = ()
    response_headers: tuple[Json, ...] = ()
    filters: Json = field(default_factory=dict)


def _part_routes(site: Site, part: Part, rules: tuple[RouteRule, ...], layout: Layout) -> list[Json]:
    """The service's own rules in their order, then files that Envoy answers, then everything else under the prefix."""
    closed = part.rule.closed
    made = _closed(site, closed, part.rule.service, _prefix(part.prefix))
    if closed and closed.for_all:
        return made
    if part.rule.cors:
        made.append({**cors.preflight(part.rule.cors, _prefix(part.prefix)), **marked(site, part.rule.service)})
    adding: list[Rule] = []
    for rule in part.rule.rules:
        if rule.kind == "headers":
            adding.append(rule)
        elif rule.kind == "redirect":
            made.append(_redirect(site, part, rule, adding))
        else:
            passage = _passage(part, rule, adding, rules)
            made += [*_rewritten_to_closed(site, passage), *_asked(site, passage)]
    looks = Looks()
    response = tuple(added(adding, looks))
    plain = Passage(part, part.rule, _prefix(part.prefix), response_headers=response, filters=looks.filters())
    ambiguous = site.divided and headers.says_policy(response)
    files = [] if ambiguous else part.hot()
    return made + [_hot(site, plain, file, layout) for file in files] + _asked(site, plain)


def _asked(site: Site, passage: Passage) -> list[Json]:
    """The routes of a passage, which ask for a token where it is needed."""
    made, needed, to = _thrice(site, passage), _tokens(passage), passage.to.tokens
    if needed:
        return jwt.guarded(site, needed, passage.match, made)
    return jwt.unguarded(to, made) if to else made


def _tokens(passage: Passage) -> Tokens | None:
    """What a token must be for the path that is asked for, or that it leads to; None where none is needed."""
    asked, to = passage.part.rule.tokens, passage.to.tokens
    if to and passage.start and jwt.may_lead_to_needed(to, passage.start):
        return to
    return asked if asked and jwt.needed_at(asked, passage.part.prefix) else None


def _redirect(site: Site, part: Part, rule: Rule, adding: list[Rule]) -> Json:
    looks = Looks()
    to = {"header": {"key": "location", "value": location(rule, looks)}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    made: Json = {
        "match": matched(rule, part.prefix),
        "direct_response": {"status": rule.status},
        "response_headers_to_add": [*cors.answered(part.rule.cors), *added(adding, looks), to],
        **marked(site, part.rule.service),
    }
    return {**made, "typed_per_filter_config": looks.filters()}


def _passage(part: Part, rule: Rule, adding: list[Rule], rules: tuple[RouteRule, ...]) -> Passage:
    """A rewrite, or a rule that ends the search. A static service's file comes first where the rule says so."""
    looks, match = Looks(), matched(rule, part.prefix)
    response = tuple(added(adding, looks))
    if rule.destination is None:
        return Passage(part, part.rule, match, response_headers=response, filters=looks.filters())
    start = literal_start(rule.destination)
    to = _leads_to(start, part.rule, rules)
    strip = to.prefix if to.strip_prefix else ""
    if rule.after_files and part.rule.serves_files and to.service == part.rule.service:
        instead = ((FALLBACK, fallback(rule, looks, strip)),)
        return Passage(
            part, part.rule, match, request_headers=instead, response_headers=response, filters=looks.filters()
        )
    path, query = rewritten(rule, looks, strip)
    extra = (("x-forwarded-prefix", strip.rstrip("/")),) if strip.rstrip("/") and under(start, strip) else ()
    filters = looks.filters() | query
    return Passage(part, to, match, start, path, extra, response, filters)


def _leads_to(start: str, rule: RouteRule, rules: tuple[RouteRule, ...]) -> RouteRule:
    """The rule that answers a rewritten path: of two on the same one its own, else the one that is replaced."""
    found = [r for r in rules if under(start, r.prefix)]
    same = [r for r in found if r.prefix == found[0].prefix]
    return rule if rule in same or not same else same[-1]


def _closed(site: Site, closed: Closed | None, service: str, match: Json) -> list[Json]:
    marks = marked(site, service)
    return [{**made, **marks} for made in closed_routes(closed, match, proxied=site.proxied)] if closed else []


def _rewritten_to_closed(site: Site, passage: Passage) -> list[Json]:
    """A rewrite to another service finds it closed, too."""
    if passage.to is passage.part.rule:
        return []
    return _closed(site, passage.to.closed, passage.to.service, passage.match)


def _thrice(site: Site, passage: Passage) -> list[Json]:
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
    unknown = {"name": "content-length", "present_match": True, "invert_match": True}
    grpc = {
        "name": "content-type",
        "string_match": {"prefix": "application/grpc"},
        "treat_missing_header_as_empty": True,
        "invert_match": True,
    }
    buffered = {
        BUFFER: typed(
            "extensions.filters.http.buffer.v3.BufferPerRoute",
            buffer={"max_request_bytes": min(site.policy.max_body, UNKNOWN_LENGTH)},
        )
    }
    plain = passage.filters if passage.to.compression else passage.filters | _uncompressed()
    if passage.to.grpc:
        plain = plain | {GRPC_WEB: typed("config.route.v3.FilterConfig", config={})}
    plain = _counted(site, passage, plain)
    filters = {"typed_per_filter_config": plain} if plain else {}
    return [
        *({**made, **filters} for made in _cached(site, passage)),
        {**_route(site, passage, SAFE, [safe]), **filters},
        {**_route(site, passage, UNSAFE, [unknown, grpc]), "typed_per_filter_config": buffered | plain},
        {**_route(site, passage, UNSAFE, []), **filters},
    ]


def _cached(site: Site, passage: Passage) -> list[Json]:
    """Requests that the cache may answer. Not while they are held: they would wait in the cache, not at the edge; nor
    those that need a token."""
    rule, cache = passage.to, passage.part.cache
    if cache is None or _tokens(passage) or rule is not passage.part.rule or rule.hold or rule.grpc:
        return []
    from golive.edge.cached import cache_route

    plain = _route(site, passage, SAFE, [])
    return [cache_route(plain, site, cache, rule.compression and site.policy.compression)]


def _route(site: Site, passage: Passage, retry_on: str, tests: list[Json]) -> Json:
    rule = passage.to
    tests = [*passage.match.get("headers", ()), *tests]
    own = {"response_headers_to_add": policies} if (policies := _policies(site, passage)) else {}
    targets = [{"name": cluster_name(name), "weight": weight, **own} for name, weight in rule.targets]
    made: Json = {
        "match": {**passage.match, **({"headers": tests} if tests else {})},
        "route": {
            "weighted_clusters": {"clusters": targets},
            "timeout": seconds(rule.timeout + (rule.hold or timedelta(0)) if rule.timeout else rule.timeout),
            "idle_timeout": seconds(max(rule.idle_timeout, (rule.hold or timedelta(0)) * 2)),
            "retry_policy": retry_policy(retry_on, rule.hold or RETRY_FOR),
        },
        **marked(site, rule.service, limits.slots(_limits(site, passage))),
    }
    if rule.hold:
        made["request_body_buffer_limit"] = HELD_BODY
    if says := [*cors.answered(passage.part.rule.cors), *passage.response_headers]:
        made["response_headers_to_add"] = says
    if passage.part.rule.cors:
        made["response_headers_to_remove"] = list(SAID)
    extra = (*rule.request_headers, *passage.request_headers)
    if passage.path is not None:
        made["route"]["path_rewrite"] = passage.path
    if not passage.start and rule.strip_prefix and rule.prefix != "/":
        made["route"]["regex_rewrite"] = {
            "pattern": {"regex": f"^{re.escape(rule.prefix.rstrip('/'))}/*"},
            "substitution": "/",
        }
        extra = (*extra, ("x-forwarded-prefix", rule.prefix.rstrip("/")))
    elif "x-forwarded-prefix" not in dict(extra):
        made["request_headers_to_remove"] = ["x-forwarded-prefix"]
    if extra:
        made["request_headers_to_add"] = headers.request_headers(extra)
    return made


def _hot(site: Site, passage: Passage, file: HotFile, layout: Layout) -> Json:
    """The plainest request for a file: anything else about it goes on to the static server."""
    tests = [
        # Envoy looks at headers before the path, so the path is one of them: it is what nearly always differs.
        {"name": ":path", "string_match": {"exact": file.path}},
        {"name": ":method", "string_match": {"exact": "GET"}},
        *({"name": name, "present_match": True, "invert_match": True} for name in ("range", "if-none-match")),
    ]
    if file.accepts is not None:
        wanted = {"string_match": {"safe_regex": {"regex": "|".join(file.accepts)}}}
        absent = {"present_match": True, "invert_match": True}
        tests.append({"name": "accept-encoding", **(wanted if file.accepts else absent)})
    own = tuple((n, v) for n, v in file.headers if n not in {name.lower() for name in site.policy.headers})
    return {
        "match": {"prefix": "/", "headers": tests},
        "direct_response": {"status": 200, "body": {"filename": str(layout.bodies / file.name)}},
        "response_headers_to_add": [
            *_policies(site, passage),
            *cors.answered(passage.part.rule.cors),
            *headers.request_headers(own),
            *passage.response_headers,
        ],
        "typed_per_filter_config": _counted(site, passage, passage.filters | _uncompressed()),
        **marked(site, passage.to.service, limits.slots(_limits(site, passage))),
    }


def _policies(site: Site, passage: Passage) -> list[Json]:
    return headers.own_policies(site.policy, passage.to.csp) if site.divided else []


def _limits(site: Site, passage: Passage) -> list[tuple[RateLimit, str]]:
    """Limits of the path that is asked for, and those of the path that a rewrite leads to, as far as it is known."""
    asked = [(passage.part.rule.service, limit) for limit in passage.part.limits]
    led = [x for x in passage.to.rate_limits if passage.start and (x.path is None or under(passage.start, x.path))]
    found = dict.fromkeys([*asked, *((passage.to.service, limit) for limit in led)])
    return [(limit, f"{site.app}/{site.environment}/{service} {limit.path or '/'}") for service, limit in found]


def _counted(site: Site, passage: Passage, filters: Json) -> Json:
    """The filters of a route with the one that counts: quotas apply where limits would."""
    asked = [(passage.part.rule.service, one) for one in passage.part.quotas]
    led = [x for x in passage.to.quotas if passage.start and (x.path is None or under(passage.start, x.path))]
    found = dict.fromkeys([*asked, *((passage.to.service, one) for one in led)])
    return quota.added(filters, site, tuple(found), limited=bool(_limits(site, passage))) if found else filters


def retry_policy(retry_on: str, wait: timedelta) -> Json:
    """Tries that do not end before `wait` has passed, and not long after."""
    return {
        "retry_on": retry_on,
        "num_retries": tries(wait),
        "retry_back_off": {"base_interval": "0.02s", "max_interval": seconds(RETRY_STEP)},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }


def tries(wait: timedelta) -> int:
    """How many, when the pause between two is anything up to a step.

    `n` pauses last `n * step / 2` on average and deviate by `sqrt(n / 12) * step`: three deviations less is still the
    whole wait for all but one request in 700. Three more, because Envoy begins with shorter pauses.
    """
    step, deviations = RETRY_STEP.total_seconds(), 3 / math.sqrt(12)
    root = deviations + math.sqrt(deviations**2 + 2 * wait.total_seconds() / step)
    return math.ceil(root**2) + 3


def _prefix(prefix: str) -> Json:
    base = prefix.rstrip("/")
    return {"path_separated_prefix": base} if base else {"prefix": "/"}


def _too_large(site: Site) -> Json:
    """An announced length above the limit is refused before a byte of the body is read."""
    above = {"start": site.policy.max_body + 1, "end": 2**63 - 1}
    made = answer(site, 413, "The request body is too large")
    made["match"]["headers"] = [{"name": "content-length", "range_match": above}]
    return made
