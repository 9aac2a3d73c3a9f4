"""Output files on a real disk: rotation under a writer, reading back, following."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from golive.supervise import logs, rotation
from golive.supervise.rotation import Index, LogKeeper, archives, index_path, note, rotate

from .apps import until

WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
for i in range(int(sys.argv[2])):
    os.write(fd, b"line %d %s\\n" % (i, b"x" * 80))
"""


def texts(path: Path, **options: object) -> list[str]:
    return [line.text for line in logs.read([path], **options)]  # type: ignore[arg-type]


def test_no_byte_is_lost_while_a_program_writes(tmp_path: Path) -> None:
    if not _can_collapse(tmp_path):
        pytest.skip("this file system cannot cut the beginning off a file")
    path, count = tmp_path / "web.1.log", 60_000
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(count)])
    while writer.poll() is None:
        if path.exists() and path.stat().st_size > 200_000:
            rotate(path, keep=90)
    assert len(archives(path)) >= 1
    assert [int(text.split()[1]) for text in texts(path, lines=None)] == list(range(count))


def test_where_a_file_cannot_be_cut_it_is_copied_and_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_collapse", lambda file, cut: False)
    path = tmp_path / "web.1.log"
    with path.open("ab", buffering=0) as program:
        for turn in range(4):
            program.write(b"".join(b"line %d\n" % (turn * 5000 + i) for i in range(5000)))
            if turn < 3:
                size = path.stat().st_size
                assert rotate(path) == size
                assert path.stat().st_size == 0
    assert [int(text.split()[1]) for text in texts(path, lines=None)] == list(range(20_000))


