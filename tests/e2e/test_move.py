"""golive move: Threadr's counters from Redis to PostgreSQL and back, while somebody uses them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_examples import EXAMPLES
from e2e_harness import App, new_home, until

COUNTED = True
BUILD = 600


class Client:
    """A browser that makes threads."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._cookie = ""
        self.made = 0

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Cookie": self._cookie} if self._cookie else {}
        answer = self._app.request(method, path, headers=headers, **more)
        if "set-cookie" in answer.headers:
            self._cookie = answer.headers["set-cookie"].split(";")[0]
        return answer

    def used(self) -> int:
        day = self.ask("GET", "/api/plan").json()["day"]
        return int(day["limit"] - day["left"])

    def make(self) -> int:
        code = self.ask("POST", "/api/generate", json={"content": "A sentence. " * 60}).status_code
        self.made += code == 202
        return code


def state(app: App) -> dict[str, Any]:
    found: dict[str, Any] = app.command("move", "status", "--json").json()["moves"][0]
    return found


def rows(app: App) -> list[str]:
    query = "SELECT DISTINCT used FROM quota ORDER BY used"
    return app.command("db", "shell", "db", "--", "-Atc", query).ok().out.split()


@pytest.mark.timeout(600)
@pytest.mark.nightly  # each step, broken off and taken back: tests/integration/move
@pytest.mark.parametrize("back", [False, True])
def test_counters_move_to_postgresql(tmp_path: Path, back: bool) -> None:  # a parameter of pytest's
    with new_home() as golive:
        app = App(golive, "threadr", EXAMPLES["threadr"].checkout(tmp_path / "threadr"))
        toml = app.folder / "golive.toml"
        toml.write_text(toml.read_text() + '\n[release]\nkeep_warm = "0s"\ndrain = "2s"\n')
        app.command("env", "set", "RATE_LIMIT_DAILY=1000", "RATE_LIMIT_MONTHLY=1000").ok()
        app.up(timeout=BUILD).ok()
        client = Client(app)
        assert client.used() == 0
        assert client.make() == 202
        assert "not begun" in app.command("move", "status").ok().out
        assert "is not under way" in app.command("move", "cutover").failed().err
        assert "did you mean quota" in app.command("move", "start", "qota").failed().err

        app.command("move", "start").ok()
        until("everything to be copied", lambda: state(app).get("swept"))
        client.make()
        until("the second count", lambda: rows(app) == ["2"])
        golive.kill_daemon()  # its worker ends with it
        client.make()
        assert "the same on both sides" in until_equal(app)
        app.command("db", "shell", "db", "--", "-c", "DELETE FROM golive.move").ok()  # as a restore to before it would
        until("what is in the way", lambda: "golive move revert quota ends it" in app.command("move", "status").err)
        app.command("move", "revert").ok()
        app.command("db", "shell", "db", "--", "-c", "TRUNCATE quota").ok()
        app.command("move", "start").ok()
        until("everything to be copied again", lambda: state(app).get("swept"))
        assert "the same on both sides" in until_equal(app)

        stop, codes = threading.Event(), [client.make()]

        def busy() -> None:
            while not stop.wait(1.1):  # the edge lets 60 a minute through
                codes.append(client.make())

        user = threading.Thread(target=busy)
        user.start()
        try:
            app.command("move", "cutover", timeout=BUILD).ok()
        finally:
            stop.set()
            user.join()
        assert set(codes) == {202}
        assert state(app)["reads"] == "postgres"
        assert client.used() == client.made
        client.make()
        until("the way back", lambda: state(app)["waiting"] == 0)
        assert "finish" in app.command("move", "status").ok().err

        if back:
            app.command("move", "revert", timeout=BUILD).ok()
            assert state(app)["reads"] == "redis"
            assert client.used() == client.made
            app.command("move", "cutover", timeout=BUILD).ok()
            assert client.used() == client.made

        until("the end of the old release", lambda: app.command("move", "finish", "--delete-keys", "--yes").code == 0)
        assert client.used() == client.made
        client.make()
        assert client.used() == client.made
        assert app.command("db", "shell", "cache", "--", "KEYS", "threadr:quota:*").ok().out.strip() in (
            "",
            "(empty array)",
        )
        assert "not begun" in app.command("move", "status").ok().out


def until_equal(app: App) -> str:
    return until("both sides to be the same", lambda: (done := app.command("move", "compare")).code == 0 and done.err)
