"""Users of this machine, and files written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from golive.home import Home
from golive.system import files, users
from golive.system.users import User

ROOT = os.geteuid() == 0


@pytest.mark.skipif(not ROOT, reason="only root makes users")
def test_a_user_is_made_once_and_removed() -> None:
    name = users.app_user_name(f"t{os.getpid()}")
    try:
        made = users.ensure(name)
        assert made
        assert made.uid != 0
        assert users.ensure(name) == users.find(name) == made
    finally:
        users.remove(name)
    assert users.find(name) is None
    users.remove(name)


def test_users_of_others_are_never_removed() -> None:
    users.remove("nobody")
    assert users.find("nobody") is not None


def test_long_names_stay_apart() -> None:
    one, two = users.app_user_name("a" * 30 + "x"), users.app_user_name("a" * 30 + "y")
    assert one != two
    assert len(one) == len(two) == 32
    assert users.app_user_name("threadr") == "golive-threadr"


def test_supplementary_groups_are_found() -> None:
    assert users.find("no-such-user") is None
    root = users.find("root")
    assert root
    assert root.uid == 0


def test_what_a_user_can_reach(golive_home: Home) -> None:
    tmp_path = golive_home.root
    stranger = User("stranger", 54321, 54321, Path("/"))
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    file = folder / "file"
    file.touch()
    file.chmod(0o644)
    assert users.can_reach(stranger, file)
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "a").chmod(0o700)
    assert not users.can_reach(stranger, file)
    assert not users.can_reach(stranger, tmp_path / "link")
    (tmp_path / "a").chmod(0o750)
    assert users.can_reach(User("member", 54321, (tmp_path / "a").stat().st_gid, Path("/")), file)
    assert not users.can_reach(stranger, tmp_path / "nothing")


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_atomic(path, "one", mode=0o640)
    files.write_atomic(path, b"two", mode=0o644, sync=False)
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_who_may_read_it_always_may(tmp_path: Path) -> None:
    """A server that begins while its configuration is written anew reads the old one or the new one."""
    path = tmp_path / "file"
    files.write_atomic(path, "0", mode=0o640, group=54321)
    ended = threading.Event()
    found = set()

    def look() -> None:
        while not ended.is_set():
            info = path.stat()
            found.add((info.st_gid, info.st_mode & 0o777))

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(200):
        files.write_atomic(path, str(number), mode=0o640, group=54321, sync=False)
    ended.set()
    watcher.join()
    assert found == {(54321, 0o640)}


def test_the_old_file_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError):
        files.write_atomic(path, "text")
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    errors: list[BaseException] = []

    def write(letter: str) -> None:
        try:
            for _ in range(50):
                files.write_atomic(path, letter * 10_000, sync=False)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(path.read_text()) == 10_000
    assert len(set(path.read_text())) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_private_directory(tmp_path: Path) -> None:
    made = files.private_directory(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    assert files.private_directory(made, 0o711).stat().st_mode & 0o777 == 0o711


def test_trees_are_removed_read_only_ones_too(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "locked" / "deep").mkdir(parents=True)
    (tree / "locked" / "deep" / "file").touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "locked" / "deep").chmod(0o500)
    (tree / "locked").chmod(0o500)
    files.remove_tree(tree)
    assert not tree.exists()
    assert outside.is_dir()
    files.remove_tree(tree)
    (tmp_path / "link").symlink_to(outside)
    files.remove_tree(tmp_path / "link")
    assert outside.is_dir()


def test_what_is_written_while_a_tree_is_removed_goes_too(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for n in range(2000):
        (tree / str(n)).touch()

    def write() -> None:
        while sum(1 for _ in tree.iterdir()) == 2000:
            pass
        (tree / "late").touch()

    with ThreadPoolExecutor() as beside:
        writing = beside.submit(write)
        files.remove_tree(tree)
        assert isinstance(writing.exception(), FileNotFoundError | None)
    assert not tree.exists()


@pytest.mark.skipif(not ROOT, reason="root sees no permissions, so this becomes nobody")
def test_read_only_trees_are_removed_by_ordinary_users(tmp_path: Path) -> None:
    tree = Path("/tmp") / f"gl-tree-{os.getpid()}"
    (tree / "locked" / "deep").mkdir(parents=True)
    (tree / "locked" / "deep" / "file").touch()
    for path in (tree, tree / "locked", tree / "locked" / "deep"):
        os.chown(path, 65534, 65534)
    (tree / "locked" / "deep").chmod(0o000)
    (tree / "locked").chmod(0o500)
    source = tree.with_suffix(".py")
    source.write_text(
        Path(files.__file__).read_text() + "\nimport sys\nos.setuid(65534)\nremove_tree(Path(sys.argv[1]) / 'locked')\n"
    )
    try:
        done = subprocess.run(["/usr/bin/python3", str(source), str(tree)], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert not (tree / "locked").exists()
    finally:
        source.unlink()
        files.remove_tree(tree)


def test_the_size_of_a_tree_counts_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "one", tmp_path / "two")
    size = files.tree_size(tmp_path)
    assert 100_000 <= size < 150_000
    assert files.tree_size(tmp_path / "none") == 0
