"""The daemon is killed while a restored database takes the place of the live one: one of them answers, none is lost."""

from __future__ import annotations

import random
import time

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, until

RESOURCES = '\n[resources]\ndb = "postgres"\n'


def which(app: App) -> str:
    """Which of the two databases answers; empty while none does."""
    found = app.command("db", "shell", "db", "--", "-Atc", "SELECT name FROM marker")
    return found.out.strip() if found.code == 0 else ""


def copy_kinds(app: App) -> list[str]:
    return [each["kind"] for each in app.command("restore", "list", "--json").ok().json()["copies"]]


def rounds(app: App, count: int) -> None:
    chance = random.Random(count)
    app.up().ok()
    status = lambda: app.command("backup", "list", "--json").json()["databases"][0]["receiving"]["status"]  # noqa: E731
    until("writes to be received", lambda: status() == "ready")
    app.command("db", "shell", "db", "--", "-c", "CREATE TABLE marker AS SELECT 'then' AS name").ok()
    app.command("backup", "create").ok()
    app.command("restore").ok()
    app.command("db", "shell", "db", "--", "-c", "UPDATE marker SET name = 'now'").ok()
    for number in range(count):
        before, kind = which(app), copy_kinds(app)[0]
        verb = "swap" if kind == "restored" else "undo"
        command = app.golive.start("restore", verb, "--yes", "--app", app.name)
        time.sleep(chance.uniform(0.2, 2.0))  # at any of its steps
        app.golive.kill_daemon()
        app.golive.finish(command)
        app.golive("status", "--all")

        until(f"a database after round {number}", lambda: which(app) in ("now", "then"))
        until(f"the app after round {number}", lambda: app.get("/").status_code == 200)
        until(f"one copy after round {number}", lambda: len(copy_kinds(app)) == 1)
        assert (which(app) == before) == (copy_kinds(app) == [kind]), (before, which(app), copy_kinds(app))
    verb = "swap" if copy_kinds(app) == ["restored"] else "undo"
    before = which(app)
    until("nothing else to be under way", lambda: app.command("restore", verb, "--yes").code == 0)
    assert {before, which(app)} == {"now", "then"}


@pytest.mark.nightly  # what fails: tests/integration/release/test_failed_swap.py
def test_killed_while_it_swaps(own_home: Golive, make_app: MakeApp) -> None:
    rounds(make_app(own_home, extra=RESOURCES), 1)


@pytest.mark.nightly
def test_killed_while_it_swaps_again_and_again(own_home: Golive, make_app: MakeApp) -> None:
    rounds(make_app(own_home, extra=RESOURCES), 25)
