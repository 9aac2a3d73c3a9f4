"""Backups in S3: a real server, near, slow, refusing and dying half-way. What is said has the next step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from backup_shop import SOURCE, Shop

from golive.backup import base, catalog, s3
from golive.backup.credentials import Credentials
from golive.backup.s3 import S3, client
from golive.errors import BackupFailed, GoliveError, NotFound, UsageError
from golive.secret import Secret
from seaweed import OWNER, READER, Seaweed, Way, running

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with running(tmp_path_factory.mktemp("weed")) as server:
        server.bucket("backups")
        yield server


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As small as parts may be, so that a few make a file."""
    monkeypatch.setattr(s3, "PART", 5 * MIB)


def begun(place: S3) -> list[str]:
    """Uploads that were not ended."""
    return [one["Key"] for one in client(place).list_multipart_uploads(Bucket=place.bucket).get("Uploads", ())]


def write(place: S3, name: str, data: bytes) -> None:
    with place.put(name) as file:
        for at in range(0, len(data), MIB):
            file.write(data[at : at + MIB])


def read(place: S3, name: str) -> bytes:
    with place.open(name) as file:
        return file.read()


def test_files_are_there_whole_or_not_at_all(server: Seaweed, small: None) -> None:
    place = server.place("backups")
    large = os.urandom(23 * MIB + 7)
    write(place, "a/large", large)
    write(place, "a/b/small", b"one")
    write(place, "a/empty", b"")
    write(place, "ab/other", b"two")
    with pytest.raises(RuntimeError), place.put("a/large") as file:
        file.write(b"half" * 8 * MIB)
        raise RuntimeError

    assert read(place, "a/large") == large
    assert read(place, "a/empty") == b""
    assert [(entry.name, entry.size) for entry in place.list("a")] == [
        ("a/b/small", 3), ("a/empty", 0), ("a/large", len(large)),
    ]  # fmt: skip
    assert [entry.name for entry in place.list("a", "a/b/small")] == ["a/empty", "a/large"]
    assert place.list("nothing") == []
    assert begun(place) == []
    place.delete("a/large")
    place.delete("a/large")
    with pytest.raises(NotFound), place.open("a/large"):
        pass
    with pytest.raises(UsageError), place.put("../a"):
        pass


@pytest.mark.nightly
def test_a_list_has_more_than_a_page(server: Seaweed) -> None:
    place = server.place("backups")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write(place, f"wal/{number:04}", b"x"), range(1003)))
    assert [entry.name for entry in place.list("wal")] == [f"wal/{number:04}" for number in range(1003)]
    assert [entry.name for entry in place.list("wal", "wal/1000")] == ["wal/1001", "wal/1002"]


