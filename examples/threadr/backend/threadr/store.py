"""Clients, threads and Stripe events in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

# A thread whose process was killed under it never finishes; it has failed once no job can still be at it.
_STATUS = "CASE WHEN status = 'working' AND created_at < now() - interval '2 minutes' THEN 'failed' ELSE status END"
_COLUMNS = f"id, title, posts, written_by, {_STATUS} AS status, notice, created_at"


@dataclass(frozen=True)
class Thread:
    id: UUID
    title: str
    posts: list[str]
    written_by: str
    status: str
    notice: str | None
    created_at: datetime


@dataclass(frozen=True)
class PlanChange:
    """What a Stripe event means to us: a client, or the customer it became, gets a plan."""

    plan: str
    client: str | None = None
    customer: str | None = None


class Store:
    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def ping(self) -> None:
        await self._run("SELECT 1")

    async def plan(self, client: str) -> str:
        """`free` for a client nobody has seen yet."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("SELECT plan FROM clients WHERE id = %s", [client])
            row = await cursor.fetchone()
        return str(row[0]) if row else "free"

    async def begin(self, thread: UUID, client: str, title: str, article: str) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("INSERT INTO clients (id) VALUES (%s) ON CONFLICT DO NOTHING", [client])
            await connection.execute(
                "INSERT INTO threads (id, client_id, title, article) VALUES (%s, %s, %s, %s)",
                [thread, client, title, article],
            )

    async def finish(self, thread: UUID, posts: Sequence[str], written_by: str, notice: str | None) -> None:
        await self._run(
            "UPDATE threads SET posts = %s, written_by = %s, notice = %s, status = 'done' WHERE id = %s",
            [Jsonb(list(posts)), written_by, notice, thread],
        )

    async def fail(self, thread: UUID, notice: str) -> None:
        await self._run("UPDATE threads SET status = 'failed', notice = %s WHERE id = %s", [notice, thread])

    async def threads(self, client: str, limit: int) -> list[Thread]:
        return await self._threads("client_id = %s ORDER BY created_at DESC, id LIMIT %s", [client, limit])

    async def thread(self, client: str, thread: UUID) -> Thread | None:
        found = await self._threads("client_id = %s AND id = %s", [client, thread])
        return found[0] if found else None

    async def change_plan(self, event: str, kind: str, change: PlanChange | None) -> bool:
        """Apply a Stripe event once; False when it has been seen before. Both happen or neither."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "INSERT INTO stripe_events (id, type) VALUES (%s, %s) ON CONFLICT DO NOTHING", [event, kind]
            )
            if cursor.rowcount == 0:
                return False
            if change and change.client:
                await self._upgrade(connection, event, change)
            elif change and change.customer:
                await connection.execute(
                    "UPDATE clients SET plan = %s WHERE stripe_customer = %s", [change.plan, change.customer]
                )
        return True

    async def _upgrade(self, connection: Any, event: str, change: PlanChange) -> None:
        # One customer, one client: paying again from another browser moves the plan there.
        await connection.execute(
            "UPDATE clients SET stripe_customer = NULL, plan = 'free' WHERE stripe_customer = %s AND id <> %s",
            [change.customer, change.client],
        )
        await connection.execute(
            "INSERT INTO clients (id, plan, stripe_customer, upgraded_at) VALUES (%s, %s, %s, now()) ON CONFLICT (id)"
            " DO UPDATE SET plan = excluded.plan, stripe_customer = excluded.stripe_customer, upgraded_at = now()",
            [change.client, change.plan, change.customer],
        )
        await connection.execute("UPDATE stripe_events SET client_id = %s WHERE id = %s", [change.client, event])

    async def _threads(self, where: str, values: list[Any]) -> list[Thread]:
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Thread)) as cursor:
            await cursor.execute(f"SELECT {_COLUMNS} FROM threads WHERE {where}", values)  # both ours
            return await cursor.fetchall()

    async def _run(self, statement: str, values: list[Any] | None = None) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(statement, values)
