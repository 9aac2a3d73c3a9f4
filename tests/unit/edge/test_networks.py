"""Networks as expressions: they say of every address's text what `ipaddress` says of the address."""

from __future__ import annotations

import ipaddress
import random
import re

import pytest

from golive.edge.networks import expression

NETWORKS = (
    *("203.0.113.7/32", "10.0.0.0/8", "172.16.0.0/12", "192.168.4.0/22", "0.0.0.0/0", "198.51.100.128/25"),
    *("::1/128", "::/0", "2001:db8::/32", "2001:db8:0:1::/64", "2001:db8:0:ab00::/56", "fd00::/8", "fe80::/10"),
    *("2001:db8::5/128", "2000::/3", "fd00:0:0:1::/64", "2001:db8:0:0:8000::/65", "0:0:0:8::/61", "::/12"),
    *("2001:0:0:0:5::/80", "fd00:0:1::/48", "fd00::/17", "fd00:0:80::/41"),
)


@pytest.mark.parametrize("text", NETWORKS)
def test_an_expression_takes_the_addresses_of_its_network_and_no_other(text: str) -> None:
    network = ipaddress.ip_network(text)
    pattern = re.compile(expression([text]))
    chance = random.Random(text)
    for _ in range(100):
        for address in (_inside(network, chance), _near(network, chance)):
            assert bool(pattern.fullmatch(str(address))) == (address in network), address


def _inside(network: ipaddress.IPv4Network | ipaddress.IPv6Network, chance: random.Random) -> object:
    """Any of its addresses; many groups of zeros, which is where the text is short."""
    mask = chance.choice((-1, *(0xFFFF << 16 * chance.randrange(8) for _ in range(4))))
    low = chance.getrandbits(network.max_prefixlen) & mask & int(network.hostmask)
    return type(network.network_address)(int(network.network_address) | low)


def _near(network: ipaddress.IPv4Network | ipaddress.IPv6Network, chance: random.Random) -> object:
    """One whose bits differ in few places, so that it is just outside, or just inside."""
    bit = 1 << chance.randrange(network.max_prefixlen)
    return type(network.network_address)(int(_inside(network, chance)) ^ bit)  # type: ignore[call-overload]


def test_several_are_alternatives() -> None:
    pattern = re.compile(expression(["10.0.0.0/8", "::1/128"]))
    assert [bool(pattern.fullmatch(x)) for x in ("10.1.2.3", "::1", "11.1.2.3", "110.1.2.3")] == [
        True,
        True,
        False,
        False,
    ]
