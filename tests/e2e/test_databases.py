"""golive db against an app that is live: what is wrong, sizes, a shell, vacuum and reindex."""

from __future__ import annotations

import signal

import psycopg
from e2e_apps import MakeApp
from e2e_harness import until

RESOURCES = '\n[resources]\ndb = "postgres"\ncache = "redis"\n'


def test_looking_after_the_databases_of_an_app(make_app: MakeApp) -> None:
    app = make_app(extra=RESOURCES)
    app.command("db", "insight").failed()
    app.up().ok()
    shell = app.command("db", "shell", "--", "-c", "CREATE TABLE item (id serial PRIMARY KEY, name text)").ok()
    assert "CREATE TABLE" in shell.out
    app.command("db", "shell", "cache", "--", "SET", "greeting", "hello").ok()
    assert app.command("db", "shell", "cache", "--", "GET", "greeting").ok().out.strip() == "hello"
    sequence = "SELECT setval('item_id_seq', 2147000000)"
    assert "2147000000" in app.command("db", "shell", "db", "--", "-Atc", sequence).ok().out

    seen = app.command("db", "insight")
    assert seen.code == 1, seen.text
    assert "critical  public.item_id_seq" in seen.out
    assert "cache: Redis" in seen.out
    asked = app.command("debug", "db", "--json").ok().json()
    assert (asked["verdict"].startswith("works"), asked["failed"]) == (True, False)
    assert "works; a question takes" in app.command("debug", "redis", "cache").ok().out
    assert "did you mean cache?" in app.command("db", "insight", "cash").failed().err
    sizes = app.command("db", "size", "--json").ok().json()["resources"]
    assert [each["name"] for each in sizes] == ["db", "cache"]
    assert [table["name"] for table in sizes[0]["tables"]] == ["item"]
    assert [each["name"] for each in app.command("db", "vacuum", "--json").ok().json()] == ["public.item"]

    url = app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip()
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watcher:
        holder.execute("INSERT INTO item (id) VALUES (1)")
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'REINDEX%%' AND state = 'active'"
        command = app.golive.start("db", "reindex", "item", "--app", app.name)
        until("the reindex to wait", lambda: watcher.execute(busy).fetchone() == (1,))
        command.send_signal(signal.SIGINT)
        assert app.golive.finish(command).code == 130
        until("its end on the server", lambda: watcher.execute(busy).fetchone() == (0,))
    assert "item_pkey" in app.command("db", "reindex", "item").ok().err
    # What golive asks is none of the slow queries of the app.
    facts = app.command("db", "insight", "db", "--json").json()["resources"][0]["facts"]
    asked = [each["query"] for each in facts["slow"] if "pg_" in each["query"]]
    assert [query for query in asked if "query LIKE" not in query] == []  # that one is the watcher of this test