def test_keeps_so_many_archives(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    for turn in range(5):
        with path.open("ab") as file:
            file.write(b"turn %d\n" % turn * 2000)
        rotate(path, keep=3)
    assert [a.name for a in archives(path)] == [f"web.1.log.{n}.gz" for n in (1, 2, 3)]
    assert gzip.decompress(archives(path)[0].read_bytes()).endswith(b"turn 4\n") or path.stat().st_size > 0
    assert texts(path, lines=1) == ["turn 4"]
    assert all(p.stat().st_mode & 0o077 == 0 for p in tmp_path.iterdir() if p != path)
    rotation.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_time_of_lines_without_one(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    path.write_bytes(b"one\ntwo\n")
    note(path, 8, 1_800_000_000)
    with path.open("ab") as file:
        file.write(b"three\n")
    note(path, 14, 1_800_000_010)
    lines = list(logs.read([path]))
    assert [(line.text, line.time.timestamp()) for line in lines if line.time] == [
        ("one", 1_800_000_000),
        ("two", 1_800_000_000),
        ("three", 1_800_000_010),
    ]
    since = datetime.fromtimestamp(1_800_000_005, UTC)
    assert texts(path, since=since) == ["three"]


def test_time_survives_rotation(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    size = 0
    for second in range(200):
        with path.open("ab") as file:
            size += file.write(b"second %d %s\n" % (second, b"." * 100))
        note(path, size - rotation.base(path), 1_800_000_000 + second)
        if second in (80, 150):
            rotate(path)
    assert len(archives(path)) == 2
    for line in logs.read([path], lines=None):
        assert line.time is not None
        assert line.time.timestamp() == 1_800_000_000 + int(line.text.split()[1])


def test_a_torn_index_row_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    path.write_bytes(b"a\n")
    note(path, 2, 1_800_000_000)
    with index_path(path).open("ab") as file:
        file.write(b"torn")
    path.write_bytes(b"a\nb\n")
    note(path, 4, 1_800_000_001)
    index = Index(index_path(path))
    assert [index.row(i) for i in range(len(index))] == [(1_800_000_000, 2), (1_800_000_001, 4)]


def test_files_are_merged_in_order_of_time(tmp_path: Path) -> None:
    web, worker = tmp_path / "web.1.log", tmp_path / "worker.1.log"
    web.write_text("2026-01-02T10:00:00Z a\n2026-01-02T10:00:02Z c\nTraceback\n  of c\n2026-01-02T10:00:04Z e\n")
    worker.write_text("2026-01-02T10:00:01Z b\n2026-01-02T10:00:03Z d\n")
    for path in (web, worker):
        os.utime(path, (1767348000, 1767348000))
    read = list(logs.read([web, worker]))
    assert [line.text.split()[-1] for line in read] == ["a", "b", "c", "Traceback", "c", "d", "e"]
    assert [line.source for line in logs.read([web, worker], lines=2)] == ["worker.1", "web.1"]


def test_grep_reaches_into_archives(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    path.write_bytes(b"A Needle here\n" + b"hay\n" * 5000)
    rotate(path)
    with path.open("ab") as file:
        file.write(b"hay\n")
    assert texts(path, grep="needle", lines=5) == ["A Needle here"]


def test_binary_giant_and_damaged(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    path.write_bytes(b"first\n" + bytes(range(256)) * 20_000 + b"\nlast \xff\xfe\x1b[31mred\x1b[0m\n")
    read = list(logs.read([path], lines=None))
    assert read[0].text == "first"
    assert read[-1].text == "last \ufffd\ufffdred"
    assert max(len(line.text) for line in read) < 20_000
    rotate(path)
    archive = archives(path)[0]
    archive.write_bytes(archive.read_bytes()[:-100])
    assert texts(path, lines=None)[0] == "first"
    archive.write_bytes(b"not gzip")
    assert isinstance(texts(path, lines=None), list)


def test_missing_and_empty(tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.touch()
    assert list(logs.read([tmp_path / "none.log", empty])) == []
    assert list(logs.read([])) == []


async def _collect(lines: AsyncIterator[logs.LogLine], into: list[str]) -> None:
    async for line in lines:
        into.append(line.text)


async def test_follow_across_rotation_and_new_files(tmp_path: Path) -> None:
    path, later = tmp_path / "web.1.log", tmp_path / "web.2.log"
    path.write_bytes(b"old\n")
    seen: list[str] = []
    task = asyncio.ensure_future(_collect(logs.follow(lambda: tmp_path.glob("*.log")), seen))
    try:
        await asyncio.sleep(0)
        for turn in range(3):
            with path.open("ab") as file:
                file.write(b"fill\n" * 3000 + b"turn %d\n" % turn)
            rotate(path)
            await until(lambda turn=turn: f"turn {turn}" in seen)
        later.write_bytes(b"hello from two\nhalf")
        await until(lambda: "hello from two" in seen)
        assert "half" not in seen
        with later.open("ab") as file:
            file.write(b" and half\n")
        await until(lambda: "half and half" in seen)
        path.write_bytes(b"emptied\n")
        await until(lambda: "emptied" in seen)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert "old" not in seen
    assert seen.count("fill") == 9000
    assert [s for s in seen if s.startswith("turn")] == ["turn 0", "turn 1", "turn 2"]


async def test_the_keeper_indexes_and_rotates(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    keeper = LogKeeper(lambda: [path, tmp_path / "gone.log"], limit=50_000, keep=2)
    await keeper.tick()
    path.write_bytes(b"x" * 99 + b"\n")
    await keeper.tick()
    await keeper.tick()
    assert len(Index(index_path(path))) == 1
    with path.open("ab") as file:
        file.write((b"y" * 99 + b"\n") * 1000)
    await keeper.tick()
    assert len(archives(path)) == 1
    assert path.stat().st_size < 50_000
    assert len(texts(path, lines=None)) == 1001
    age = datetime.now(UTC) - (next(iter(logs.read([path], lines=1))).time or datetime.min.replace(tzinfo=UTC))
    assert age < timedelta(seconds=30)


async def test_a_full_disk_costs_the_oldest_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "web.1.log"
    for turn in range(2):
        path.write_bytes(b"turn %d\n" % turn * 2000)
        rotate(path)
    path.write_bytes(b"more\n" * 2000)
    room = 1

    def copy(*_: object) -> None:
        if len(archives(path)) > room:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(rotation, "_copy", copy)
        keeper = LogKeeper(lambda: [path], limit=1000)
        await keeper.tick()
    assert [a.name for a in archives(path)] == ["web.1.log.1.gz"]
    assert path.stat().st_size == 10_000
    await keeper.tick()
    assert len(archives(path)) == 2
    assert texts(path, grep="more", lines=None)[1:] == ["more"] * 1999  # the first is the end of a line cut before


def _can_collapse(folder: Path) -> bool:
    trial = folder / "trial"
    trial.write_bytes(b"x" * 100_000)
    with trial.open("r+b") as file:
        able = rotation._collapse(file, 65536)
    trial.unlink()
    return able
