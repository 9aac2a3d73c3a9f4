CREATE TABLE users (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email      text NOT NULL CHECK (length(email) <= 254),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- ana@x.org and Ana@X.org are one person.
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE profiles (
    user_id    uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    birth_year integer CHECK (birth_year BETWEEN 1900 AND 2100),
    city       text NOT NULL DEFAULT '' CHECK (length(city) <= 80),
    bio        text NOT NULL DEFAULT '' CHECK (length(bio) <= 1000),
    updated_at timestamptz NOT NULL DEFAULT now()
);
