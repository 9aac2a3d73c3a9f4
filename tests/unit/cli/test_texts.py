"""Rows and sentences that commands make from what the daemon says."""

from __future__ import annotations

import plistlib
import time
from pathlib import Path
from typing import Any

import pytest

from golive.cli import config, doctor, env, logs, main, plan, scale, service, standby, status
from golive.errors import GoliveError, UsageError


def instance(**given: Any) -> dict[str, Any]:
    now = time.time()
    plain = {"slot": 0, "state": "ready", "reason": "", "restarts": 0, "memory": 72_200_000, "pid": 7, "port": 8001}
    return {**plain, "since": now - 61, **given}


def web(*instances: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {"kind": "web", "instances": list(instances), "wanted": len(instances), **given}


def test_one_instance_needs_no_number() -> None:
    assert status.service_rows("api", web(instance())) == [("api", "web", "ready", "1 m 1 s", "72.2 MB", 7, 8001)]


def test_several_have_numbers_and_only_restarts_are_counted() -> None:
    rows = status.service_rows("api", web(instance(), instance(slot=1, restarts=2)))
    assert [(row[0], row[2]) for row in rows] == [("api.0", "ready"), ("api.1", "ready (2 restarts)")]


def test_what_is_wrong_is_said() -> None:
    [row] = status.service_rows("api", web(instance(state="backing_off", reason="exited with 3", pid=None)))
    assert row[2:4] == ("backing off: exited with 3", "")


def test_services_without_a_process() -> None:
    assert status.service_rows("page", {"kind": "static", "instances": []})[0][2] == "served"
    assert status.service_rows("jobs", {"kind": "worker", "instances": []})[0][2] == "none"
    cron = {"kind": "cron", "instances": [], "schedule": "@daily", "last_run": None}
    assert status.service_rows("nightly", cron)[0][1:3] == ("cron @daily", "not due yet")
    cron["last_run"] = {"due_at": time.time() - 7200, "outcome": "exited with 1"}
    assert status.service_rows("nightly", cron)[0][2] == "exited with 1, 2 h ago"
    cron["last_run"] = {"due_at": time.time(), "outcome": None}
    assert status.service_rows("nightly", cron)[0][2] == "running, 0 s ago"


def test_old_generations_in_words() -> None:
    old = [
        {"service": "api", "release": 2, "state": "draining", "seconds_left": 90, "instances": 1},
        {"service": "jobs", "release": 2, "state": "draining", "seconds_left": 20, "instances": 1},
        {"service": "web", "release": 1, "state": "warm", "seconds_left": None, "instances": 0},
    ]
    assert status.old_lines(old) == [
        "release 2 of api, jobs: open requests end on it, 1 m 30 s more at most",
        "release 1 of web: kept warm for a rollback",
    ]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (("A=1", "B=x=y"), {"A": "1", "B": "x=y"}),
        (("A=",), {"A": ""}),
        (("A", "value"), {"A": "value"}),
        (("URL", "postgres://h/db?a=b"), {"URL": "postgres://h/db?a=b"}),
        (("A=with space", "B=ü"), {"A": "with space", "B": "ü"}),
    ],
)
def test_assignments(given: tuple[str, ...], read: dict[str, str]) -> None:
    assert env.values(given) == read


def test_a_value_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    assert env.values(("KEY",)) == {"KEY": "two\nlines"}
    with pytest.raises(UsageError, match="only one value"):
        env.values(("A", "B", "C"))
    with pytest.raises(UsageError, match="no name before"):
        env.values(("=value",))


def test_where_a_value_comes_from() -> None:
    def origin(**given: Any) -> str:
        plain = {"origin": "set", "set_by": "ann@host", "set_at": time.time() - 180, "declared": True}
        return env._origin({**plain, **given})

    assert origin() == "set 3 m ago"
    assert origin(set_by="golive") == "generated 3 m ago"
    assert origin(declared=False) == "set 3 m ago, not declared"
    assert origin(origin="missing").startswith("MISSING")
    assert origin(origin="resource") == "its resource"


