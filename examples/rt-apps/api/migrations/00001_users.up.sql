-- gen_random_uuid() is PostgreSQL's own. The extension uuid-ossp, which golive.toml asks for, is there for what needs
-- more than random ids, such as uuid_generate_v5().
CREATE TABLE users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email         text NOT NULL CHECK (length(email) <= 254),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- ana@x.org and Ana@X.org are one person.
CREATE UNIQUE INDEX users_email ON users (lower(email));
