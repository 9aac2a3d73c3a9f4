"""golive recover: a machine is lost with its disk, and an empty one takes its place; killed in between, it goes on."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, new_home, until

COUNTED = True
RESOURCES = '\n[resources]\ndb = "postgres"\ncache = "redis"\n\n[backups]\nto = "{to}"\n'


def sql(app: App, query: str) -> str:
    return app.command("db", "shell", "db", "--", "-Atc", query).ok().out.strip()


def write(app: App, place: Path, *, tail: bool) -> None:
    """A row in the base backup, with `tail` another one that only the received writes have; and the host's bundle."""
    wal = place / app.name / "production/db/wal"
    if tail:
        until("writes to be received", lambda: wal.exists() and any(wal.iterdir()))
    sql(app, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
    moment = time.time()
    app.command("db", "shell", "cache", "--", "SET", "greeting", "hello").ok()
    app.command("backup", "create", "-r", "cache").ok()
    listed = app.command("backup", "list", "--json").ok().json()
    assert [len(each["backups"]) for each in listed["databases"] if each["name"] == "cache"] == [1]
    app.command("backup", "create").ok()
    if tail:
        moment = time.time()
        sql(app, "INSERT INTO kept VALUES (2)")
        until("them to be elsewhere", lambda: any(p.stat().st_mtime > moment + 1 for p in wal.glob("*/*.partial")))
    until("the host to be there too", lambda: bundled(app.golive) > moment)


def backups(app: App, place: Path) -> list[str]:
    return sorted(path.name for path in (place / app.name / "production/db/base").iterdir())


def bundled(golive: Golive) -> float:
    with contextlib.suppress(FileNotFoundError):
        return max(float(each["made"]) for each in json.loads(golive.home.bundles.read_text()).values())
    return 0.0


def killed(golive: Golive, reached: Callable[[], bool], *args: object, key: str) -> None:
    """The command, ended as the kernel does it once something is so."""
    command = golive.start("recover", *args, "--key-file", keyfile(golive, key))
    until("the moment to kill it", lambda: reached() or command.poll() is not None, pause=0.001)
    assert command.poll() is None, command.communicate()
    command.send_signal(signal.SIGKILL)
    command.communicate()


def keyfile(golive: Golive, key: str) -> Path:
    path = golive.root.with_name(f"{golive.root.name}-key")
    path.write_text(key)
    path.chmod(0o600)
    return path


def lose(make_app: MakeApp, place: Path, *, tail: bool, passphrase: str | None = None) -> tuple[App, str, str]:
    """An app on a machine that is gone, with its disk; the key of its backups, and its certificate authority."""
    with new_home() as lost:
        app = make_app(lost, extra=RESOURCES.format(to=place))
        app.up().ok()
        if passphrase is not None:
            lost("vault", "passphrase", input=passphrase).ok()
        write(app, place, tail=tail)
        key = lost("backup", "key", "--yes").ok().out.strip()
        root = (lost.home.ca / "root.crt").read_text()
        runbook = lost("recover", "--runbook").ok().out
        assert f"golive recover --from {place}" in " ".join(runbook.split())
        assert app.domain in runbook
    assert not lost.root.exists()
    return app, key, root


def test_an_empty_machine_takes_the_place_of_a_lost_one(make_app: MakeApp, elsewhere: Path) -> None:
    app, key, root = lose(make_app, elsewhere, tail=False)
    with new_home() as golive:
        wrong = key[:-2] + ("aa" if key[-2:] != "aa" else "bb")
        said = golive("recover", "--from", elsewhere, "--key-file", "-", input=wrong).failed()
        assert "sealed with another key" in said.err
        done = golive("recover", "--from", elsewhere, "--json", "--key-file", "-", input=key).ok().json()

        again = replace(app, golive=golive)
        assert again.version() == "1"
        assert sql(again, "SELECT id FROM kept ORDER BY id").split() == ["1"]
        assert again.command("db", "shell", "cache", "--", "GET", "greeting").ok().out.strip() == "hello"
        assert done["left"] == []
        assert done["met"]
        assert done["apps"] == [f"{app.name}/production"]
        assert (golive.home.ca / "root.crt").read_text() == root
        assert golive.api.get("/v1/status")["replaced"] is None
        refused = golive("recover", "--from", elsewhere, "--key-file", "-", input=key).failed()
        assert "is not empty" in refused.err


@pytest.mark.nightly
def test_a_recovery_that_is_killed_goes_on(
    make_app: MakeApp, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, key, _ = lose(make_app, elsewhere, tail=True, passphrase="correct horse battery")
    with new_home() as golive:
        said = golive("recover", "--from", elsewhere / "nothing", "--key-file", "-", input=key).failed()
        assert "there is no host in" in said.err
        home = golive.home
        data = home.resource(app.name, "production", "db") / "data"
        for reached in (home.artifacts.exists, home.state.exists, data.with_name("data.restoring").exists):
            killed(golive, reached, "--from", elsewhere, key=key)
            assert "golive recover" in golive("status", "--all").failed().err
            if home.state.exists() and not (tmp_path / "passphrase").exists():
                said = golive("recover", "--from", elsewhere, "--key-file", "-", input=key).failed()
                assert "a passphrase opens them" in said.err
                (tmp_path / "passphrase").write_text("correct horse battery\n")
                monkeypatch.setenv("GOLIVE_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
        golive("recover", "--from", elsewhere, "--key-file", keyfile(golive, key), "--rehearse").ok()
        keyfile(golive, key).unlink()

        again = replace(app, golive=golive)
        assert again.version() == "1"
        assert sql(again, "SELECT id FROM kept ORDER BY id").split() == ["1", "2"]
        until("it to be only a rehearsal", lambda: golive.api.get("/v1/status")["replaced"])
        before = backups(app, elsewhere)
        assert "another machine took the place" in again.command("backup", "create").failed().err
        assert backups(app, elsewhere) == before
        golive("recover", "--take-over").ok()
        again.command("backup", "create").ok()
        assert len(backups(app, elsewhere)) > len(before)
        port = again.status()["resources"]["db"]["port"]
        assert f":{port}/" in again.command("run", "--", "printenv", "DATABASE_URL").ok().out
        assert not list(golive.root.glob(".recovering*"))
        assert "nothing to do" in again.up().ok().text


@pytest.mark.nightly
def test_a_recovery_with_a_damaged_file_says_how_to_have_the_rest(make_app: MakeApp, elsewhere: Path) -> None:
    app, key, _ = lose(make_app, elsewhere, tail=True)
    [id] = backups(app, elsewhere)
    for part in (elsewhere / app.name / "production/db/wal").glob("*/*"):
        part.write_bytes(part.read_bytes()[:-20])
    with new_home() as golive:
        asked = ("recover", "--from", elsewhere, "--key-file", "-")
        said = golive(*asked, input=key).failed()
        words = " ".join(said.err.split())
        assert "is damaged" in words
        assert f"--without {app.name}/production/db" in words
        assert f"golive restore --backup {id}" in words
        done = golive(*asked, "--without", f"{app.name}/production/db", input=key).ok()
        assert f"{app.name}/production/db: it runs, and has no tables" in " ".join(done.err.split())

        again = replace(app, golive=golive)
        assert sql(again, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"
        again.command("restore", "--backup", id).ok()
        again.command("restore", "swap", "--yes").ok()
        assert sql(again, "SELECT id FROM kept").split() == ["1"]
