"""The same counters as in `quota`, in PostgreSQL: which of the two is read, QUOTA_STORE says."""

from __future__ import annotations

from datetime import UTC, datetime

from psycopg_pool import AsyncConnectionPool

from threadr.quota import Usage, periods, resets, usage_of
from threadr.settings import Limits

# Rows are locked in one order, or two requests of a client could wait for each other.
_MAKE = "INSERT INTO quota VALUES (%s, %s, 0, %s), (%s, %s, 0, %s) ON CONFLICT DO NOTHING"
_LOCK = "SELECT period, used FROM quota WHERE client = %s AND period = ANY (%s) ORDER BY period DESC FOR UPDATE"
_COUNT = "UPDATE quota SET used = used + 1 WHERE client = %s AND period = ANY (%s)"
_GIVE_BACK = "UPDATE quota SET used = used - 1 WHERE client = %s AND period = ANY (%s) AND used > 0"
_READ = "SELECT period, used FROM quota WHERE client = %s AND period = ANY (%s)"


class QuotaRows:
    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def take(self, client: str, limits: Limits) -> Usage:
        """Count one thread, unless a limit is reached: `allowed` says which it was."""
        now = datetime.now(UTC)
        day, month = periods(now)
        ends = resets(now)
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_MAKE, [client, day, ends[0], client, month, ends[1]])
            used = dict(await (await connection.execute(_LOCK, [client, [day, month]])).fetchall())
            allowed = used[day] < limits.daily and used[month] < limits.monthly
            if allowed:
                await connection.execute(_COUNT, [client, [day, month]])
        return usage_of(limits, used[day] + allowed, used[month] + allowed, now, allowed)

    async def give_back(self, client: str) -> None:
        """A thread that failed through no fault of the client's does not count."""
        async with self._pool.connection() as connection:
            await connection.execute(_GIVE_BACK, [client, list(periods(datetime.now(UTC)))])

    async def usage(self, client: str, limits: Limits) -> Usage:
        now = datetime.now(UTC)
        day, month = periods(now)
        async with self._pool.connection() as connection:
            used = dict(await (await connection.execute(_READ, [client, [day, month]])).fetchall())
        return usage_of(limits, used.get(day, 0), used.get(month, 0), now, True)
