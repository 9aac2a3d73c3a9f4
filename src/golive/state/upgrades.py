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

_COPIES = """
CREATE TABLE copy (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    resource TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('branch', 'restored', 'replaced', 'upgraded', 'rehearsal', 'standby')),
    state TEXT NOT NULL CHECK (state IN ('making', 'changing', 'ready', 'kept')),
    origin TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at REAL NOT NULL,
    actor TEXT NOT NULL,
    expires_at REAL,
    PRIMARY KEY (app, environment, name)
) STRICT;
"""

_SCHEMAS = """
CREATE TABLE release_schema (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    number INTEGER NOT NULL,
    applied TEXT NOT NULL,
    contracts TEXT NOT NULL,
    shape BLOB NOT NULL,
    PRIMARY KEY (app, environment, number)
) STRICT;
"""

_BACKUPS = """
CREATE TABLE backup_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    resource TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('base', 'drill')),
    started_at REAL NOT NULL,
    ended_at REAL,
    error TEXT,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX backup_run_resource ON backup_run (app, environment, resource, kind, id);
"""

_MOVES = """
CREATE TABLE move (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    started_at REAL NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (app, environment, name)
) STRICT;
"""

_SHIFTS = """
CREATE TABLE shift (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    replaced TEXT NOT NULL,
    was INTEGER NOT NULL,
    percent INTEGER NOT NULL,
    since REAL NOT NULL,
    until REAL,
    PRIMARY KEY (app, environment, service)
) STRICT;
"""

_CHECKS = """
DROP INDEX backup_run_resource;
ALTER TABLE backup_run RENAME TO backup_run_before;
CREATE TABLE backup_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    resource TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('base', 'drill', 'verify')),
    started_at REAL NOT NULL,
    ended_at REAL,
    error TEXT,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO backup_run SELECT * FROM backup_run_before;
DROP TABLE backup_run_before;
CREATE INDEX backup_run_resource ON backup_run (app, environment, resource, kind, id);
"""

_VAULT = """
CREATE TABLE vault (
    key TEXT NOT NULL,
    since REAL NOT NULL
) STRICT;
"""

UPGRADES: Mapping[int, str] = {
    1: _MAINTENANCE,
    2: _COPIES + _SCHEMAS + _MOVES + _BACKUPS,
    3: _SHIFTS,
    4: _CHECKS,
    5: _VAULT,
}
"""Version → the SQL that makes the next one of it."""
