"""How many threads a client may still make: counted in Redis, a key a day and a key a month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from threadr.settings import Limits

# One script: two requests at once cannot both take the last one, and nothing is counted when either limit is reached.
_TAKE = """
local day, month = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(redis.call('GET', KEYS[2]) or '0')
if day >= tonumber(ARGV[1]) or month >= tonumber(ARGV[2]) then return {0, day, month} end
day, month = redis.call('INCR', KEYS[1]), redis.call('INCR', KEYS[2])
redis.call('EXPIREAT', KEYS[1], ARGV[3])
redis.call('EXPIREAT', KEYS[2], ARGV[4])
return {1, day, month}
"""
_GIVE_BACK = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
end
"""


@dataclass(frozen=True)
class Window:
    limit: int
    used: int
    resets_at: datetime

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True)
class Usage:
    """Where a client stands at `now`."""

    day: Window
    month: Window
    now: datetime
    allowed: bool = True

    @property
    def retry_after(self) -> int:
        """Seconds until a thread may be made again; 0 when one may be made now."""
        spent = [w.resets_at for w in (self.day, self.month) if w.left == 0]
        return max(1, round((max(spent) - self.now).total_seconds())) if spent else 0

    def headers(self) -> dict[str, str]:
        """RateLimit and RateLimit-Policy, after the IETF draft on rate limit header fields."""
        named = {"day": (self.day, 86400), "month": (self.month, 30 * 86400)}
        policy = ", ".join(f'"{name}";q={w.limit};w={seconds}' for name, (w, seconds) in named.items())
        state = ", ".join(f'"{name}";r={w.left};t={self._until(w)}' for name, (w, _) in named.items())
        retry = {"Retry-After": str(self.retry_after)} if not self.allowed else {}
        return {"RateLimit-Policy": policy, "RateLimit": state, **retry}

    def _until(self, window: Window) -> int:
        return max(0, round((window.resets_at - self.now).total_seconds()))


def resets(now: datetime) -> tuple[datetime, datetime]:
    """The start of the next day and of the next month, UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1), (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)


def periods(now: datetime) -> tuple[str, str]:
    """The day and the month, as they are counted under."""
    return f"{now:%Y-%m-%d}", f"{now:%Y-%m}"


class Quota:
    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._take = redis.register_script(_TAKE)
        self._give_back = redis.register_script(_GIVE_BACK)

    async def take(self, client: str, limits: Limits) -> Usage:
        """Count one thread, unless a limit is reached: `allowed` says which it was."""
        now = datetime.now(UTC)
        until = [str(int(at.timestamp())) for at in resets(now)]
        allowed, day, month = await self._take(self.keys(client, now), [limits.daily, limits.monthly, *until])
        return usage_of(limits, int(day), int(month), now, bool(allowed))

    async def give_back(self, client: str) -> None:
        """A thread that failed through no fault of the client's does not count."""
        await self._give_back(self.keys(client, datetime.now(UTC)))

    async def usage(self, client: str, limits: Limits) -> Usage:
        now = datetime.now(UTC)
        day, month = await self._redis.mget(self.keys(client, now))
        return usage_of(limits, int(day or 0), int(month or 0), now, True)

    def keys(self, client: str, now: datetime) -> list[str]:
        return [f"{self._prefix}quota:{client}:{period}" for period in periods(now)]


def usage_of(limits: Limits, day: int, month: int, now: datetime, allowed: bool) -> Usage:
    next_day, next_month = resets(now)
    return Usage(Window(limits.daily, day, next_day), Window(limits.monthly, month, next_month), now, allowed)
