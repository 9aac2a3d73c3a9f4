-- Version 6. The version is PRAGMA user_version; a newer file is refused, an older one is brought up by `upgrades`.

-- An environment of an app, since its first deploy.
CREATE TABLE app (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    checkout TEXT NOT NULL,                 -- where it was deployed from last
    live INTEGER,                           -- number of the live release
    created_at REAL NOT NULL,
    PRIMARY KEY (app, environment)
) STRICT;

-- Artifacts + environment snapshot + blueprint + schema version: numbered, immutable but for state and schema_version.
CREATE TABLE release (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('making', 'ready', 'failed', 'pruned')),
    blueprint TEXT NOT NULL,                -- JSON of the resolved blueprint
    artifacts TEXT NOT NULL,                -- JSON: service -> artifact key
    environments BLOB NOT NULL,             -- sealed JSON: service -> variable -> value
    schema_version TEXT,
    created_at REAL NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (app, environment, number)
) STRICT;

-- The schema that a release was made for, of an app with migrations.
CREATE TABLE release_schema (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    number INTEGER NOT NULL,
    applied TEXT NOT NULL,                  -- JSON list of migrations
    contracts TEXT NOT NULL,                -- JSON list: those that took something away
    shape BLOB NOT NULL,                    -- packed by golive.migrate.shape
    PRIMARY KEY (app, environment, number)
) STRICT;

-- Moves from one store to another that are under way.
CREATE TABLE move (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,                 -- JSON, as in the blueprint when it began
    started_at REAL NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (app, environment, name)
) STRICT;

-- Making a release live: a journal of steps. `committed` is set in the transaction that makes its generations live.
CREATE TABLE deployment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('deploy', 'rollback', 'restart')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'undone')),
    request TEXT NOT NULL,                  -- JSON of the request, without secrets
    actor TEXT NOT NULL,
    release INTEGER,
    previous INTEGER,
    committed INTEGER NOT NULL DEFAULT 0,
    queued_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    error TEXT,                             -- JSON of the error
    result TEXT                             -- JSON: probes, checks, notes
) STRICT;
CREATE INDEX deployment_app ON deployment (app, environment, id);
CREATE INDEX deployment_state ON deployment (state);

CREATE TABLE step (
    deployment INTEGER NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'undone', 'skipped')),
    started_at REAL NOT NULL,
    ended_at REAL,
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (deployment, position)
) STRICT;

-- The instances that a deployment started for one service.
CREATE TABLE generation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    release INTEGER NOT NULL,
    deployment INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,              -- of artifact, settings and environment: equal means interchangeable
    state TEXT NOT NULL CHECK (state IN ('starting', 'ready', 'live', 'draining', 'warm', 'stopped')),
    drain_until REAL,
    warm_until REAL
) STRICT;
CREATE INDEX generation_app ON generation (app, environment, state);
CREATE INDEX generation_state ON generation (state);

CREATE TABLE instance (
    unit TEXT PRIMARY KEY,                  -- app/environment/service/d<generation>/<slot>
    generation INTEGER NOT NULL REFERENCES generation (id) ON DELETE CASCADE,
    slot INTEGER NOT NULL,
    port INTEGER,
    grpc_port INTEGER
) STRICT;

-- Every process golive keeps running, by unit: instances, resources, Envoy, the static server.
CREATE TABLE process (
    unit TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,
    restarts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE resource (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    engine TEXT NOT NULL,
    version TEXT NOT NULL,
    port INTEGER NOT NULL,
    password BLOB NOT NULL,                 -- sealed
    created_at REAL NOT NULL,
    PRIMARY KEY (app, environment, name)
) STRICT;

-- Base backups, drills and checks that were begun. What there is to restore is in the location, not here.
CREATE TABLE backup_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    resource TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('base', 'drill', 'verify')),
    started_at REAL NOT NULL,
    ended_at REAL,
    error TEXT,                             -- JSON of the error
    detail TEXT NOT NULL                    -- JSON: the backup, what it took
) STRICT;
CREATE INDEX backup_run_resource ON backup_run (app, environment, resource, kind, id);

-- What a resource called `<resource>@<label>` is: a copy of the other one.
CREATE TABLE copy (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,                     -- of its own row in `resource`
    resource TEXT NOT NULL,                 -- of which it is a copy
    kind TEXT NOT NULL CHECK (kind IN ('branch', 'restored', 'replaced', 'upgraded', 'rehearsal', 'standby')),
    state TEXT NOT NULL CHECK (state IN ('making', 'changing', 'ready', 'kept')),
    origin TEXT NOT NULL,                   -- where its data is from, in words
    settings TEXT NOT NULL,                 -- JSON: settings of the engine that outrank golive's own
    created_at REAL NOT NULL,
    actor TEXT NOT NULL,
    expires_at REAL,                        -- removed then
    PRIMARY KEY (app, environment, name)
) STRICT;

CREATE TABLE variable (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,                    -- sealed
    set_at REAL NOT NULL,
    set_by TEXT NOT NULL,
    PRIMARY KEY (app, environment, name)
) STRICT;

-- The key that everything sealed is sealed with; no row in a state that an older golive made.
CREATE TABLE vault (
    key TEXT NOT NULL,                      -- its id, see golive.state.keyfile
    since REAL NOT NULL
) STRICT;

-- What answers instead of an environment's services for a while.
CREATE TABLE maintenance (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL,                             -- ends by itself then
    actor TEXT NOT NULL,
    services TEXT NOT NULL,                 -- JSON list; empty means all
    message TEXT,
    page TEXT,                              -- HTML, in place of golive's own
    allow TEXT NOT NULL,                    -- JSON list of networks whose requests pass
    pass BLOB NOT NULL,                     -- sealed: the cookie whose requests pass
    PRIMARY KEY (app, environment)
) STRICT;

-- Services that somebody stopped, until they are resumed.
CREATE TABLE suspension (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    since REAL NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (app, environment, service)
) STRICT;

-- How many instances somebody asked for, by hand or the autoscaler; the blueprint's minimum when there is no row.
CREATE TABLE scale (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    instances INTEGER NOT NULL,
    PRIMARY KEY (app, environment, service)
) STRICT;

-- Visitors of a service who go to the one that replaces it.
CREATE TABLE shift (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    replaced TEXT NOT NULL,                 -- the other one; what was said of a pair holds for that pair alone
    was INTEGER NOT NULL,                   -- percent before
    percent INTEGER NOT NULL,
    since REAL NOT NULL,
    until REAL,                             -- reached evenly by then; at once without
    PRIMARY KEY (app, environment, service)
) STRICT;

CREATE TABLE cron_run (
    app TEXT NOT NULL,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    due_at REAL NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT NOT NULL DEFAULT 'running',
    PRIMARY KEY (app, environment, service, due_at)
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    app TEXT,
    environment TEXT,
    detail TEXT NOT NULL DEFAULT '{}'       -- JSON; names, never values
) STRICT;
CREATE INDEX audit_app ON audit (app, environment, id);
