CREATE TABLE partner_preferences (
    user_id   uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    min_age   integer NOT NULL DEFAULT 18 CHECK (min_age BETWEEN 18 AND 120),
    max_age   integer NOT NULL DEFAULT 120 CHECK (max_age BETWEEN 18 AND 120),
    same_city boolean NOT NULL DEFAULT false,
    CHECK (min_age <= max_age)
);

INSERT INTO partner_preferences (user_id)
SELECT id FROM users ON CONFLICT DO NOTHING;