def test_a_plan_in_the_order_of_a_deploy() -> None:
    found = {
        "missing": ["env.KEY: has no value"],
        "resources": {"db": "create", "cache": "keep"},
        "migrations": ["004_x.sql"],
        "services": {
            "web": {"action": "keep", "artifact": "cached", "overlap": True},
            "api": {"action": "start", "artifact": "to build", "overlap": False},
            "jobs": {"action": "reuse", "artifact": "cached", "overlap": True},
        },
        "removed_services": ["old"],
        "settings": ["services.api.scale.max: 3 → 5"],
    }
    assert plan.rows(found) == [
        ("missing", "env.KEY", "has no value"),
        ("resource", "db", "made"),
        ("migration", "004_x.sql", "applied"),
        ("service", "web", "unchanged"),
        ("service", "api", "new instances, to be built; its requests wait while it changes over"),
        ("service", "jobs", "back to instances that are still warm"),
        ("service", "old", "stopped: no longer in golive.toml"),
        ("setting", "services.api.scale.max", "3 → 5"),
    ]


def test_migrations_that_nobody_could_tell() -> None:
    assert plan._migration("could not be asked: no database") == ("migration", "", "not known: no database")


def test_a_blueprint_by_table() -> None:
    values = {
        "name": "shop",
        "services": {"api": {"scale": {"min": 1}, "spa": True, "route": ["/a", "/b"], "port": None}},
    }
    flat = config.flatten(values)
    assert flat["services.api.scale.min"] == 1
    rows = [(path, config.text(value), "golive.toml:1") for path, value in flat.items()]
    assert [row[:2] for row in config.grouped(rows)] == [
        ("name", "shop"),
        ("", ""),
        ("[services.api]", ""),
        ("  scale.min", "1"),
        ("  spa", "true"),
        ("  route", "/a, /b"),
        ("  port", "–"),
    ]
    assert config.grouped([("a.b", "c", "detected from " + "x" * 50)])[-1][2] == "…" + "x" * 29


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("{not json", "{not json"),
        ('{"level": "info", "message": "hello", "user": 3, "time": "x"}', "hello user=3"),
        ('{"event": "started", "port": 1}', "started port=1"),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_structured_lines_are_read_out(text: str, shown: str) -> None:
    assert logs.message(text) == shown


def test_lines_of_several_services_stand_in_columns() -> None:
    printer = logs.Printer(alone=False)
    line = {"time": None, "source": "api.0", "level": None, "text": "x"}
    assert printer.text(line) == "         api.0  x"
    assert printer.text({**line, "source": "nightly.0"}) == "         nightly.0 x"
    assert printer.text(line) == "         api.0     x"
    assert logs.Printer(alone=True).text(line) == "         x"


def test_a_service_keeps_its_colour() -> None:
    assert logs.colour("api.0") == logs.colour("api.7")
    assert len({logs.colour(f"{name}.0") for name in ("web", "api", "jobs", "db", "cache")}) > 1


@pytest.mark.parametrize("item", ["api", "api=", "=3", "api=x", "api=-1", "api=1.5"])
def test_counts_that_are_none(item: str) -> None:
    with pytest.raises(UsageError, match="is not SERVICE=COUNT"):
        scale.count_of(item)


def test_a_count() -> None:
    assert scale.count_of("api=3") == ("api", 3)


ARGV = ["/opt/my apps/python", "-m", "golive", "daemon", "run"]


def test_the_systemd_unit() -> None:
    text = service.systemd_unit(Path("/var/lib/go live"), ARGV, system=True)
    lines = text.splitlines()
    assert 'ExecStart="/opt/my apps/python" -m golive daemon run' in lines
    assert 'Environment="GOLIVE_HOME=/var/lib/go live"' in lines
    assert {"KillMode=process", "Restart=on-failure", "Delegate=yes", "WantedBy=multi-user.target"} <= set(lines)
    own = service.systemd_unit(Path("/h"), ARGV, system=False)
    assert "WantedBy=default.target" in own
    assert "network-online" not in own


