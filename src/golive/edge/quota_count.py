"""Quotas decided: periods of the calendar, keys in Redis, and what the answer says. No I/O here.

In Redis each quota has one hash for each of its periods, with one field for each key that was seen, so that what a
flood of made-up keys can take is bounded, and the whole of it goes at once when the period ends.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

MOST_KEYS: Final = 250_000
"""Counted apart in one quota and period, about 100 bytes of Redis each; all further ones are counted together."""

NOT_COUNTED: Final = 424
"""The status of an answer when Redis did not count."""

COUNT: Final = """
local counts, fields, refused = {}, {}, 0
for i, key in ipairs(KEYS) do
  local field, most = ARGV[3 * i - 1], tonumber(ARGV[3 * i])
  local had = redis.call('HGET', key, field)
  if not had and redis.call('HLEN', key) >= tonumber(ARGV[1]) then
    field = ''
    had = redis.call('HGET', key, field)
  end
  fields[i], counts[i] = field, tonumber(had or '0')
  if counts[i] >= most then refused = 1 end
end
if refused == 0 then
  for i, key in ipairs(KEYS) do
    counts[i] = redis.call('HINCRBY', key, fields[i], 1)
    redis.call('EXPIREAT', key, ARGV[3 * i + 1])
  end
end
table.insert(counts, 1, refused)
return counts
"""
"""All quotas of a request in one step: a request that one of them refuses is counted by none. Returns whether it is
refused, and each count."""


@dataclass(frozen=True)
class Asked:
    """One quota of a request. `key` is whose requests are counted together."""

    scope: str
    limit: int
    period: str
    key: str


@dataclass(frozen=True)
class Answer:
    """`text` is for a person, without a full stop."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""


def parse(body: str) -> tuple[str, tuple[Asked, ...]]:
    """`app/environment`, then a line for each quota: scope, limit, period, and `client ADDRESS`, `header VALUE` or
    `all`. ValueError when it is nothing of the kind.
    """
    place, *lines = body.split("\n")
    found = []
    for line in lines:
        scope, limit, period, value = line.split("\t", 3)
        found.append(Asked(scope, int(limit), period, key_of(value)))
    if not found:
        raise ValueError("no quotas")
    return place, tuple(found)


def key_of(value: str) -> str:
    """As it stands in Redis: short, and nobody's token. An IPv6 client is its /64, of which each has billions."""
    kind, _, rest = value.partition(" ")
    if kind == "all":
        return kind
    text = network_of(rest) if kind == "client" else rest
    return hashlib.blake2b(f"{kind} {text}".encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()


def network_of(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found.packed[:8] + bytes(8), 64)).network_address)


def span(period: str, now: datetime) -> tuple[datetime, datetime]:
    """When the calendar period of `now` (in UTC) began, and when it ends. A week begins on Monday (ISO 8601)."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return hour, hour + timedelta(hours=1)
    day = hour.replace(hour=0)
    if period == "day":
        return day, day + timedelta(days=1)
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(weeks=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def command(place: str, asked: tuple[Asked, ...], now: datetime, most: int = MOST_KEYS) -> tuple[str | int, ...]:
    """The words for Redis. One place's keys have one hash tag, so that a cluster has them in one slot."""
    keys: list[str] = []
    words: list[str | int] = []
    for one in asked:
        begin, end = span(one.period, now)
        keys.append(f"golive:quota:{{{place}}}:{one.scope}:{one.period}:{begin:%Y-%m-%dT%H}")
        words += [one.key, one.limit, int(end.timestamp())]
    return ("EVAL", COUNT, len(keys), *keys, most, *words)


def answer(asked: tuple[Asked, ...], refused: bool, counts: tuple[int, ...], now: datetime) -> Answer:
    """With what is left of each quota and until when, in seconds; `x-ratelimit-*` are of the one that is nearest its
    end."""
    policies, states, left = [], [], []
    names: dict[str, int] = {}
    for one, count in zip(asked, counts, strict=True):
        begin, end = span(one.period, now)
        text = f"{one.limit}/{one.period}"
        names[text] = names.get(text, 0) + 1
        name = text if names[text] == 1 else f"{text} {names[text]}"
        remaining, reset = max(one.limit - count, 0), _until(end, now)
        policies.append(f'"{name}";q={one.limit};w={int((end - begin).total_seconds())}')
        states.append(f'"{name}";r={remaining};t={reset}')
        left.append((remaining, -reset, one, end))
    remaining, reset, tightest, end = min(left, key=lambda entry: entry[:2])
    headers = [
        ("ratelimit-policy", ", ".join(policies)),
        ("ratelimit", ", ".join(states)),
        ("x-ratelimit-limit", str(tightest.limit)),
        ("x-ratelimit-remaining", str(remaining)),
        ("x-ratelimit-reset", str(-reset)),
    ]
    if not refused:
        return Answer(200, tuple(headers))
    # `min` has found the last of those that are used up to begin anew: before it, trying again is in vain.
    headers.append(("retry-after", str(-reset)))
    what = "1 request" if tightest.limit == 1 else f"{tightest.limit} requests"
    article = "an" if tightest.period == "hour" else "a"
    text = f"The quota of {what} {article} {tightest.period} is used up. It begins anew at {end:%Y-%m-%d %H:%M} UTC"
    return Answer(429, tuple(headers), text)


def _until(end: datetime, now: datetime) -> int:
    """Whole seconds, rounded up: one too early would be refused again."""
    return max(1, -int(-(end - now).total_seconds() // 1))
