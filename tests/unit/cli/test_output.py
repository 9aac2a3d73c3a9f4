"""How lines are fitted, painted and spelled, on a terminal and off it."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from golive.cli import output
from golive.errors import GoliveError


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Open = Callable[[], tuple[Terminal, Terminal]]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Puts stdout and stderr on a terminal of 60 columns. Called in the test: pytest changes them in between."""

    def open_terminal() -> tuple[Terminal, Terminal]:
        out, err = Terminal(), Terminal()
        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return open_terminal


def test_colour_is_for_those_who_look(terminal: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal()
    assert output.paint("x", "red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.paint("x", "red") == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert output.paint("x", "red") == "x"
    assert not output.lively()


def test_every_colour_that_is_used_is_known() -> None:
    from golive.cli import logs

    assert {*output.STYLES.values(), *logs.LEVELS.values(), *logs.SOURCES} <= output.CODES.keys()


def test_a_table_through_a_pipe_has_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name", "value"), [("a", "x" * 300), ("bbbbbb", None), (3, "")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name    value", f"a       {'x' * 300}", "bbbbbb", "3"]


def test_a_table_on_a_terminal_fits_it(terminal: Open) -> None:
    out, _ = terminal()
    output.table(("name", "value", "from"), [("LONG_NAME", "word " * 30, "golive.toml:3")], fold=("value",))
    lines = out.getvalue().splitlines()
    assert len(lines) > 3
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 60 for line in lines)
    assert "LONG_NAME" in lines[1]
    assert lines[1].rstrip().endswith("golive.toml:3")


def test_without_colour_a_table_has_no_escapes(terminal: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    output.table(("name",), [("a",)])
    assert "\x1b" not in out.getvalue()


def test_a_table_shows_what_looks_like_markup(terminal: Open) -> None:
    out, _ = terminal()
    output.table(("key",), [("[services.api]",), (":smile:",)], fold=("key",))
    assert "[services.api]" in out.getvalue()
    assert ":smile:" in out.getvalue()


def test_an_error_says_what_where_why_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    log = "\n".join(f"line {n}" for n in range(30))
    error = GoliveError("it broke", where="step build", why="no disk", hint="make room", log=log)
    output.show_error(error, note="release 3 goes on serving")
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[:4] == ["error: it broke", "  where: step build", "  why:   no disk", "  its last lines:"]
    assert lines[4] == "    │ line 10"
    assert lines[23:] == ["    │ line 29", "  now:   release 3 goes on serving", "  hint:  make room"]


def test_a_list_in_an_error_keeps_its_shape(terminal: Open) -> None:
    _, err = terminal()
    text = "2 problems:\n  golive.toml:3: services.api: " + "is wrong " * 12 + "\n    hint: mend it"
    output.show_error(GoliveError(text))
    lines = err.getvalue().splitlines()
    assert all(len(line) <= 60 + len("\x1b[1;31m\x1b[0m") for line in lines)
    assert lines[1].startswith("    golive.toml:3:")
    assert lines[2].startswith("    ")
    assert lines[-1] == "      hint: mend it"


def test_a_long_word_stays_whole(terminal: Open) -> None:
    terminal()
    path = "/var/" + "x" * 90
    assert path in output.wrap(f"look at {path} now", "  ", "  ")


@pytest.mark.parametrize(("room", "shown"), [(None, "one two three"), (13, "one two three"), (8, "one two…"), (0, "…")])
def test_cut(room: int | None, shown: str) -> None:
    assert output.cut("one  two\nthree", room) == shown


def test_a_stream_without_a_character_gets_one_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.prepare()
    print("a → b · c … ✓ ü \udcff")
    sys.stdout.flush()
    assert raw.getvalue() == b"a -> b - c ... ok ? ?\n"
    assert output.mark("done", sys.stdout) == "ok"


@pytest.mark.parametrize(
    ("seconds", "age", "ago"),
    [(0.2, "0 s", "0 s ago"), (59, "59 s", "59 s ago"), (200, "3 m 20 s", "3 m ago"), (90000, "1 d 1 h", "1 d ago")],
)
def test_ages(seconds: float, age: str, ago: str) -> None:
    assert output.age(time.time() - seconds) == age
    assert output.ago((datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()) == ago


def test_an_age_is_never_negative_and_may_be_unknown() -> None:
    assert output.ago(time.time() + 100) == "0 s ago"
    assert output.ago(None) == ""


def test_json_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    output.data({"a": os.path})
    assert capsys.readouterr().out.startswith('{\n  "a"')