@pytest.mark.parametrize(
    ("word", "quoted"),
    [("plain-1.2/x=y", "plain-1.2/x=y"), ("a b", '"a b"'), ("50%", '"50%%"'), ('q"', '"q\\""'), ("b\\", '"b\\\\"')],
)
def test_words_as_systemd_reads_them(word: str, quoted: str) -> None:
    assert service._quoted(word) == quoted


def test_installing_twice_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = tmp_path / "systemd/golive.service"
    enabled: list[Path] = []
    monkeypatch.setattr(service, "_file", lambda *, system: unit)
    monkeypatch.setattr(service, "_enable", lambda path, *, system: enabled.append(path) or 0)
    monkeypatch.setattr(service.sys, "platform", "linux")
    monkeypatch.setenv("GOLIVE_HOME", str(tmp_path))
    assert main.run(["service", "install"]) == 0
    assert unit.read_text().startswith("[Unit]")
    assert main.run(["service", "install"]) == 0
    assert enabled == [unit]
    assert capsys.readouterr().err.splitlines() == [f"wrote {unit}", f"nothing to do: {unit} is in place"]


def test_uninstalling_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service, "_file", lambda *, system: tmp_path / "golive.service")
    assert main.run(["service", "uninstall"]) == 0
    assert capsys.readouterr().err == "nothing to do: it is not installed\n"


def test_a_tool_that_fails_is_an_error_with_its_words() -> None:
    with pytest.raises(GoliveError, match="failed") as caught:
        service._call(["sh", "-c", "echo no bus >&2; exit 1"])
    assert caught.value.why == "no bus"


def test_the_launchd_job() -> None:
    read = plistlib.loads(service.launchd_plist(Path("/h"), ARGV))
    assert read["ProgramArguments"] == ARGV
    assert read["AbandonProcessGroup"] is True
    assert read["EnvironmentVariables"] == {"GOLIVE_HOME": "/h"}


def test_a_path_that_is_too_long_for_a_socket_is_found() -> None:
    from golive.home import Home

    assert doctor._sockets(Home(Path("/x"))).ok
    assert doctor._sockets(Home(Path("/" + "x" * 200))).ok  # it moves to a short path then


def test_the_standbys_of_a_host() -> None:
    db: dict[str, Any] = {"name": "shop/production/db", "state": "follows", "behind_bytes": 2048, "behind_files": 1}
    db |= {"behind_seconds": 3.0, "last_write": None}
    found: list[dict[str, Any]]
    found = [{"since": 400.0, "looked": 995.0, "databases": [db]}, {"since": None, "looked": 400.0, "databases": []}]
    assert standby.follower_lines(found, 1000.0) == [
        "a standby follows this host, begun 10 m 0 s ago; it looked 5.0 s ago",
        "  shop/production/db: follows, 2.0 KB, 1 files and 3.0 s behind",
        "warning: a standby follows this host; it has not looked since 10 m 0 s ago",
    ]


def test_how_a_database_is_backed_up() -> None:
    def line(**changes: Any) -> str:
        plain = {"last": time.time() - 7200, "drilled": None, "receiving": "ready", "trouble": None, "soon_full": False}
        return status.backup_lines({"db": {**plain, "damaged": None, **changes}})[-1 if "damaged" in changes else 0]

    assert line() == "db: backed up 2 h ago, unproven"
    assert line(drilled=time.time() - 60) == "db: backed up 2 h ago, proven 1 m ago"
    assert (
        line(receiving="backing_off") == "db: backed up 2 h ago, unproven, writes since are not received (backing off)"
    )
    soon = "db: not backed up yet, the first backup is made within minutes"
    assert line(last=None) == line(last=None, receiving="stopped") == soon
    assert line(last=None, trouble="the disk is full") == "db: not backed up yet"
    wrong = {"at": time.time() - 60, "what": "it is cut off"}
    assert line(damaged=wrong) == "db: a backup failed 1 m ago: it is cut off"
    assert line(damaged=wrong, trouble="it is cut off: why") == "db: it is cut off: why"
    assert line(last=None, receiving="backing_off").endswith("yet, its writes cannot be received (backing off)")
