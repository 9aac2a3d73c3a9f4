"""Networks as regular expressions of an address's text: Envoy's route matching knows headers only, and the one with
the client's address (`x-envoy-external-address`, which no client can set) holds text.

Texts are those of inet_ntop(3), as in RFC 5952: lower case, no leading zeros, the longest run of zero groups as `::`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HEX = "[0-9a-f]"
_GROUP = f"{_HEX}{{1,4}}"
_GROUPS = 8


def expression(networks: Iterable[str]) -> str:
    """Matches the whole text of every address in these networks, and of no other."""
    return "|".join(_of(ipaddress.ip_network(text)) for text in networks)


def _of(network: Network) -> str:
    if isinstance(network, ipaddress.IPv4Network):
        return _v4(network)
    return "|".join(_v6(network))


def _v4(network: ipaddress.IPv4Network) -> str:
    whole, bits = divmod(network.prefixlen, 8)
    octets = network.network_address.packed
    parts = [str(octet) for octet in octets[:whole]]
    if bits:
        first = octets[whole]
        parts.append(f"(?:{'|'.join(str(n) for n in range(first, first + 2 ** (8 - bits)))})")
    return r"\.".join([*parts, *[r"\d{1,3}"] * (4 - len(parts))])


def _v6(network: ipaddress.IPv6Network) -> Iterator[str]:
    whole, bits = divmod(network.prefixlen, 16)
    packed = network.network_address.packed
    groups = [int.from_bytes(packed[at : at + 2]) for at in range(0, 16, 2)]
    if not bits:
        yield from _texts(groups[:whole], "")
        return
    free, first = 16 - bits, groups[whole]
    yield from _texts(groups[:whole], _between(first, free) if first else _up_to(free))
    if not first:  # a group of zeros may be part of a `::`
        yield from _texts([*groups[:whole], 0], "")


def _texts(groups: Sequence[int], then: str) -> Iterator[str]:
    """Of addresses that begin with these groups, then one that matches `then`, which is never zero."""
    free = _GROUPS - len(groups) - bool(then)
    rest = "[0-9a-f:.]*"
    known = [*(f"{group:x}" for group in groups), *([then] if then else [])]
    yield ":".join(known) + (f":{rest}" if known and free else rest if free else "")
    for start, end in _runs(groups):
        before, after = ":".join(known[:start]), ":".join(known[end:])
        if end < len(known):
            yield f"{before}::{after}(?::{_GROUP}){{{free}}}"
        elif not then:
            yield f"{before}::" + (f"(?:{_GROUP}(?::{_GROUP}){{0,{free - 1}}})?" if free else "")


def _runs(groups: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where groups of zeros begin and end."""
    for run in re.finditer("0+", "".join("x" if group else "0" for group in groups)):
        yield run.span()


def _between(first: int, free: int) -> str:
    """Numbers from `first`, which has as many zero bits at its end, on."""
    nibbles, bits = divmod(free, 4)
    high = first >> 4 * nibbles
    text = f"{high:x}"
    if bits:
        before, low = divmod(high, 16)
        text = (f"{before:x}" if before else "") + f"[{_digits(low, low + 2**bits)}]"
    return text + f"{_HEX}{{{nibbles}}}" * bool(nibbles)


def _up_to(free: int) -> str:
    """Numbers of so many bits, but zero."""
    nibbles, bits = divmod(free, 4)
    found = [f"[{_digits(1, 2**bits)}]" + f"{_HEX}{{{nibbles}}}" * bool(nibbles)] if bits else []
    found += [f"[1-9a-f]{_HEX}{{0,{nibbles - 1}}}"] if nibbles else []
    return f"(?:{'|'.join(found)})"


def _digits(first: int, end: int) -> str:
    return "".join(f"{n:x}" for n in range(first, end))
