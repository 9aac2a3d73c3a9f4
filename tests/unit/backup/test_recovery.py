from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from golive.backup import recovery, wal
from golive.backup.catalog import Broken, Manifest
from golive.backup.recovery import AsBackedUp, Latest, Until
from golive.errors import BackupFailed, BackupUntried

SIZE = 16 << 20
NOW = datetime(2026, 11, 21, 2, 45, tzinfo=UTC)
OLD = Manifest(
    source="shop/production/db", id="1", version="15.18", system="7", timeline=1, start_lsn="0/2000028",
    stop_lsn="0/2000100", segment=SIZE, begun=NOW, ended=NOW, plain=10, size=9, sha256="0" * 64, key="abc",
)  # fmt: skip
NEW = replace(OLD, id="2", ended=NOW + timedelta(hours=1))
NAMES = [wal.segment_name(number, 1, SIZE) for number in (2, 3, 4)] + ["000000010000000000000005.partial", "x.history"]


def test_segments_are_counted_over_the_boundary_of_a_log() -> None:
    assert wal.segment_name(255, 1, SIZE) == "0000000100000000000000FF"
    assert wal.segment_name(256, 1, SIZE) == "000000010000000100000000"
    for number in (0, 255, 256, 70_000):
        assert wal.segments([wal.segment_name(number, 3, SIZE)], SIZE) == [wal.Segment(number, 3)]
    assert wal.position("1/2000028") == (1 << 32) + 0x2000028


def test_gaps_are_found_and_what_is_before_the_backup_is_no_gap() -> None:
    assert wal.missing(NAMES, "0/2000028", SIZE) == []
    assert wal.missing([NAMES[0], *NAMES[2:]], "0/2000028", SIZE) == [3]
    assert wal.missing(NAMES[1:], "0/3000000", SIZE) == []
    assert wal.missing([], "0/2000028", SIZE) == []


def test_wal_goes_only_when_no_backup_needs_it() -> None:
    assert wal.superfluous(NAMES, "0/4000028", SIZE) == NAMES[:2]
    assert wal.superfluous(NAMES, "0/2000028", SIZE) == []


def test_the_newest_backup_that_leads_there_is_chosen() -> None:
    known = [OLD, Broken("1b", "damaged"), NEW]
    assert recovery.choose(known, Latest()) == NEW
    assert recovery.choose(known, Until(NOW + timedelta(minutes=30))) == OLD
    assert recovery.choose(known, Latest(), lambda each: each is NEW) == OLD
    assert recovery.choose(known, Latest(), lambda _: True) == NEW
    with pytest.raises(BackupFailed, match="no backup is older than 2026-11-21 02:44:59 UTC"):
        recovery.choose(known, Until(NOW - timedelta(seconds=1)))
    with pytest.raises(BackupFailed, match="no good backup"):
        recovery.choose([Broken("1b", "damaged")], AsBackedUp())


def test_a_gap_stops_a_restore_to_latest_only() -> None:
    names = [NAMES[0], *NAMES[2:]]
    with pytest.raises(BackupFailed, match=r"1 WAL segments are missing, the first is 000000010000000000000003"):
        recovery.require_wal(OLD, names, Latest())
    recovery.require_wal(OLD, names, Until(NOW))
    recovery.require_wal(OLD, NAMES, Latest())


def test_damage_that_looks_like_the_end_is_told_from_the_end() -> None:
    recovery.require_end(OLD, NAMES, Latest(), "LOG:  redo done at 0/4FFFFD8 system usage")
    recovery.require_end(OLD, NAMES, Latest(), "LOG:  redo done at 0/5000128 system usage")
    recovery.require_end(OLD, NAMES, Until(NOW), "LOG:  redo done at 0/2000128 system usage")
    with pytest.raises(BackupFailed, match="damaged at 0/3000128") as caught:
        recovery.require_end(OLD, NAMES, Latest(), "LOG:  redo done at 0/3000128 system usage")
    assert "1 whole segments follow" in str(caught.value.why)
    with pytest.raises(BackupFailed, match="damaged"):
        log = "LOG:  incorrect resource manager data checksum in record at 0/5000060\nLOG:  redo done at 0/5000028"
        recovery.require_end(OLD, NAMES, Latest(), log)


def test_what_ends_in_the_middle_of_a_record_is_no_damage(tmp_path: Path) -> None:
    torn = "LOG:  invalid magic number 0000 in WAL segment 000000010000000000000005, LSN 0/5002000, offset 8192"
    log = f"{torn}\nLOG:  redo done at 0/5001F00 system usage"
    file = tmp_path / "000000010000000000000005.partial"
    file.write_bytes(b"x" * 8192 + bytes(8192))
    recovery.require_end(OLD, NAMES, Latest(), log, tmp_path)
    file.write_bytes(b"x" * 8192 + bytes(8192) + b"x")
    with pytest.raises(BackupFailed, match="damaged"):
        recovery.require_end(OLD, NAMES, Latest(), log, tmp_path)
    with pytest.raises(BackupFailed, match="damaged"):
        recovery.require_end(OLD, NAMES, Latest(), log.replace("0000 in", "D100 in"), tmp_path)


def test_a_time_after_the_end_says_when_the_end_was() -> None:
    log = (
        "LOG:  last completed transaction was at log time 2026-11-21 02:50:00+00\n"
        "FATAL:  recovery ended before configured recovery target was reached"
    )
    error = recovery.refused(OLD, Until(NOW), log, 1 << 30)
    assert "ends before 2026-11-21 02:45:00 UTC" in error.what
    assert "02:50:00+00" in str(error.why)
    full = "PANIC:  could not write: No space left on device"
    assert recovery.refused(OLD, Latest(), full, 1 << 30).why == "the disk is full"
    assert recovery.refused(OLD, Latest(), "", 0).why == "the disk is full"
    killed = "LOG:  startup process (PID 7) was terminated by signal 9: Killed"
    assert isinstance(recovery.refused(OLD, Latest(), killed, 1 << 30), BackupUntried)


@pytest.mark.parametrize("name", ["wal", "it's 100% wal"])
def test_the_restore_command_takes_a_segment_or_what_was_received_of_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "A").write_text("whole")
    (folder / "B.partial").write_text("part")
    given = wal.restore_command(folder)

    def fetch(segment: str) -> int:
        command = given.replace("%%", "\0").replace("%f", segment).replace("%p", "got").replace("\0", "%")
        return subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode

    assert fetch("A") == 0
    assert (tmp_path / "got").read_text() == "whole"
    assert fetch("B") == 0
    assert (tmp_path / "got").read_text() == "part"
    assert fetch("C") != 0
    assert shlex.split(given)
