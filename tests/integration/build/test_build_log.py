"""The log of a build: kept, masked, and what it told is known by line."""

from __future__ import annotations

import base64
from pathlib import Path

from golive.build.build_log import KEEP, BuildLog, forget_old, forget_unsearched
from golive.secret import Mask, Secret

VALUE = "hunter2-and-more-4711"


def made(folder: Path) -> tuple[BuildLog, list[str]]:
    told: list[str] = []
    return BuildLog(
        folder / "7/web.log", "web", {"KEY": VALUE, "MODE": "production"}, Mask([Secret(VALUE)]), told.append
    ), told


def test_lines_that_tell_a_value_are_known_and_masked(tmp_path: Path) -> None:
    log, told = made(tmp_path)
    encoded = base64.b64encode(f"u:{VALUE}".encode()).decode()
    for line in ("NODE_ENV=production", f"key is {VALUE}", "nothing", f"auth {encoded}"):
        log(line)
    assert log.close()
    log.settle()
    assert [(f.name, f.line, f.file) for f in log.found] == [("KEY", n, str(tmp_path / "7/web.log")) for n in (2, 4)]
    assert log.found[0].column == 8
    text = log.file.read_text()
    assert text.splitlines() == told
    assert VALUE not in text
    assert encoded[8:-4] not in text
    assert (log.file.stat().st_mode & 0o777, log.file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_one_line_makes_no_file(tmp_path: Path) -> None:
    log, told = made(tmp_path)
    log("unchanged: artifact 3f786850e387 is there already")
    assert (log.close(), told, list(tmp_path.iterdir())) == (
        False,
        ["unchanged: artifact 3f786850e387 is there already"],
        [],
    )
    log.drop()


def test_only_lines_that_may_hold_a_token_are_worth_a_search(tmp_path: Path) -> None:
    log, _ = made(tmp_path)
    for line in (
        "source: 12 files, 1.2 MB",
        "+ requests==2.32.3",
        "built web as 3c796d11eb97 in 56 ms",
        "✓ Compiled in 2.1s",
    ):
        log(line)
    assert not log.suspicious
    log("key " + "sk_" + "live_a8Sjd72kXqLm0PzR4tVb9WnY")
    assert log.suspicious
    log.close()


def test_what_is_dropped_or_was_left_by_a_kill_goes(tmp_path: Path) -> None:
    log, _ = made(tmp_path)
    log("one")
    log("two")
    log.drop()
    assert list(tmp_path.iterdir()) == []
    log, _ = made(tmp_path)
    log("one")
    log("two")
    log.close()
    forget_unsearched(tmp_path)
    assert list((tmp_path / "7").iterdir()) == []


def test_logs_of_the_newest_deployments_are_kept(tmp_path: Path) -> None:
    for number in range(1, KEEP + 12):
        (tmp_path / str(number)).mkdir()
    forget_old(tmp_path)
    assert {int(p.name) for p in tmp_path.iterdir()} == set(range(12, KEEP + 12))
    forget_old(tmp_path / "nowhere")
