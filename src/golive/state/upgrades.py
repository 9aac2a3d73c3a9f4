"""From each version of the state to the next. What they make is what `schema.sql` makes of nothing."""

from __future__ import annotations

from collections.abc import Mapping

_MAINTENANCE = """
CREATE TABLE maintenance (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL,
    actor TEXT NOT NULL,
    services TEXT NOT NULL,
    message TEXT,
    page TEXT,
    allow TEXT NOT NULL,
    pass BLOB NOT NULL,
    PRIMARY KEY (app, environment)
) STRICT;
CREATE TABLE suspension (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    since REAL NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (app, environment, service)
) STRICT;
"""

UPGRADES: Mapping[int, str] = {1: _MAINTENANCE}
"""Version → the SQL that makes the next one of it."""
