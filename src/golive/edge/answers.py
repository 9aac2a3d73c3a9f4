"""What Envoy answers by itself, whatever the app: redirects of whole domains, challenges, and refusals."""

from __future__ import annotations

from golive.blueprint.models import EdgePolicy
from golive.edge import headers
from golive.edge.model import Challenge, Site
from golive.edge.resource import Json, Layout


def marked(site: Site, service: str, slots: Json | None = None) -> Json:
    """What filters are told of a route: its name and whether to log it, for the access log, and its rate limits.

    A name, and not metadata in fields: looking three of them up costs 2 us of every request.
    """
    name = {"name": "/".join(filter(None, (site.app, site.environment, service)))}
    facts = (slots or {}) | ({} if site.policy.access_log else {"golive": {"log": False}})
    return name | ({"metadata": {"filter_metadata": facts}} if facts else {})


def answer(site: Site, status: int, text: str) -> Json:
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": status, "body": {"inline_string": text + "\n"}},
        **marked(site, ""),
    }


def strange(host: Json) -> Json:
    """For requests to a virtual host whose `Host` has anything but a number behind its colon: Envoy looks only before
    it, and in `https://shop.example:@evil.example/` that is a user's name."""
    usual = {"name": ":authority", "string_match": {"safe_regex": {"regex": r"[^:@]*(?::\d{0,5})?"}}}
    return {
        "match": {"prefix": "/", "headers": [{**usual, "invert_match": True}]},
        "direct_response": {"status": 400, "body": {"inline_string": "Bad Host\n"}},
        "name": host["name"].partition(" ")[0],
    }


def redirecting(site: Site, ready: set[str], https_port: int, challenges: tuple[Challenge, ...]) -> list[Json]:
    """HTTP hosts of a TLS site. A browser may keep a permanent redirect for years: not one to a makeshift port."""
    groups: dict[tuple[bool, tuple[Challenge, ...]], list[str]] = {}
    for domain in site.domains:
        asked = tuple(c for c in challenges if c.domain == domain)
        groups.setdefault((domain in ready, asked), []).append(domain)
    code = "PERMANENT_REDIRECT" if https_port == 443 else "TEMPORARY_REDIRECT"
    redirect: Json = {
        "match": {"prefix": "/"},
        "redirect": {"https_redirect": True, "response_code": code}
        | ({} if https_port == 443 else {"port_redirect": https_port}),
        **marked(site, ""),
    }
    waiting = answer(site, 503, "This domain has no certificate yet")
    return [
        {
            "name": f"{site.app}/{site.environment} {sorted(domains)[0]}",
            "domains": sorted(domains),
            "routes": [*(_challenge(site, c) for c in asked), redirect if has else waiting],
            **headers.response_headers(site.policy, tls=False),
        }
        for (has, asked), domains in groups.items()
    ]


def moved(site: Site, domains: tuple[str, ...], layout: Layout, *, tls: bool) -> list[Json]:
    """Hosts of domains that only lead to another. Over HTTP they become HTTPS first: who has HSTS for one, has it."""
    port, usual = (layout.https_port, 443) if tls else (layout.http_port, 80)
    how: Json = {"response_code": "PERMANENT_REDIRECT" if port == usual else "TEMPORARY_REDIRECT"}
    how |= {} if port == usual else {"port_redirect": port}
    return [
        {
            "name": f"{site.app}/{site.environment} {domain}",
            "domains": [domain],
            "routes": [
                {
                    "match": {"prefix": "/"},
                    "redirect": {"host_redirect": site.policy.redirect[domain], **how},
                    **marked(site, ""),
                }
            ],
            **headers.response_headers(site.policy, tls=tls),
        }
        for domain in sorted(domains)
        if domain in site.policy.redirect
    ]


def _challenge(site: Site, challenge: Challenge) -> Json:
    return {
        "match": {"path": challenge.path},
        "direct_response": {"status": 200, "body": {"inline_string": challenge.answer}},
        **marked(site, ""),
    }


def unknown() -> Json:
    """Any other host: it must not reach an app, and must not say which apps are here."""
    return {
        "name": "unknown",
        "domains": ["*"],
        "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 404, "body": {"inline_string": "Unknown host\n"}}}
        ],
        **headers.response_headers(EdgePolicy(), tls=False),
    }