def test_what_a_kill_left_is_swept_and_what_is_going_up_is_not(
    server: Seaweed, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = server.place("backups")
    left = client(place).create_multipart_upload(Bucket="backups", Key="kept/c/left")
    client(place).upload_part(
        Bucket="backups", Key="kept/c/left", UploadId=left["UploadId"], PartNumber=1, Body=b"part"
    )
    assert place.sweep("c") == 0
    monkeypatch.setattr(s3, "LEFT", timedelta(0))
    assert place.sweep("d") == 0
    assert place.sweep("c") == 1
    assert begun(place) == []


@pytest.mark.parametrize(
    ("bucket", "credentials", "why", "hint"),
    [
        ("nowhere", OWNER, "NoSuchBucket", "make the bucket nowhere"),
        ("backups", Credentials(OWNER.id, Secret("another")), "SignatureDoesNotMatch", "correct AWS_ACCESS_KEY_ID"),
        ("backups", Credentials("nobody", Secret("another")), "InvalidAccessKeyId", "correct AWS_ACCESS_KEY_ID"),
    ],
)  # fmt: skip
def test_a_wrong_bucket_and_a_wrong_key_are_told_apart(
    server: Seaweed, bucket: str, credentials: Credentials, why: str, hint: str
) -> None:
    place = server.place(bucket, credentials)
    with pytest.raises(BackupFailed) as caught:
        place.list("a")
    assert why in str(caught.value.why)
    assert hint in str(caught.value.hint)
    with pytest.raises(BackupFailed) as caught, place.open("a/b"):
        pass
    assert hint in str(caught.value.hint)


def test_a_key_that_may_not_write_is_told_what_it_needs(server: Seaweed) -> None:
    place = server.place("backups", READER)
    with pytest.raises(BackupFailed) as caught:
        write(place, "a/refused", b"one")
    assert "AccessDenied" in str(caught.value.why)
    assert "allow this key s3:ListBucket" in str(caught.value.hint)
    assert "what was there before stands" in str(caught.value.hint)


def test_a_server_that_is_away_is_said(server: Seaweed) -> None:
    with Way(server.port).open() as way:
        place = server.place("backups", port=way.port)
    for act in (lambda: place.list("a"), lambda: write(place, "a/x", b"one"), lambda: read(place, "a/x")):
        with pytest.raises(BackupFailed) as caught:
            act()
        assert "Could not connect" in str(caught.value.why)
        assert "reachable from here" in str(caught.value.hint)


def test_a_slow_way_is_only_slow(server: Seaweed, small: None) -> None:
    data = os.urandom(12 * MIB)
    with Way(server.port, pace=24 * MIB).open() as way:
        place = server.place("backups", port=way.port)
        write(place, "slow/file", data)
        assert read(place, "slow/file") == data


def test_a_connection_that_breaks_in_a_read_is_taken_up_where_it_broke(server: Seaweed) -> None:
    data = os.urandom(6 * MIB)
    write(server.place("backups"), "broken/file", data)
    with Way(server.port, pace=30 * MIB).open() as way:
        place = server.place("backups", port=way.port)
        with place.open("broken/file") as file:
            first = file.read(MIB)
            way.cut()
            assert first + file.read() == data


def test_a_server_that_dies_half_way_leaves_nothing_and_the_next_try_works(server: Seaweed, small: None) -> None:
    data = os.urandom(30 * MIB)
    with Way(server.port, after=12 * MIB).open() as way:
        place = server.place("backups", port=way.port)
        with pytest.raises(GoliveError) as caught:
            write(place, "dies/file", data)
        assert "dies/file cannot be written" in caught.value.what
        assert "what was there before stands" in str(caught.value.hint)
        straight = server.place("backups")
        assert straight.list("dies") == []
        assert begun(straight) == ["kept/dies/file"], "the way to take it back was broken too"
        way.mend()
        write(place, "dies/file", data)
        assert read(straight, "dies/file") == data


def test_what_is_no_place_is_said() -> None:
    for url, why in {
        "s3://": "nothing is no name of a bucket",
        "s3://B/x": "B is no name of a bucket",
        "s3://backups/x?endpiont=y": "not endpiont",
        "s3://backups?endpoint=localhost:1": "does not begin with https://",
        "s3://backups?style=fancy": "style is path or virtual",
        "s3://me:secret@backups/": "credentials do not belong in it",
    }.items():
        with pytest.raises(UsageError) as caught:
            S3.parse(url, Credentials())
        assert why in str(caught.value.why)
        assert "secret@" not in caught.value.what
    with pytest.raises(UsageError, match="is no name"):
        S3.parse("s3://backups/../x", Credentials())


def test_credentials_are_found_under_their_usual_names() -> None:
    found = Credentials.find(
        {
            "AWS_ACCESS_KEY_ID": "AKIA",
            "AWS_SECRET_ACCESS_KEY": Secret("hidden"),
            "AWS_ENDPOINT_URL": "https://s3.example.com",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_SESSION_TOKEN": "",
        }
    )
    place = S3.parse("s3://backups", found)
    assert (place.endpoint, place.region, place.by_path) == ("https://s3.example.com", "eu-central-1", True)
    assert "hidden" not in repr(place)
    assert found.token is None
    with pytest.raises(UsageError, match="AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"):
        Credentials.find({"AWS_ACCESS_KEY_ID": "AKIA"})
    assert Credentials.find({}) == Credentials()


async def test_a_base_backup_goes_to_s3_and_is_verified(server: Seaweed, small: None, shop: Shop) -> None:
    place = server.place("backups")
    manifest = await base.create(shop.server, place, SOURCE, shop.key)
    assert catalog.find(place, SOURCE) == manifest
    assert catalog.verify(place, manifest, shop.key) == manifest.plain
    catalog.remove(place, SOURCE, manifest.id)
    assert place.list(SOURCE) == []


@pytest.mark.nightly
def test_a_killed_server_comes_back_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path / "weed") as server:
        place = server.bucket("backups")
        write(place, "a/b", b"one")
        server.kill()
        with pytest.raises(BackupFailed):
            write(place, "a/c", b"two")
        server.start()
        write(place, "a/c", b"two")
        assert [entry.name for entry in place.list("a")] == ["a/b", "a/c"]
