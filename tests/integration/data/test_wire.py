"""Sessions without the driver, and copies of a data folder by the program of its own user."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from data_stores import Running, make

from golive.blueprint.models import Resource
from golive.data import Placement, clone, wire
from golive.data.postgres import Postgres
from golive.data.postgres_plan import SUPERUSER
from golive.engines import Engine, Engines
from golive.errors import ResourceFailed
from golive.home import Home
from golive.secret import Secret
from golive.system import extents


@pytest.fixture
async def served(engines: Engines, place: Placement, running: Running) -> Postgres:
    store = make(place, await engines.find("postgres"), Resource(engine="postgres"))
    assert isinstance(store, Postgres)
    await store.prepare()
    await running(store)
    await store.ready()
    return store


async def test_a_session_without_the_driver(served: Postgres) -> None:
    sockets, port = served.place.sockets("postgres", served.name), served.place.port
    async with wire.session(sockets, port, SUPERUSER, "postgres") as session:
        rows = await session.query("SELECT n, NULL, 'Å' || n, '' FROM generate_series(1, 3000) n")
        assert rows[0] == ("1", None, "Å1", "")
        assert len(rows) == 3000
        with pytest.raises(wire.WireError, match="division by zero"):
            await session.query("SELECT 1/0")
        assert await session.query("SELECT current_user, current_setting('application_name')") == [
            (SUPERUSER, "golive")
        ]
        assert await session.query("CREATE TABLE t ()") == []
        with pytest.raises(wire.WireError, match="terminating connection"):
            await session.query("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(wire.WireError, match='database "none" does not exist'):
        async with wire.session(sockets, port, SUPERUSER, "none"):
            pass
    with pytest.raises(wire.WireError, match="No such file"):
        async with wire.session(sockets, port + 1, SUPERUSER, "postgres"):
            pass


async def test_what_a_copy_leaves_out(served: Postgres) -> None:
    made = await served.superuser("postgres")
    async with made:
        await made.execute("CREATE UNLOGGED TABLE fleeting AS SELECT repeat('x', 500) t FROM generate_series(1, 999)")
        await made.execute("CREATE TEMP TABLE mine AS SELECT repeat('x', 500) t FROM generate_series(1, 999)")
        await made.execute("CREATE TABLE kept AS SELECT repeat('x', 500) t FROM generate_series(1, 999)")
        query = "SELECT relname, pg_relation_filepath(oid) FROM pg_class WHERE relname IN ('fleeting', 'mine', 'kept')"
        found: dict[str, str] = dict(await (await made.execute(query)).fetchall())
        target = make(served.place, served.engine, Resource(engine="postgres"), "copy")
        assert isinstance(target, Postgres)
        said: list[str] = []
        done = await clone.clone(served, target, said.append)
        assert said == ["checkpoint of the source", "cloning the files" if done.shared else "copying the files"]
        beside = target.folder / "data.new"
        assert (beside / found["kept"]).read_bytes() == (served.data / found["kept"]).read_bytes()
        assert not (beside / found["fleeting"]).exists()
        assert (beside / f"{found['fleeting']}_init").exists()
        assert not (beside / found["mine"]).exists()
        assert not (beside / "postmaster.pid").exists()
        assert "START WAL LOCATION" in (beside / "backup_label").read_text()
        assert {path.stat().st_uid for path in beside.rglob("*")} == {served.data.stat().st_uid}
        (served.data / "base" / "elsewhere").symlink_to("/etc")
        with pytest.raises(ResourceFailed) as caught:
            await clone.clone(served, target, print)
        assert caught.value.where == "base/elsewhere"
        assert "symbolic link" in (caught.value.why or "")
        (served.data / "base" / "elsewhere").unlink()
        assert (await (await made.execute("SELECT count(*) FROM pg_replication_slots")).fetchone()) == (0,)


@pytest.fixture
def mounted(home: Home) -> Iterator[Path]:
    """The home is on a small filesystem that clones, where this machine lets us have one."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts filesystems")
    with tempfile.TemporaryDirectory(prefix="gl-") as name:
        image, folder = Path(name) / "image", home.root
        with image.open("wb") as file:
            file.truncate(320 << 20)
        words = (["mkfs.xfs", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)])
        for argv in words:
            if not any((Path(each) / argv[0]).exists() for each in ("/usr/sbin", "/usr/bin", "/sbin", "/bin")):
                pytest.skip(f"no {argv[0]} here")
            if (done := subprocess.run(argv, capture_output=True, check=False)).returncode:
                pytest.skip(f"{argv[0]}: {done.stderr.decode().strip()}")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def folders(place: Placement, engines: Engines) -> tuple[Postgres, Path]:
    """What looks like a server's data, and an empty folder."""
    engine = Engine("postgres", "16", Path("/nowhere"))
    store = Postgres(Resource(engine="postgres"), "db", replace(place, user=None), engine, Secret("x"))
    (store.data / "global").mkdir(parents=True)
    (store.data / "global/pg_control").write_bytes(os.urandom(8192))
    target = store.folder / "data.new"
    target.mkdir()
    return store, target


async def test_files_that_are_cloned_share_their_blocks(mounted: Path, folders: tuple[Postgres, Path]) -> None:
    source, target = folders
    (source.data / "1").write_bytes(os.urandom(20 << 20))
    async with clone.copier(source, target) as copier:
        assert await copier.ask("probe")
        await copier.ask("files", ["pg_wal/archive_status"])
        await copier.ask("write", "backup_label", "x")
    assert (target / "1").read_bytes() == (source.data / "1").read_bytes()
    os.sync()
    held, own = extents.sizes(target)
    assert held >= 20 << 20
    assert own <= 8192
    assert (target / "pg_wal/archive_status").is_dir()
    for size in (4 << 20, 4096):
        with contextlib.suppress(OSError), (mounted / f"all {size}").open("wb", buffering=0) as filling:
            while True:
                filling.write(bytes(size))
    with pytest.raises(ResourceFailed) as caught:
        async with clone.copier(source, target) as copier:
            await copier.ask("write", "another", "x" * 100_000)
    assert caught.value.why == "the disk is full"


@pytest.mark.parametrize("gently", [True, False])
async def test_files_are_copied_whole(gently: bool, folders: tuple[Postgres, Path]) -> None:
    source, target = folders
    whole = os.urandom(9 << 20)
    (source.data / "large").write_bytes(whole)
    (source.data / "empty").touch(mode=0o640)
    async with clone.copier(source, target, gently=gently) as copier:
        await copier.ask("files", [])
        await copier.ask("some", ["gone"])
    assert (target / "large").read_bytes() == whole
    assert (target / "large").stat().st_mode & 0o777 == (source.data / "large").stat().st_mode & 0o700
    assert (target / "empty").stat().st_size == 0
    assert (target / "global/pg_control").exists()
