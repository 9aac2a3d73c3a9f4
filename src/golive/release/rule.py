"""What a service's settings say about one of its prefixes, as a rule of the edge."""

from __future__ import annotations

import ssl
from pathlib import Path

from golive.blueprint.jwt import Jwt
from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.blueprint.routing import folder_rules, rules_of
from golive.edge.model import RouteRule, Tokens

BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where Debian, Fedora, and Alpine and macOS keep the roots that the machine trusts."""


def rule_of(
    name: str, service: Service, prefix: str, target: str, headers: tuple[tuple[str, str], ...], blueprint: Blueprint
) -> RouteRule:
    """Everything that reaches `prefix` goes to the upstream `target`, with those request headers. Pure."""
    return RouteRule(
        service=name,
        prefix=prefix,
        targets=((target, 100),),
        strip_prefix=service.strip_prefix,
        timeout=service.timeout,
        idle_timeout=service.idle_timeout,
        rate_limits=service.rate_limit,
        quotas=service.quota,
        cache=service.cache,
        request_headers=headers,
        hold=None if service.overlap else blueprint.release.ready_timeout + blueprint.release.drain,
        domains=service.domains,
        compression=service.kind is not ServiceKind.STATIC,
        rules=(*folder_rules(service, prefix), *rules_of(service)),
        serves_files=service.kind is ServiceKind.STATIC,
        csp=service.csp,
        cors=service.cors,
        tokens=tokens_of(service.jwt) if service.jwt else None,
    )


def tokens_of(jwt: Jwt) -> Tokens:
    """What the edge is told. Roots that cannot be read vouch for nobody: no token is then believed."""
    remote = jwt.keys is None
    return Tokens(
        url=jwt.jwks if remote else None,
        keys=jwt.keys,
        issuer=jwt.issuer,
        audience=jwt.audience,
        paths=jwt.paths,
        exempt=jwt.exempt,
        cookie=jwt.cookie,
        forward=jwt.forward,
        claims=tuple(jwt.claims.items()),
        ca=_roots(jwt.ca_file) if remote else "",
    )


def _roots(file: str | None) -> str:
    """The text of a file of one's own, which Envoy's user need not be able to read; else where this machine's are."""
    if file is None:
        known = (ssl.get_default_verify_paths().cafile, *BUNDLES)
        return next((path for path in known if path and Path(path).is_file()), "")
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError):
        return ""
