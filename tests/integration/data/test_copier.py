"""What is written past the page cache while the rest goes into it: whole, whatever happens to the files meanwhile."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from golive.blueprint.models import Resource
from golive.data import Placement, clone, copier
from golive.data.postgres import Postgres
from golive.engines import Engine
from golive.errors import ResourceFailed
from golive.secret import Secret
from small_disk import small_disk

MIB = 1 << 20
BLOCK = 8192


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Source and target; both ways of writing are used from 8 MB on."""
    monkeypatch.setattr(copier, "LARGE", 8 * MIB)
    for name in ("source/base", "target"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "source", tmp_path / "target"


def copy(source: Path, target: Path) -> None:
    copier.Copier(str(source), str(target), [], gently=False).files([])


def pages(first: int, count: int) -> bytes:
    """As a server's: each says which one it is, all over."""
    return b"".join(n.to_bytes(8, "little") * (BLOCK // 8) for n in range(first + 1, first + count + 1))


def test_what_is_large_is_copied_whole_by_both_ways(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = folders
    past: list[int] = []
    write = copier._write_past

    def watched(there: int, data: memoryview, at: int) -> int:
        past.append(write(there, data, at))
        return past[-1]

    monkeypatch.setattr(copier, "_write_past", watched)
    (source / "large").write_bytes(pages(0, 5000))
    (source / "odd").write_bytes(os.urandom(9 * MIB + 77))
    for n in range(50):
        (source / f"base/{n}").write_bytes(pages(n, n))
    with (source / "sparse").open("wb") as file:
        file.truncate(12 * MIB)
        os.pwrite(file.fileno(), b"x" * BLOCK, 6 * MIB)
    copy(source, target)
    assert sum(past) > MIB
    names = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    assert len(names) == 53
    assert [name for name in names if (source / name).read_bytes() != (target / name).read_bytes()] == []


@contextmanager
def meanwhile(change: Callable[[], None]) -> Iterator[None]:
    """Again and again, until the block ends."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            change()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_file_that_grows_is_copied_to_an_end_that_it_had(folders: tuple[Path, Path]) -> None:
    source, target = folders
    (source / "1").write_bytes(pages(0, 4000))
    with (source / "1").open("ab", buffering=0) as file, meanwhile(lambda: _grow(file.fileno())):
        copy(source, target)
    copied = (target / "1").read_bytes()
    assert len(copied) >= 4000 * BLOCK
    assert copied == (source / "1").read_bytes()[: len(copied)]


def _grow(file: int) -> None:
    """By a page in two writes, as far as it may."""
    size = os.fstat(file).st_size
    if size < 6000 * BLOCK:
        page = pages(size // BLOCK, 1)
        os.write(file, page[:1000])
        os.write(file, page[1000:])


def test_a_file_that_gets_shorter_has_right_pages_or_none(folders: tuple[Path, Path]) -> None:
    source, target = folders
    whole = pages(0, 4000)
    (source / "1").write_bytes(whole)
    ends = iter(range(3990, 99, -10))
    with meanwhile(lambda: os.truncate(source / "1", next(ends, 100) * BLOCK)):
        copy(source, target)
    copied = (target / "1").read_bytes()
    assert copied[: 100 * BLOCK] == whole[: 100 * BLOCK]
    nothing = bytes(BLOCK)
    wrong = [
        at for at in range(0, len(copied), BLOCK) if copied[at : at + BLOCK] not in (whole[at : at + BLOCK], nothing)
    ]
    assert wrong == []


def test_what_the_disk_does_not_take_past_the_cache_goes_through_it(tmp_path: Path) -> None:
    whole = mmap.mmap(-1, 1 << 16)
    whole[:] = os.urandom(1 << 16)
    there = copier._target(str(tmp_path / "file"), 0o600, past=True)
    assert copier._write_past(there, memoryview(whole)[8:4104], 0) == 4096
    os.close(there)
    assert (tmp_path / "file").read_bytes() == whole[8:4104]


@pytest.fixture
def small(folders: tuple[Path, Path]) -> Iterator[tuple[Path, Path]]:
    """The target has 16 MB."""
    with small_disk(folders[1], 16):
        yield folders


def test_a_disk_with_too_little_room_is_not_begun_with(small: tuple[Path, Path]) -> None:
    source, target = small
    (source / "1").write_bytes(pages(0, 3000))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        copy(source, target)
    assert not (target / "1").exists()


def test_a_disk_that_gets_full_meanwhile_ends_it(small: tuple[Path, Path]) -> None:
    source, target = small
    with (source / "holes").open("wb") as file:
        file.truncate(64 * MIB)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        copy(source, target)


def test_what_was_copied_ahead_counts_only_where_nothing_has_changed(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = folders
    monkeypatch.setattr(copier, "STILL", 0.05)
    for name in ("same", "written", "longer", "shorter", "gone", "replaced", "base/gone"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(pages(0, 20))
    (source / "large").write_bytes(pages(0, 2000))
    (source / "base/1").mkdir()
    (source / "base/1/gone").write_bytes(pages(0, 2))
    time.sleep(0.1)
    (source / "hot").write_bytes(pages(0, 3))
    one = copier.Copier(str(source), str(target), [], gently=False)
    copier.obey(one, "ahead")
    one.join()
    ahead = {path.relative_to(target): path.stat().st_ino for path in target.rglob("*") if path.is_file()}
    assert Path("base/1/gone") in ahead
    assert not {Path("hot"), Path("large")} & set(ahead)

    with (source / "written").open("r+b") as file:
        os.pwrite(file.fileno(), b"new", BLOCK)
    with (source / "longer").open("ab") as file:
        file.write(pages(20, 1))
    os.truncate(source / "shorter", BLOCK)
    (source / "new").write_bytes(pages(0, 20))
    (source / "new").rename(source / "replaced")
    for name in ("gone", "base/gone", "base/1/gone"):
        (source / name).unlink()
    (source / "base/1").rmdir()
    copier.obey(one, "files", [])
    assert {path.relative_to(source) for path in source.rglob("*")} == {
        path.relative_to(target) for path in target.rglob("*")
    }
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    assert [name for name in files if (source / name).read_bytes() != (target / name).read_bytes()] == []
    assert (target / "same").stat().st_ino == ahead[Path("same")]


def test_an_order_ends_what_is_copied_ahead(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = folders
    monkeypatch.setattr(copier, "STILL", -1.0)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    for n in range(30):
        (source / str(n)).write_bytes(pages(n, 200))
    first, held, real = threading.Event(), threading.Event(), copier._copy

    def slow(source: str, target: str, mode: int, part: tuple[int, int], *, gently: bool) -> None:
        first.set()
        held.wait()
        real(source, target, mode, part, gently=gently)

    monkeypatch.setattr(copier, "_copy", slow)
    one = copier.Copier(str(source), str(target), [], gently=False)
    copier.obey(one, "ahead")
    assert first.wait(10)
    one._todo.stop()
    held.set()
    one.join()
    assert len(list(target.iterdir())) == 2  # with base
    copier.obey(one, "files", [])
    assert all((source / str(n)).read_bytes() == (target / str(n)).read_bytes() for n in range(30))


async def test_killed_while_it_copies_it_says_so_and_another_begins_anew(place: Placement) -> None:
    engine = Engine("postgres", "16", Path("/nowhere"))
    store = Postgres(Resource(engine="postgres"), "db", replace(place, user=None), engine, Secret("x"))
    (store.data / "global").mkdir(parents=True)
    size = copier.LARGE + 3 * copier.PIECE
    with (store.data / "1").open("wb") as file:
        file.truncate(size)
        os.pwrite(file.fileno(), pages(0, 1), size - BLOCK)
    for killed in (True, False):
        target = store.folder / f"data.{killed}"
        target.mkdir()
        async with clone.copier(store, target) as copying:
            work = asyncio.ensure_future(copying.ask("files", []))
            if killed:
                while not (target / "1").exists():
                    await asyncio.sleep(0.001)
                copying.process.kill()
                with pytest.raises(ResourceFailed, match="could not be copied"):
                    await work
            else:
                await work
    assert (target / "1").stat().st_size == size
    assert (target / "1").read_bytes()[-BLOCK:] == pages(0, 1)
