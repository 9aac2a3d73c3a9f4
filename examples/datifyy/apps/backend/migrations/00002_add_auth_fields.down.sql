ALTER TABLE users DROP COLUMN account_status;
ALTER TABLE users DROP COLUMN password_hash;
