"""Which dialect a blueprint's migrations are in, for the tools whose files golive runs itself."""

from __future__ import annotations

from golive.blueprint.models import Migrations
from golive.migrate import drizzle, golang_migrate, prisma
from golive.migrate.alembic import ALEMBIC
from golive.migrate.django import DJANGO
from golive.migrate.files import discover
from golive.migrate.ledger import Dialect

SQL = Dialect("sql", discover)
PROGRAMS = {"alembic": ALEMBIC, "django": DJANGO}
"""Tools that only their own program can run: their migrations are code."""


def dialect(migrations: Migrations) -> Dialect:
    table = migrations.table
    return {
        "sql": SQL,
        "prisma": Dialect("prisma", prisma.discover, prisma.ledger, prisma.address),
        "drizzle": Dialect("drizzle", drizzle.discover, drizzle.ledger(table)),
        "golang-migrate": Dialect("golang-migrate", golang_migrate.discover, golang_migrate.ledger(table)),
    }[migrations.tool]
