-- Nullable and without a default: no table is rewritten, and the release before this one does not notice.
ALTER TABLE users ADD COLUMN last_login_at timestamptz;
