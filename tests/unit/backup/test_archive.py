"""What goes in comes out, and nothing else ever does: every byte changed, every place cut, every frame moved."""

from __future__ import annotations

import io
import random

import pytest

from golive.backup import archive
from golive.backup.archive import FRAME, Key, Reader, Writer, read
from golive.errors import BackupFailed, UsageError

KEY = Key.new()
NAME = "shop/production/db/base/20261121T024500Z"


def sealed(data: bytes, key: Key = KEY, name: str = NAME, piece: int = 70_001) -> bytes:
    target = io.BytesIO()
    writer = Writer(target, key, name)
    for begin in range(0, len(data), piece):
        writer.write(data[begin : begin + piece])
    done = writer.close()
    assert (done.plain, done.size) == (len(data), len(target.getvalue()))
    return target.getvalue()


def opened(raw: bytes, key: Key = KEY, name: str = NAME, sha256: str | None = None) -> bytes:
    return b"".join(read(io.BytesIO(raw), key, name, sha256))


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FRAME", 64)


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME])
def test_what_goes_in_comes_out_at_every_edge_of_a_frame(size: int) -> None:
    data = random.Random(size).randbytes(1000) * (size // 1000 + 1)
    assert opened(sealed(data[:size])) == data[:size]


def test_any_stream_in_any_pieces(small_frames: None) -> None:
    chance = random.Random(4)
    for _ in range(100):
        data = chance.randbytes(chance.randrange(400)) + bytes(chance.randrange(200))
        raw = sealed(data, piece=chance.randrange(1, 150))
        assert opened(raw) == data
        assert Reader(read(io.BytesIO(raw), KEY, NAME)).read() == data


def test_random_data_grows_by_less_than_a_hundredth() -> None:
    data = random.Random(1).randbytes(FRAME)
    assert len(sealed(data)) < len(data) * 1.01


def test_every_flipped_bit_is_found(small_frames: None) -> None:
    raw = sealed(b"the rows of a table that somebody needs " * 8)
    chance = random.Random(2)
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << chance.randrange(8)
        with pytest.raises(BackupFailed, match="is damaged"):
            opened(bytes(changed))


def test_every_cut_is_found_also_between_two_frames(small_frames: None) -> None:
    raw = sealed(b"the rows of a table that somebody needs " * 8)
    for length in range(len(raw)):
        with pytest.raises(BackupFailed, match="is damaged") as caught:
            opened(raw[:length])
        assert "cut off" in str(caught.value.why)
    with pytest.raises(BackupFailed, match="is damaged") as caught:
        opened(raw + b"\0")
    assert "goes on after its end" in str(caught.value.why)


def test_frames_cannot_be_left_out_doubled_or_swapped(small_frames: None) -> None:
    raw = sealed(random.Random(3).randbytes(64 * 5))
    head, frames = raw[:44], []
    rest = raw[44:]
    while rest:
        length = 4 + (int.from_bytes(rest[:4], "big") & ~archive.LAST)
        frames.append(rest[:length])
        rest = rest[length:]
    assert len(frames) == 5
    first, second, *others = frames
    for order in ([first, *others], [first, first, second, *others], [second, first, *others], [frames[-1]]):
        with pytest.raises(BackupFailed, match="is damaged"):
            opened(head + b"".join(order))


def test_what_was_read_before_the_damage_was_right(small_frames: None) -> None:
    """A restore streams: nothing that is not proven may come out on the way."""
    data = random.Random(5).randbytes(64 * 4)
    raw = bytearray(sealed(data))
    raw[-1] ^= 1
    got = b""
    with pytest.raises(BackupFailed):
        for part in read(io.BytesIO(bytes(raw)), KEY, NAME):
            got += part
    assert data.startswith(got)


def test_another_key_is_told_from_damage() -> None:
    with pytest.raises(BackupFailed, match="sealed with another key") as caught:
        opened(sealed(b"rows"), Key.new())
    assert "key" in str(caught.value.hint)
    assert KEY.secret.reveal() not in str(caught.value.to_json())


def test_an_archive_in_anothers_place_does_not_open() -> None:
    with pytest.raises(BackupFailed, match="is damaged"):
        opened(sealed(b"rows", name=NAME), name=NAME.replace("production", "staging"))
    with pytest.raises(BackupFailed, match="is damaged") as caught:
        opened(sealed(b"older rows"), sha256="0" * 64)
    assert "not the archive that its manifest names" in str(caught.value.why)


def test_a_newer_form_is_said_to_be_newer() -> None:
    raw = bytearray(sealed(b"rows"))
    raw[7] = 9
    raw[40:44] = archive._HEAD.pack(archive.zlib.crc32(bytes(raw[:40])))
    with pytest.raises(BackupFailed, match="written by a newer golive"):
        opened(bytes(raw))


def test_keys_are_read_as_people_write_them() -> None:
    text = KEY.secret.reveal()
    assert Key.parse(f"  {text.upper()}\n") == KEY
    assert Key.parse(text[:20] + " " + text[20:]).id == KEY.id
    assert Key.new().id != KEY.id
    assert text not in repr(KEY)
    for wrong in ("", "golive-backup-", text[:-1], text + "a", text.removeprefix("golive-backup-"), text[:-1] + "!"):
        with pytest.raises(UsageError, match="not a key"):
            Key.parse(wrong)
