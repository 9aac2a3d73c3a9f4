"""The files of control groups, version 2 (most machines that run these tests have version 1, or may make none)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from golive.system import cgroups


@pytest.fixture
def version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder laid out as /sys/fs/cgroup for a root who may make groups."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    for cached in (cgroups.version, cgroups._own_v2):
        cached.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    for cached in (cgroups.version, cgroups._own_v2):
        cached.cache_clear()


def test_a_group_with_its_limits(version_2: Path) -> None:
    assert cgroups.version() == 2
    assert set((version_2 / "cgroup.subtree_control").read_text().split()) == {"+cpu", "+memory"}
    name = cgroups.create("App/Production/web.1", 50_000_000, 1.5)
    assert name
    assert name.startswith("golive-app-production-web-1-")
    group = version_2 / name
    assert (group / "memory.max").read_text() == "50000000"
    assert (group / "cpu.max").read_text() == "150000 100000"
    assert cgroups.task_files(name) == [str(group / "cgroup.procs")]
    assert cgroups.limits_memory(name)
    cgroups.change(name, 60_000_000)
    assert (group / "memory.max").read_text() == "60000000"


def test_what_happened_in_a_group(version_2: Path) -> None:
    name = cgroups.create("x", 10**6, None)
    assert name
    events = version_2 / name / "memory.events"
    assert not cgroups.out_of_memory(name)
    events.write_text("low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\n")
    assert not cgroups.out_of_memory(name)
    events.write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n")
    assert cgroups.out_of_memory(name)
    (version_2 / name / "cgroup.procs").write_text("12\n7\n")
    assert cgroups.members(name) == [7, 12]


def test_a_group_of_cpu_only_does_not_limit_memory(version_2: Path) -> None:
    name = cgroups.create("x", None, 0.5)
    assert name
    assert not cgroups.limits_memory(name)


def test_where_the_root_may_not_be_changed(version_2: Path) -> None:
    (version_2 / "cgroup.subtree_control").unlink()
    (version_2 / "cgroup.subtree_control").mkdir()
    assert cgroups.version() is None
    assert not cgroups.available()
    assert cgroups.create("x", 10**6, None) is None
