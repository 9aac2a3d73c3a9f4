-- A client is an anonymous browser: the id is a digest of its cookie, so a leaked row is no key to anybody's threads.
CREATE TABLE clients (
    id              text        PRIMARY KEY,
    plan            text        NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'premium')),
    stripe_customer text        UNIQUE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    upgraded_at     timestamptz
);

CREATE TABLE threads (
    id         uuid        PRIMARY KEY,
    client_id  text        NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    title      text        NOT NULL,
    article    text        NOT NULL,
    posts      jsonb       NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(posts) = 'array'),
    written_by text        NOT NULL DEFAULT 'threadr' CHECK (written_by IN ('threadr', 'model')),
    status     text        NOT NULL DEFAULT 'working' CHECK (status IN ('working', 'done', 'failed')),
    notice     text,
    created_at timestamptz NOT NULL DEFAULT now()
);
