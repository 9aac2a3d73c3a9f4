"""A folder of backups: files whole or not at all, and what it holds told apart by what can be believed."""

from __future__ import annotations

import dataclasses
import errno
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from golive.backup import catalog
from golive.backup.archive import Key, Writer
from golive.backup.catalog import Broken, Manifest
from golive.backup.location import Folder
from golive.errors import BackupFailed, NotFound, UsageError

NOW = datetime(2026, 11, 21, 2, 45, tzinfo=UTC)
KEY = Key.new()
SOURCE = "shop/production/db"


def keep(folder: Folder, id: str, data: bytes = b"rows") -> Manifest:
    with folder.put(f"{SOURCE}/base/{id}/data.golive") as file:
        writer = Writer(file, KEY, f"{SOURCE}/base/{id}")
        writer.write(data)
        sealed = writer.close()
    manifest = Manifest(
        source=SOURCE, id=id, version="15.18", system="7", timeline=1, start_lsn="0/2000028", stop_lsn="0/2000100",
        segment=16 << 20, begun=NOW, ended=NOW, key=KEY.id, **dataclasses.asdict(sealed),
    )  # fmt: skip
    catalog.write(folder, manifest)
    return manifest


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "backups")
    with folder.put("a/b") as file:
        file.write(b"one")
    with pytest.raises(RuntimeError), folder.put("a/b") as file:
        file.write(b"half")
        raise RuntimeError

    with folder.open("a/b") as file:
        assert file.read() == b"one"
    assert [entry.name for entry in folder.list("a")] == ["a/b"]
    assert (folder.list("a", "a/b"), [entry.name for entry in folder.list("a", "a/a")]) == ([], ["a/b"])
    assert sorted(p.name for p in (tmp_path / "backups/a").iterdir()) == ["b"]
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700
    folder.delete("a/b")
    folder.delete("a/b")
    assert folder.list("a") == []
    with pytest.raises(NotFound), folder.open("a/b"):
        pass


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a//b", "", "a/../b", ".a", "a/.b", "a b"])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError), Folder(tmp_path).put(name):
        pass


def test_what_a_kill_left_is_swept_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.put("a/b") as file:
        (tmp_path / "a/.c.0123.tmp").write_bytes(b"left by a kill")
        assert folder.sweep("a") == 1
        file.write(b"one")
    assert [entry.name for entry in folder.list("a")] == ["a/b"]


def test_a_full_disk_is_said_and_what_was_kept_stands(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    kept = keep(folder, "1")
    with pytest.raises(BackupFailed) as caught, folder.put("a/b"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.why == "No space left on device"
    assert "free some disk space" in str(caught.value.hint)
    assert catalog.verify(folder, kept, KEY) == 4


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupFailed) as caught, Folder(tmp_path / "file/below").put("a"):
        pass
    assert "mounted" in str(caught.value.hint)


def test_the_catalog_tells_what_can_be_believed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first, second = keep(folder, "20261121T024500Z"), keep(folder, "20261121T024501Z", b"more rows")
    with folder.put(f"{SOURCE}/base/20261121T024502Z/data.golive") as file:
        file.write(b"never finished")
    damaged = tmp_path / second.name / "manifest.json"
    damaged.write_bytes(damaged.read_bytes().replace(b'"plain": 9', b'"plain": 8'))

    assert catalog.backups(folder, SOURCE) == [first, Broken(second.id, "its manifest is damaged")]
    assert catalog.find(folder, SOURCE) == first
    with pytest.raises(BackupFailed, match="cannot be used"):
        catalog.find(folder, SOURCE, second.id)
    with pytest.raises(NotFound) as caught:
        catalog.find(folder, SOURCE, "20261121T02450Z")
    assert "did you mean 2026" in str(caught.value.hint)
    catalog.remove(folder, SOURCE, first.id)
    assert not (tmp_path / first.name).exists()
    with pytest.raises(NotFound):
        catalog.find(folder, "shop/staging/db")


def test_verify_reads_all_of_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    kept = keep(folder, "1", b"rows" * 1000)
    assert catalog.verify(folder, kept, KEY) == 4000
    path = tmp_path / kept.archive
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(BackupFailed, match="is damaged"):
        catalog.verify(folder, kept, KEY)
    target = io.BytesIO()
    writer = Writer(target, KEY, kept.name)
    writer.write(b"older")
    writer.close()
    path.write_bytes(target.getvalue())
    with pytest.raises(BackupFailed) as caught:
        catalog.verify(folder, kept, KEY)
    assert "not the archive that its manifest names" in str(caught.value.why)
    path.unlink()
    with pytest.raises(NotFound):
        catalog.verify(folder, kept, KEY)
