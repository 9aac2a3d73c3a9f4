"""What was built in one home, in another: paths in texts and links change, and nothing else."""

from __future__ import annotations

from pathlib import Path

from golive.build.artifact import ARTIFACT_FILE, Artifact, Content
from golive.build.seal import count
from golive.release.relocate import relocate

OLD, NEW = "/srv/golive", "/home/me/other place/golive"


def test_paths_change_where_they_are_paths(tmp_path: Path) -> None:
    script = tmp_path / "bin/serve"
    script.parent.mkdir()
    script.write_text(f"#!{OLD}/layers/1/bin/python\nprint('{OLD}2', '{OLD}-old', '{OLD}/x')\n")
    script.chmod(0o755)
    before = script.stat().st_mtime_ns
    binary = tmp_path / "lib.so"
    binary.write_bytes(b"\0" + OLD.encode())
    plain = tmp_path / "plain.txt"
    plain.write_text("nothing of it")
    (tmp_path / "python").symlink_to(f"{OLD}/engines/python/bin/python3")
    (tmp_path / "own").symlink_to("/usr/bin/python3")
    (tmp_path / "beside").symlink_to("bin/serve")

    assert relocate(tmp_path, OLD, OLD) == 0
    assert relocate(tmp_path, OLD, NEW) == 2

    assert script.read_text() == f"#!{NEW}/layers/1/bin/python\nprint('{OLD}2', '{OLD}-old', '{NEW}/x')\n"
    assert script.stat().st_mode & 0o777 == 0o755
    assert script.stat().st_mtime_ns == before
    assert binary.read_bytes() == b"\0" + OLD.encode()
    assert (tmp_path / "python").readlink() == Path(f"{NEW}/engines/python/bin/python3")
    assert (tmp_path / "own").readlink() == Path("/usr/bin/python3")
    assert (tmp_path / "beside").readlink() == Path("bin/serve")
    assert relocate(tmp_path, OLD, NEW) == 0


def test_an_artifact_says_how_many_bytes_it_has_now(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/settings.json").write_text(f'{{"root": "{OLD}/artifacts/1/app"}}')
    artifact = Artifact(
        key="1", kind="node", path=Path(OLD) / "artifacts/1", content=Content(files=1, bytes=1), argv=(f"{OLD}/node",)
    )
    (tmp_path / ARTIFACT_FILE).write_text(artifact.model_dump_json())

    relocate(tmp_path, OLD, NEW)

    found = Artifact.model_validate_json((tmp_path / ARTIFACT_FILE).read_bytes())
    assert found.path == Path(NEW) / "artifacts/1"
    assert found.argv == (f"{NEW}/node",)
    assert found.content.bytes == count(tmp_path / "app").bytes
