"""Who may say for whom a request is made: `[edge] trusted_proxies` of golive.toml, and words that nobody may say."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_WIDEST: Final = {4: 8, 6: 7}
"""Bits of a prefix: the widest private networks, 10.0.0.0/8 and fc00::/7."""

CLAIMED: Final = (
    *("forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "fastly-client-ip"),
    *("cf-connecting-ip", "cf-connecting-ipv6", "x-original-forwarded-for", "x-forwarded-client-cert"),
    *("x-forwarded-ssl", "x-forwarded-protocol", "x-forwarded-scheme", "x-url-scheme", "front-end-https"),
    *("x-forwarded-server", "x-original-host", "x-original-url", "x-rewrite-url", "proxy"),
    *("client-cert", "client-cert-chain", "x-client-cert", "x-client-verify", "x-client-dn", "x-arr-clientcert"),
    *("ssl-client-cert", "ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn"),
    *("x-ssl-client-cert", "x-ssl-client-verify", "x-ssl-client-dn", "x-ssl-client-s-dn", "x-ssl-cert"),
    *(f"x-amzn-mtls-clientcert{part}" for part in ("", "-leaf", "-serial-number", "-issuer", "-subject", "-validity")),
)
"""Words of proxies about a client: address, scheme, host, path, certificate (RFC 7239, RFC 9440, and what nginx, IIS,
AWS, Cloudflare and others say). Frameworks believe them; here nobody has checked them, so no application gets any.
What the edge knows itself is in X-Forwarded-For, -Proto, -Host and -Port."""


def _proxies(value: str) -> str:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an address or a network, such as `203.0.113.7` or `10.0.0.0/8`") from None
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError("is so wide that visitors would be believed too; list the networks of your proxies")
    return str(network)


Proxies = Annotated[tuple[Annotated[str, AfterValidator(_proxies)], ...], Field(max_length=200)]
