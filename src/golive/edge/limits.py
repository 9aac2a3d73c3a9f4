"""ECDS: the rate limits, kept out of the routes because a route change would empty every bucket (rule 6).

A route's metadata says which limits apply to it, slot by slot; the filter knows only *classes*, that is numbers: how
many, in how long, how many at once, and for whom. A new app whose limits some app has already changes nothing. Metadata
and not `rate_limits` of the route, because a route that Envoy answers itself has none of those. There are as many slots
as some route has needed: an empty one costs each request 0.2 us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from golive.blueprint.models import RateLimit
from golive.edge import jwt
from golive.edge.model import EdgeConfig
from golive.edge.resource import HTTP, Json, discovery, typed

FILTER = f"{HTTP}local_ratelimit"
SLOT = "golive.limit."
CLAIM = "claim:"
HEADER = "header:"
FILTER_KIND = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
ADDRESSES = 50000
"""Client addresses remembered for each class (default 20, rule 5), about 600 bytes each; the oldest go first."""


@dataclass(frozen=True, order=True)
class LimitClass:
    """`count` per `seconds`, `burst` at once; `client`: each address has its own; `claim`: each value of a claim;
    `header`: each value of a header, and without one each address."""

    count: int
    seconds: int
    burst: int
    client: bool
    claim: bool = False
    header: bool = False

    @classmethod
    def of(cls, limit: RateLimit) -> LimitClass:
        count, length = limit.limit.count, limit.limit.seconds
        keys = (limit.per == "client", limit.per.startswith(CLAIM), limit.per.startswith(HEADER))
        return cls(count, length, limit.burst or count, *keys)

    @classmethod
    def parse(cls, text: str) -> LimitClass:
        """The inverse of `str`."""
        match = re.fullmatch(r"(\d+)/(\d+)s\+(\d+) (client|service|claim|header)", text)
        if not match:
            raise ValueError(f"{text!r} is not a limit class")
        keys = (match[4] == whom for whom in ("client", "claim", "header"))
        return cls(int(match[1]), int(match[2]), int(match[3]), *keys)

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds}s+{self.burst} {self.of_whom}"

    @property
    def of_whom(self) -> str:
        return "client" if self.client else "claim" if self.claim else "header" if self.header else "service"


@dataclass(frozen=True)
class Known:
    """What the filter is told: classes, and the names of the slots in which routes say that one applies."""

    classes: frozenset[LimitClass] = frozenset()
    slots: frozenset[str] = frozenset()

    def __or__(self, other: Known) -> Known:
        return Known(self.classes | other.classes, self.slots | other.slots)


def known(config: EdgeConfig, routes: Iterable[Json]) -> Known:
    """What a configuration needs; `routes` are its RDS files."""
    classes = (LimitClass.of(limit) for _, rule in config.rules() for limit in rule.rate_limits)
    found = (name for rds in routes for route in routes_in(rds) for name in _facts(route) if name.startswith(SLOT))
    return Known(frozenset(classes), frozenset(found))


def known_in(ecds: Json) -> Known:
    """What a rendered file says. It is kept while Envoy runs: taking some of it away would empty every bucket."""
    configs = [resource["typed_config"] for resource in ecds["resources"]]
    classes = (d["entries"][0]["value"] for c in configs for d in c.get("descriptors", ()))
    slots = (x["actions"][0]["metadata"]["metadata_key"]["key"] for c in configs for x in c.get("rate_limits", ()))
    return Known(frozenset(LimitClass.parse(text) for text in classes), frozenset(slots))


def routes_in(rds: Json) -> Iterator[Json]:
    """Every route of a rendered RDS file."""
    return (route for made in rds["resources"] for host in made["virtual_hosts"] for route in host["routes"])


def _facts(route: Json) -> Json:
    found: Json = route.get("metadata", {}).get("filter_metadata", {})
    return found


def slots(limits: Iterable[tuple[RateLimit, str]]) -> Json:
    """Metadata of a route: the limits that apply, each with the scope whose requests are counted together."""
    made: Json = {}
    for limit, scope in limits:
        kind = LimitClass.of(limit)
        start = f"{SLOT}{limit.per}." if kind.claim or kind.header else f"{SLOT}{kind.of_whom}"
        number = sum(name.startswith(start) for name in made)
        made[f"{start}{number}"] = {"class": str(kind), "scope": scope}
    return made


def render_limits(known: Known) -> Json:
    """The ECDS file."""
    config = typed(
        FILTER_KIND,
        stat_prefix="limit",
        filter_enabled={"default_value": {"numerator": 100}},
        filter_enforced={"default_value": {"numerator": 100}},
        max_dynamic_descriptors=ADDRESSES,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        enable_retry_after_header=True,
        # To a gRPC client: a status that it does not take for an outage and repeat at once.
        rate_limited_as_resource_exhausted=True,
        rate_limits=[made for slot in sorted(known.slots) for made in _descriptors(slot)],
        descriptors=[made for kind in sorted(known.classes) for made in _buckets(kind)],
    )
    return discovery(
        "config.core.v3.TypedExtensionConfig",
        [
            {
                "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                "name": FILTER,
                "typed_config": config,
            }
        ],
    )


def _descriptors(slot: str) -> list[Json]:
    def from_route(key: str) -> Json:
        path = {"key": slot, "path": [{"key": key}]}
        return {"metadata": {"descriptor_key": key, "metadata_key": path, "source": "ROUTE_ENTRY"}}

    actions = [from_route("class"), from_route("scope")]
    if slot.startswith(f"{SLOT}client"):
        actions.append({"remote_address": {}})
    if slot.startswith(f"{SLOT}{CLAIM}"):
        claim = slot.removeprefix(f"{SLOT}{CLAIM}").rpartition(".")[0]
        found = {"key": jwt.FILTER, "path": [{"key": jwt.PAYLOAD}, {"key": claim}]}
        nobody = {"descriptor_key": "claim", "source": "DYNAMIC", "default_value": "nobody"}
        actions.append({"metadata": {"metadata_key": found, **nobody}})
    if slot.startswith(f"{SLOT}{HEADER}"):
        name = slot.removeprefix(f"{SLOT}{HEADER}").rpartition(".")[0]
        some = {"name": name, "string_match": {"safe_regex": {"regex": ".+"}}}
        without = {"descriptor_key": "without", "descriptor_value": "it", "expect_match": False, "headers": [some]}
        value = {"request_headers": {"header_name": name, "descriptor_key": "header"}}
        return [
            {"actions": [*actions, value]},
            {"actions": [*actions, {"header_value_match": without}, {"remote_address": {}}]},
        ]
    return [{"actions": actions}]


def _buckets(kind: LimitClass) -> list[Json]:
    entries: list[Json] = [{"key": "class", "value": str(kind)}, {"key": "scope"}]
    bucket = {"max_tokens": kind.burst, "tokens_per_fill": kind.count, "fill_interval": f"{kind.seconds}s"}
    if kind.header:
        ways = [[{"key": "header"}], [{"key": "without", "value": "it"}, {"key": "remote_address"}]]
    else:
        ways = [[{"key": "remote_address"}] * kind.client + [{"key": "claim"}] * kind.claim]
    return [{"entries": [*entries, *way], "token_bucket": bucket} for way in ways]
