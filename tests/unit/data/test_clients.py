from __future__ import annotations

from golive.data.clients import client
from golive.data.urls import parse
from golive.secret import Secret

WORD = "p@ss w%rd"


def test_the_password_is_in_the_environment_and_never_in_the_words() -> None:
    url = "postgresql://me:p%40ss%20w%25rd@db.example.com/app?sslmode=verify-full&pgbouncer=true"
    psql = client(parse("postgres", Secret(url), "DATABASE_URL"))
    redis = client(parse("redis", Secret("rediss://me:p%40ss%20w%25rd@db.example.com:6380/2"), "REDIS_URL"))

    assert (psql.program, psql.args) == ("psql", ())
    assert psql.env["PGPASSWORD"] == Secret(WORD)
    assert {k: v for k, v in psql.env.items() if k != "PGPASSWORD"} == {
        "PGSSLMODE": "verify-full",
        "PGHOST": "db.example.com",
        "PGPORT": "5432",
        "PGUSER": "me",
        "PGDATABASE": "app",
        "PGAPPNAME": "golive-shell",
    }
    assert redis.args == ("-h", "db.example.com", "-p", "6380", "-n", "2", "--user", "me", "--tls")
    assert redis.env == {"REDISCLI_AUTH": Secret(WORD)}
    assert client(parse("redis", Secret("redis://localhost"), "REDIS_URL")).env == {}
