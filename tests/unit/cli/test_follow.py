"""A deployment as it is told, from events that were recorded; and how its end becomes words and an exit code."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from golive.cli import deploy, follow, output
from golive.cli.follow import Held, Narrator, going_on, now_line, step_line, tell
from golive.daemon.client import Unreachable
from golive.errors import BuildFailed, ChecksFailed, GoliveError

FIRST = [
    {"type": "step", "name": "edge", "state": "running"},
    {"type": "progress", "what": "envoy 1.40.0", "done": 0, "total": 34_000_000},
    {"type": "progress", "what": "envoy 1.40.0", "done": 17_000_000, "total": 34_000_000},
    {"type": "note", "text": "port 80: taken by nginx (pid 812)"},
    {"type": "step", "name": "edge", "state": "done", "detail": "https://localhost:8443", "seconds": 4.21},
    {"type": "step", "name": "build", "state": "running"},
    {"type": "log", "source": "api", "line": "Installed 24 packages in 80ms"},
    {"type": "step", "name": "build", "state": "done", "detail": "2 of 2 built, 573.4 KB", "seconds": 0.106},
    {"type": "step", "name": "resources", "state": "running"},
    {"type": "step", "name": "resources", "state": "skipped", "detail": "", "seconds": 0.001},
    {"type": "step", "name": "shift", "state": "running"},
    {"type": "step", "name": "shift", "state": "done", "detail": "release 1 is live", "seconds": 0.09},
]
RESULT = {
    "url": "https://shop.localhost",
    "release": 1,
    "probes": {"requests": 44, "failed": 0},
    "checks": [
        {"name": "environment", "ok": True, "evidence": "11 variables declared, all valid"},
        {"name": "service web", "ok": True, "evidence": "GET / → 200 over https"},
    ],
}
ROW = {"kind": "deploy", "state": "done", "previous": None, "started_at": 100.0, "ended_at": 103.2}


def narrate(events: list[dict[str, Any]]) -> Narrator:
    narrator = Narrator("shop · production")
    for event in events:
        narrator.event(event)
    narrator.close()
    return narrator


def test_without_a_terminal_every_line_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    narrate(FIRST)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "shop · production",
        "    fetching envoy 1.40.0, 34.0 MB",
        "    port 80: taken by nginx (pid 812)",
        "  ✓ edge        https://localhost:8443                                     4.2 s",
        "  ✓ build       2 of 2 built, 573.4 KB                                    106 ms",
        "  ✓ shift                                                                  90 ms",
    ]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "70")
    narrator = Narrator("shop")
    shown = []
    for event in FIRST:
        narrator.event(event)
        narrator._draw(1)
        shown.append(stderr.getvalue().rpartition("\x1b[K")[2])
        assert len(shown[-1].rstrip("\n")) <= 70
    narrator.close()
    assert "fetching envoy 1.40.0: 17.0 MB of 34.0 MB" in shown[2]
    assert "api: Installed 24 packages in 80ms" in shown[6]
    left = [line.rpartition("\x1b[K")[2] for line in stderr.getvalue().split("\n")]
    assert [line.split()[:2] for line in left if line][2:] == [["✓", "edge"], ["✓", "build"], ["✓", "shift"]]
    assert "fetching" not in "".join(left)


def test_what_a_new_daemon_tells_again_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = narrate(FIRST)
    capsys.readouterr()
    narrator.from_the_beginning()
    steps = [event for event in FIRST if event["type"] == "step"]
    for event in [*steps, {"type": "step", "name": "verify", "state": "done", "detail": "", "seconds": 0.5}]:
        narrator.event(event)
    assert [line.split()[:2] for line in capsys.readouterr().err.splitlines()] == [["✓", "verify"]]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_long_detail_is_broken_under_itself(width: int) -> None:
    event = {"name": "start", "state": "done", "detail": "one two three four " * 8, "seconds": 61}
    lines = step_line(event, width).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= max(width, 48) for line in lines)
    assert lines[0].endswith("1 m 1 s")
    assert all(line.startswith(" " * 16) for line in lines[1:])


def test_why_a_step_failed_is_in_the_error_alone() -> None:
    event = {"name": "build", "state": "failed", "detail": "no such package", "seconds": 2}
    assert step_line(event, 80).split() == ["✗", "build", "2.0", "s"]


def test_a_silent_build_shows_what_runs_and_not_what_was_said_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "api: go: downloading google.golang.org/grpc v1.75.0"
    assert going_on(said, "api: go build ./cmd", 2.9) == said
    assert going_on(said, "api: go build ./cmd", 75.2) == "api: go build ./cmd (silent for 1 m 15 s)"
    assert going_on("fetching go 1.24: 3 MB", "", 10) == "fetching go 1.24: 3 MB (silent for 10.0 s)"
    assert going_on("", "", 100) == ""

    now = 1000.0
    monkeypatch.setattr("golive.cli.follow.time.monotonic", lambda: now)
    narrator = Narrator("shop")
    lines = [
        ("api", "$ go build -o app ./cmd  # Go 1.24.3"),
        ("api", "go: downloading x v1"),
        ("web", "source: 3 files"),
    ]
    seen = []
    narrator.event({"type": "step", "name": "build", "state": "running"})
    for source, line in lines:
        narrator.event({"type": "log", "source": source, "line": line})
        now += 20
        seen.append(narrator._what())
    narrator.close()
    assert seen == [
        "api: go build -o app ./cmd (silent for 20.0 s)",
        "api: go build -o app ./cmd (silent for 20.0 s)",
        "web: source: 3 files (silent for 20.0 s)",
    ]


def test_the_line_of_now_fits() -> None:
    assert len(now_line("build", "x" * 300, 75, 80)) <= 76
    assert now_line("ready", "", 0.5, 80) == "ready"


class Daemon:
    """What the API says about one deployment."""

    def __init__(self, row: dict[str, Any], trust: dict[str, Any] | None = None) -> None:
        self._row = row
        self._trust = trust
        self.home = Path("home")

    def get(self, path: str, **_: Any) -> Any:
        return {"trust": self._trust} if path == "/v1/daemon" else self._row


def ended(row: dict[str, Any] | None = None, error: GoliveError | None = None, **end: Any) -> tuple[int, Any]:
    daemon = Daemon({**ROW, **(row or {})}, {"command": "sudo trust"})
    event = {"state": "done", "result": RESULT, "error": error.to_json() if error else None, **end}
    return tell(daemon, 1, event, False), event  # type: ignore[arg-type]


def test_the_first_deploy_says_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended()[0] == 0
    said = capsys.readouterr()
    assert said.out == "https://shop.localhost\n"
    assert "release 1 is live, after 3.2 s" in said.err
    assert "✓ service web  GET / → 200 over https" in said.err
    assert "environment" not in said.err  # the line of `validate` has said it
    assert [line.split()[:2] for line in said.err.splitlines()[-3:]] == [
        ["golive", "trust"],
        ["golive", "status"],
        ["golive", "logs"],
    ]


def test_later_ones_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    ended(row={"previous": 3})
    assert "golive trust" not in capsys.readouterr().err


def test_requests_that_failed_are_a_check_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    ended(result={**RESULT, "probes": {"requests": 44, "failed": 2}})
    assert "✗ failed requests  44 requests through the edge during the switch, 2 failed" in capsys.readouterr().err


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(result={"nothing_to_do": True, "release": 4, "url": "https://shop.localhost"})[0] == 0
    said = capsys.readouterr()
    assert said.err == "nothing to do: release 4 is live and unchanged\n"
    assert said.out == "https://shop.localhost\n"


def test_a_failure_says_what_still_serves(capsys: pytest.CaptureFixture[str]) -> None:
    error = BuildFailed("the build failed", log="no such package", hint="mend it")
    code, _ = ended(row={"state": "failed", "previous": 3}, error=error, state="failed", result=None)
    said = capsys.readouterr()
    assert code == 1
    assert said.out == ""
    assert said.err.splitlines() == [
        "",
        "error: the build failed",
        "  its last lines:",
        "    │ no such package",
        "  now:   release 3 goes on serving",
        "  hint:  mend it",
    ]


def test_what_goes_wrong_after_the_change_does_not_unmake_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = ended(error=GoliveError("the disk is full"))
    said = capsys.readouterr()
    assert code == 0
    assert said.out == "https://shop.localhost\n"
    assert "warning: the disk is full" in said.err


def test_checks_that_were_not_made_fail_the_command_although_it_is_live(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = ended(error=ChecksFailed("release 2 is live, but its required checks were interrupted"))
    said = capsys.readouterr()
    assert code == 1
    assert said.out == "https://shop.localhost\n"
    assert "error: release 2 is live" in said.err


def test_json_is_the_deployment(capsys: pytest.CaptureFixture[str]) -> None:
    daemon = Daemon(ROW)
    assert tell(daemon, 1, {"state": "done", "result": RESULT, "error": None}, True) == 0  # type: ignore[arg-type]
    said = capsys.readouterr()
    assert '"kind": "deploy"' in said.out
    assert said.err == ""


def test_an_end_that_nobody_knows() -> None:
    with pytest.raises(GoliveError, match="is not known"):
        tell(Daemon(ROW), 9, {}, False)  # type: ignore[arg-type]


class Pressed(Daemon):
    """Ctrl-C is pressed while it takes a deployment."""

    def __init__(self) -> None:
        super().__init__({**ROW, "previous": 3})
        self.asked: list[str] = []

    def send(self, _: str, path: str, body: Any = None) -> Any:
        self.asked.append(path)
        if path == "/v1/deployments":
            signal.raise_signal(signal.SIGINT)
            return {"deployment": 7}
        return {"cancelled": True}


@pytest.mark.parametrize("detach", [False, True])
def test_ctrl_c_while_it_is_handed_over_calls_it_off(
    detach: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, daemon, place = signal.getsignal(signal.SIGINT), Pressed(), SimpleNamespace(app="shop", environment="p")
    monkeypatch.setattr(deploy, "client", lambda: daemon)
    code = deploy._submit(place, {"kind": "deploy"}, False, detach)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
    if detach:  # it is said that it is queued, as was asked for
        assert (code, daemon.asked) == (0, ["/v1/deployments"])
        assert "deployment 7 is queued" in said
    else:
        assert (code, daemon.asked) == (130, ["/v1/deployments", "/v1/deployments/7/cancel"])
        assert "undone: release 3 goes on serving" in said


def test_a_second_ctrl_c_is_not_kept() -> None:
    with pytest.raises(KeyboardInterrupt), Held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


class Restarting(Daemon):
    """Goes away in the middle of a deployment; its successor has the journal."""

    def __init__(self) -> None:
        super().__init__(ROW)
        self.calls = 0

    def stream(self, *_: Any) -> Iterator[dict[str, Any]]:
        self.calls += 1
        yield from [e for e in FIRST if e["type"] == "step"]
        if self.calls == 1:
            raise Unreachable("the daemon went away")
        yield {"type": "end", "state": "done", "result": RESULT, "error": None}


def test_through_a_restart_of_the_daemon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("golive.daemon.client.connect", lambda *_, **__: None)
    assert follow.follow(Restarting(), 1, "shop", as_json=False) == 0  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.count("✓ build") == 1
    assert said.count("went away") == 1


class Killed(Daemon):
    """The daemon ends between its last event and the next question."""

    def __init__(self) -> None:
        super().__init__(ROW)
        self.gone = True

    def get(self, path: str, **query: Any) -> Any:
        if self.gone:
            raise Unreachable("no golive daemon answers", why="Connection reset by peer")
        return super().get(path, **query)

    def come_back(self, *_: Any, **__: Any) -> None:
        self.gone = False


def test_a_daemon_killed_after_the_end_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Killed()
    monkeypatch.setattr("golive.daemon.client.connect", daemon.come_back)
    assert tell(daemon, 1, {"state": "done", "result": RESULT, "error": None}, False) == 0  # type: ignore[arg-type]


class Interrupted(Daemon):
    def __init__(self, cancelled: bool | BaseException) -> None:
        super().__init__(ROW)
        self._cancelled = cancelled

    def stream(self, *_: Any) -> Iterator[dict[str, Any]]:
        yield FIRST[0]
        raise KeyboardInterrupt

    def send(self, *_: Any) -> Any:
        if isinstance(self._cancelled, BaseException):
            raise self._cancelled
        return {"cancelled": self._cancelled}


@pytest.mark.parametrize(
    ("cancelled", "said"),
    [
        (True, "undone: nothing is live, as before"),
        (False, "traffic has moved already; golive rollback goes back"),
        (KeyboardInterrupt(), "left to the daemon; golive status shows what is live"),
    ],
)
def test_ctrl_c(cancelled: Any, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow.follow(Interrupted(cancelled), 1, "shop", as_json=False) == 130  # type: ignore[arg-type]
    assert capsys.readouterr().err.splitlines()[-1] == said


def test_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "unicode_ok", lambda *_: False)
    assert step_line({"name": "build", "state": "done", "detail": "", "seconds": 1}, 80).split()[0] == "ok"


def test_ctrl_c_leaves_a_canary_alone(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [("ready", "done"), ("canary", "running"), ("canary", "done"), ("canary", "running")]
    events = [{"type": "step", "name": name, "state": state, "seconds": 1.0} for name, state in steps]

    class Interrupted:
        home = Path("/nowhere")

        def stream(self, *_: object) -> Iterator[dict[str, Any]]:
            yield from events
            raise KeyboardInterrupt

    daemon: Any = Interrupted()
    assert follow.follow(daemon, 1, "shop", as_json=False) == 130
    assert "the canary goes on; golive traffic shows how it does" in capsys.readouterr().err
