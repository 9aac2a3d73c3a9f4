"""Errors become text and exit codes in one place; help and completion come without the daemon."""

from __future__ import annotations

import click
import pytest

from golive import __version__
from golive.cli import main
from golive.errors import Cancelled, Conflict, GoliveError, UsageError


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main.golive, "main", broken)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (GoliveError("it broke"), 1, "error: it broke"),
        (Conflict("in the way"), 1, "error: in the way"),
        (UsageError("not so"), 2, "error: not so"),
        (Cancelled("stopped"), 130, "error: stopped"),
        (KeyboardInterrupt(), 130, "stopped"),
        (click.Abort(), 130, "stopped"),
        (click.UsageError("Bad thing."), 2, "error: bad thing"),
        (click.BadParameter("No"), 2, "error: invalid value: No"),
        (RuntimeError("surprise"), 1, "error: golive itself failed"),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    fails(monkeypatch, error)
    assert main.run(["up"]) == code
    text = capsys.readouterr()
    assert said in text.err
    assert "Traceback" not in text.err
    assert text.out == ""


def test_what_a_command_returns_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.golive, "main", lambda *_, **__: 7)
    assert main.run(["run", "false"]) == 7
    monkeypatch.setattr(main.golive, "main", lambda *_, **__: None)
    assert main.run(["up"]) == 0


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, RuntimeError("surprise"))
    monkeypatch.setenv("GOLIVE_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main.run(["up"])


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (["stauts"], "there is no command 'stauts'", "golive status"),
        (["xyzzy"], "there is no command 'xyzzy'", "golive -h lists them"),
        (["logs", "--folow"], "there is no option --folow", "golive logs --follow"),
        (["-C", "x", "status"], "there is no option -C", "options come after the command: golive status -C …"),
        (["env", "set"], "missing argument 'NAME[=VALUE]…'", "golive env set -h"),
        (["rollback", "one"], "invalid value for '[RELEASE]': 'one' is not a valid integer", "golive rollback -h"),
        (
            ["logs", "-n", "-1"],
            "invalid value for '-n' / '--lines': -1 is not in the range 0<=x<=100000",
            "golive logs",
        ),
        (["completion", "tcsh"], "invalid value for '{bash|fish|zsh}': 'tcsh' is not one of", "golive completion -h"),
    ],
)
def test_wrong_usage_has_the_form_of_every_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], what: str, hint: str
) -> None:
    assert main.run(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {what}")
    assert f"hint:  {hint}" in said
    assert "Usage:" not in said


def test_golive_alone_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    said = capsys.readouterr().out
    assert [name for name in main.COMMANDS if f"  {name} " not in said] == []
    assert all(len(line) <= 80 for line in said.splitlines())


def test_the_groups_of_the_help_hold_every_command_once() -> None:
    names = [name for group in main.GROUPS.values() for name in group]
    assert sorted(names) == sorted(main.COMMANDS)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "-h"]) == 0
    said = capsys.readouterr().out
    assert "Example" in said
    assert f"golive {name}" in said
    assert all(len(line) <= 80 for line in said.splitlines())


READS = [
    "config",
    "plan",
    "status",
    "releases",
    "logs",
    "env ls",
    "doctor",
    "engines",
    "audit",
    "daemon status",
    "trust",
]


@pytest.mark.parametrize("words", READS)
def test_every_command_that_reads_takes_json(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*words.split(), "-h"]) == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([flag]) == 0
    assert capsys.readouterr().out == f"golive {__version__}\n"
