"""`[edge] trusted_proxies` of golive.toml: who may say for whom a request is made."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_WIDEST: Final = {4: 8, 6: 7}
"""Bits of a prefix: the widest private networks, 10.0.0.0/8 and fc00::/7."""


def _proxies(value: str) -> str:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an address or a network, such as `203.0.113.7` or `10.0.0.0/8`") from None
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError("is so wide that visitors would be believed too; list the networks of your proxies")
    return str(network)


Proxies = Annotated[tuple[Annotated[str, AfterValidator(_proxies)], ...], Field(max_length=200)]
