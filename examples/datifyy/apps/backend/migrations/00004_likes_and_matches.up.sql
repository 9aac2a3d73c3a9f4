CREATE TABLE likes (
    liker      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    liked      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (liker, liked),
    CHECK (liker <> liked)
);

-- A pair is stored once, the smaller id first, so that two likes at the same time make one match.
CREATE TABLE matches (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    first      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    second     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (first, second),
    CHECK (first < second)
);

CREATE INDEX matches_second ON matches (second);
