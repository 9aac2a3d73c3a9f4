ALTER TABLE users ADD COLUMN password_hash text;

ALTER TABLE users ADD COLUMN account_status text NOT NULL DEFAULT 'active'
    CHECK (account_status IN ('active', 'paused', 'closed'));
