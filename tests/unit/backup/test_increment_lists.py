"""The list of files is taken out of a tar as it goes by."""

from __future__ import annotations

import io
import random
import tarfile

import pytest

from golive.backup.increments import LIST, Member


def tar(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 70_000])
def test_it_is_found_wherever_it_stands_and_however_it_is_cut(size: int) -> None:
    chance = random.Random(size)
    wanted = chance.randbytes(size)
    stream = tar(**{"base/1": b"x" * 1000, "empty": b"", LIST: wanted, "base/backup_manifest": b"other"})
    member, at = Member(LIST), 0
    while at < len(stream):
        piece = chance.choice((1, 100, 512, 4096))
        member.feed(stream[at : at + piece])
        at += piece
    assert bytes(member.found) == wanted


def test_a_size_of_more_than_eight_gigabytes_is_binary() -> None:
    info = tarfile.TarInfo("base/1")
    info.size = 9 << 30
    member = Member(LIST)
    member.feed(info.tobuf(tarfile.GNU_FORMAT))
    assert member._skip == 9 << 30
