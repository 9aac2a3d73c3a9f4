"""ECDS: the rate limits, kept out of the routes because a route change would empty every bucket (rule 6).

A route says which limits apply to it; the filter knows only *classes*, that is numbers: how many, in how long, how
many at once, and for whom. A new app whose limits some app has already changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from golive.blueprint.models import RateLimit
from golive.edge.model import EdgeConfig
from golive.edge.resource import HTTP, Json, discovery, typed

FILTER = f"{HTTP}local_ratelimit"
FILTER_KIND = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
ADDRESSES = 50000
"""Client addresses remembered for each class (default 20, rule 5), about 600 bytes each; the oldest go first."""


@dataclass(frozen=True, order=True)
class LimitClass:
    """`count` per `seconds`, `burst` at once; `client` says whether each address has its own."""

    count: int
    seconds: int
    burst: int
    client: bool

    @classmethod
    def of(cls, limit: RateLimit) -> LimitClass:
        count, length = limit.limit.count, limit.limit.seconds
        return cls(count, length, limit.burst or count, limit.per == "client")

    @classmethod
    def parse(cls, text: str) -> LimitClass:
        """The inverse of `str`."""
        match = re.fullmatch(r"(\d+)/(\d+)s\+(\d+) (client|service)", text)
        if not match:
            raise ValueError(f"{text!r} is not a limit class")
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4] == "client")

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds}s+{self.burst} {'client' if self.client else 'service'}"


def classes(config: EdgeConfig) -> frozenset[LimitClass]:
    return frozenset(LimitClass.of(limit) for _, rule in config.rules() for limit in rule.rate_limits)


def classes_in(ecds: Json) -> frozenset[LimitClass]:
    """The classes of a rendered file. They are kept while Envoy runs: taking one away would empty all the others."""
    found = (d["entries"][0]["value"] for r in ecds["resources"] for d in r["typed_config"].get("descriptors", ()))
    return frozenset(LimitClass.parse(text) for text in found)


def actions(limits: Iterable[tuple[RateLimit, str]]) -> list[Json]:
    """A route's `rate_limits`: those that apply, each with the scope whose requests are counted together."""
    return [{"actions": _descriptor(LimitClass.of(limit), scope)} for limit, scope in limits]


def render_limits(known: frozenset[LimitClass]) -> Json:
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
        descriptors=[_bucket(kind) for kind in sorted(known)],
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


def _descriptor(kind: LimitClass, scope: str) -> list[Json]:
    found = [("class", str(kind)), ("scope", scope)]
    made: list[Json] = [{"generic_key": {"descriptor_key": key, "descriptor_value": value}} for key, value in found]
    return [*made, {"remote_address": {}}] if kind.client else made


def _bucket(kind: LimitClass) -> Json:
    entries: list[Json] = [{"key": "class", "value": str(kind)}, {"key": "scope"}]
    if kind.client:
        entries.append({"key": "remote_address"})
    bucket = {"max_tokens": kind.burst, "tokens_per_fill": kind.count, "fill_interval": f"{kind.seconds}s"}
    return {"entries": entries, "token_bucket": bucket}
