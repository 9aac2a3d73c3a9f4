CREATE TABLE profiles (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    name    text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    bio     text NOT NULL DEFAULT '' CHECK (length(bio) <= 1000)
);
