CREATE TABLE interests (
    slug text PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE user_interests (
    user_id  uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    interest text NOT NULL REFERENCES interests (slug),
    PRIMARY KEY (user_id, interest)
);

INSERT INTO interests (slug, name) VALUES
    ('art', 'Art'),
    ('books', 'Books'),
    ('climbing', 'Climbing'),
    ('cooking', 'Cooking'),
    ('cycling', 'Cycling'),
    ('dancing', 'Dancing'),
    ('films', 'Films'),
    ('games', 'Games'),
    ('gardening', 'Gardening'),
    ('hiking', 'Hiking'),
    ('music', 'Music'),
    ('swimming', 'Swimming'),
    ('theatre', 'Theatre'),
    ('travel', 'Travel');
