"""Builds that go wrong: each says what happened and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from building import left_over, write

from golive.blueprint.build_policy import BuildPolicy
from golive.build.builder import Builder
from golive.build.plan import BuildRequest
from golive.errors import BuildFailed
from golive.home import Home
from golive.system import processes
from small_disk import small_disk

Make = Callable[..., BuildRequest]
Left = Callable[[], list[str]]


async def failure_of(builder: Builder, request: BuildRequest) -> BuildFailed:
    with pytest.raises(BuildFailed) as failure:
        await builder.build(request, lambda _line: None)
    return failure.value


def running(argument: str) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if argument in (p.info["cmdline"] or ())]


async def test_a_requirement_that_does_not_exist(
    builder: Builder, request_for: Make, checkout: Path, nothing_left: Left
) -> None:
    write(checkout, {"requirements.txt": "golive-no-such-package==1.0\n"})
    failure = await failure_of(builder, request_for("python", dependencies="requirements.txt"))
    assert failure.what == "the dependencies in requirements.txt do not resolve"
    assert "golive-no-such-package" in (failure.why or "")
    assert failure.hint
    assert nothing_left() == []


@pytest.mark.parametrize(
    ("files", "dependencies", "words"),
    [
        ({}, "requirements.txt", "requirements.txt does not exist"),
        ({"poetry.lock": ""}, "poetry.lock", "poetry.lock has no pyproject.toml beside it"),
        ({"pyproject.toml": "[tool.poetry]"}, "pyproject.toml", "says what is wanted, not what is installed"),
        ({"pyproject.toml": "[project"}, "pyproject.toml", "pyproject.toml cannot be read"),
        ({"uv.lock": "version = 1", "pyproject.toml": ""}, "uv.lock", "uv could not install uv.lock"),
        ({"uv.lock": "version = 1"}, "uv.lock", "uv.lock has no pyproject.toml beside it"),
        ({"requirements.txt": "-r other.txt"}, "requirements.txt", "other.txt cannot be read"),
        ({"requirements.txt": "click ==\n"}, "requirements.txt", "uv could not install requirements.txt"),
        (
            {"requirements.txt": f"h11==0.16.0 --hash=sha256:{'0' * 64}\n"},
            "requirements.txt",
            "a package is not the one that the lock file names",
        ),
        (
            {"requirements.txt": "./lib\n", "lib/setup.py": "raise SystemExit('no compiler')\n"},
            "requirements.txt",
            "has no wheel for Python",
        ),
    ],
)
async def test_dependencies_that_cannot_be_installed(
    builder: Builder,
    request_for: Make,
    checkout: Path,
    nothing_left: Left,
    files: dict[str, str],
    dependencies: str,
    words: str,
) -> None:
    write(checkout, {"main.py": "", **files})
    failure = await failure_of(builder, request_for("python", dependencies=dependencies))
    assert words in failure.what, (failure.what, failure.why)
    assert nothing_left() == []


async def test_a_failing_command(builder: Builder, request_for: Make, checkout: Path, nothing_left: Left) -> None:
    write(checkout, {"a": ""})
    failure = await failure_of(builder, request_for(command="echo nearly there; exit 3"))
    assert failure.what == "the build command of web exited with 3"
    assert failure.log == "nearly there"
    assert failure.where == "services.web.build.command"
    assert nothing_left() == []


async def test_a_hanging_command_is_cancelled_with_all_that_it_started(
    builder: Builder, request_for: Make, checkout: Path, nothing_left: Left
) -> None:
    write(checkout, {"a": ""})
    begun = asyncio.Event()
    request = request_for(command="echo begun; sleep 4217.5 & sleep 4217.5")
    task = asyncio.ensure_future(builder.build(request, lambda line: begun.set() if line == "begun" else None))
    await asyncio.wait_for(begun.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running("4217.5") == []
    assert nothing_left() == []
    write(checkout, {"a": "the builder is free again"})
    assert not (await builder.build(request_for(), lambda _line: None)).cached


async def test_a_cancelled_install_leaves_no_layer(
    builder: Builder, request_for: Make, checkout: Path, nothing_left: Left
) -> None:
    write(checkout, {"requirements.txt": "./lib\n", "lib/setup.py": "import time\ntime.sleep(300)\n"})
    installing = asyncio.Event()
    task = asyncio.ensure_future(
        builder.build(
            request_for("python", dependencies="requirements.txt"),
            lambda line: installing.set() if "environment at" in line else None,
        )
    )
    await asyncio.wait_for(installing.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nothing_left() == []


async def test_a_build_that_takes_too_long(
    builder: Builder, request_for: Make, checkout: Path, nothing_left: Left
) -> None:
    write(checkout, {"a": ""})
    failure = await failure_of(builder, request_for(command="sleep 4218.5", policy=BuildPolicy(timeout="600ms")))
    assert failure.what == "the build took longer than 600 ms and was stopped"
    assert running("4218.5") == []
    assert nothing_left() == []


async def test_a_build_that_uses_too_much_memory(
    builder: Builder, request_for: Make, checkout: Path, nothing_left: Left
) -> None:
    write(checkout, {"a": ""})
    command = "python3 -c \"import time; x = b'x' * 400_000_000; time.sleep(20)\""
    failure = await failure_of(builder, request_for(command=command, policy=BuildPolicy(memory="64MB")))
    assert failure.what == "the build ran out of memory: it may use 64.0 MB"
    assert "memory" in (failure.hint or "")
    assert nothing_left() == []


@pytest.fixture
def small_home(golive_home: Home) -> Iterator[Home]:
    """A home on a file system of 24 MB."""
    with small_disk(golive_home.root, 24):
        yield golive_home


async def test_a_build_that_fills_the_disk(small_home: Home, request_for: Make, checkout: Path) -> None:
    builder = Builder(small_home, minimum_free=0)
    write(checkout, {"a": ""})
    failure = await failure_of(builder, request_for(command="dd if=/dev/zero of=big bs=1M"))
    assert failure.what.startswith("the disk is full: ")
    assert "No space left on device" in failure.log
    assert failure.hint
    assert left_over(small_home) == []


async def test_a_source_that_does_not_fit_on_the_disk(small_home: Home, request_for: Make, checkout: Path) -> None:
    builder = Builder(small_home, minimum_free=0)
    with (checkout / "big").open("wb") as file:
        file.truncate(60 * 2**20)
    failure = await failure_of(builder, request_for())
    assert failure.what.startswith("the disk is full: ")
    assert left_over(small_home) == []
    (checkout / "big").unlink()
    write(checkout, {"small": "fits"})
    assert (await builder.build(request_for(), lambda _line: None)).artifact.content.files == 1


async def test_a_build_is_not_begun_on_a_disk_nearly_full(golive_home: Home, request_for: Make, checkout: Path) -> None:
    write(checkout, {"a": ""})
    failure = await failure_of(Builder(golive_home, minimum_free=2**60), request_for())
    assert "of disk are free" in failure.what


async def test_a_home_that_cannot_be_written_is_said(tmp_path: Path, request_for: Make, checkout: Path) -> None:
    write(checkout, {"a": ""})
    write(tmp_path, {"file": "not a folder"})
    failure = await failure_of(Builder(Home(tmp_path / "file/home")), request_for())
    assert failure.what.startswith("the build could not use ")
    assert "Not a directory" in failure.what


@pytest.mark.skipif(os.geteuid() != 0, reason="golive is not root, so apps run as its own user")
async def test_a_home_that_the_app_cannot_reach_is_said(tmp_path: Path, request_for: Make, checkout: Path) -> None:
    from golive.system.users import find

    (tmp_path / "closed").mkdir(mode=0o700)
    write(checkout, {"a": ""})
    failure = await failure_of(Builder(Home(tmp_path / "closed/home")), request_for(user=find("nobody")))
    assert failure.what.startswith("the app's user nobody cannot reach ")


async def test_what_a_killed_build_left_is_cleaned(golive_home: Home, builder: Builder) -> None:
    place = golive_home.artifacts / ".tmp-0123-abcd"
    unfinished = golive_home.layers / ("0" * 32)
    write(golive_home.root, {f"artifacts/{place.name}/app/main.py": "", f"layers/{unfinished.name}/pyvenv.cfg": ""})
    sleeper = await processes.start(processes.Spec(("/bin/sleep", "300"), {}, Path("/")))
    (place / "process.json").write_text(json.dumps(asdict(sleeper.id)))
    await builder.clean()
    assert not place.exists()
    assert not unfinished.exists()
    assert (await sleeper.wait()).signal == 9


async def test_one_build_at_a_time(builder: Builder, request_for: Make, checkout: Path) -> None:
    write(checkout, {"a": ""})
    events: list[str] = []
    requests = [request_for(command=f"echo begin; sleep 0.2; echo end # {n}") for n in range(3)]
    await asyncio.gather(*(builder.build(r, events.append) for r in requests))
    assert [line for line in events if line in ("begin", "end")] == ["begin", "end"] * 3


async def test_two_requests_for_the_same_artifact_build_it_once(
    builder: Builder, request_for: Make, checkout: Path
) -> None:
    write(checkout, {"a": ""})
    both = await asyncio.gather(*(builder.build(request_for(command="sleep 0.1"), lambda _line: None) for _ in "12"))
    assert sorted(built.cached for built in both) == [False, True]
    assert both[0].artifact == both[1].artifact


@pytest.mark.parametrize("damage", ["artifact.json", "app/main.py"])
async def test_a_damaged_artifact_is_built_again(
    builder: Builder, request_for: Make, checkout: Path, damage: str
) -> None:
    write(checkout, {"main.py": "x = 1\n", "b.py": ""})
    request = request_for("python")
    first = await builder.build(request, lambda _line: None)
    (first.artifact.path / damage).unlink()
    assert builder.store.get(first.artifact.key) is None
    again = await builder.build(request, lambda _line: None)
    assert (again.cached, again.artifact) == (False, first.artifact)
    assert (again.artifact.path / damage).exists()


async def test_a_layer_without_its_interpreter_is_made_again(
    golive_home: Home, builder: Builder, request_for: Make, checkout: Path
) -> None:
    write(checkout, {"main.py": "x = 1\n"})
    first = await builder.build(request_for("python"), lambda _line: None)
    assert first.artifact.layer
    python = golive_home.layers / first.artifact.layer / "bin/python"
    python.unlink()
    python.symlink_to("/usr/bin/python-that-was-removed")
    again = await builder.build(request_for("python"), lambda _line: None)
    assert not again.layer_cached
    assert builder.store.get(first.artifact.key) == again.artifact


async def test_prune_keeps_what_a_release_needs(
    golive_home: Home, builder: Builder, request_for: Make, checkout: Path
) -> None:
    keys = []
    for n in range(3):
        write(checkout, {"main.py": f"x = {n}\n"})
        keys.append((await builder.build(request_for("python"), lambda _line: None)).artifact.key)
    assert [artifact.key for artifact in builder.store.list()] == keys[::-1]
    pruned = await builder.prune([keys[0]], 0)
    assert set(pruned.removed) == set(keys[1:])
    assert pruned.bytes > 0
    kept = builder.store.get(keys[0])
    assert kept is not None
    assert kept.layer
    assert set(builder.store.sizes()) == {keys[0], kept.layer}
    assert len(list((golive_home.cache / "bytecode").rglob("*"))) == 2  # the folder, and what the kept one links to


async def test_static_folders(builder: Builder, request_for: Make, checkout: Path, nothing_left: Left) -> None:
    write(checkout, {"index.html": "<p>one</p>", ".env": "A=canary"})
    built = await builder.build(request_for("static"), lambda _line: None)
    assert (built.artifact.app / "files/index.html").read_text() == "<p>one</p>"
    assert built.artifact.argv is None
    write(checkout, {"index.html": "<p>two</p>"})
    changed = await builder.build(request_for("static"), lambda _line: None)
    assert not changed.cached
    command = "mkdir out && tr a-z A-Z < index.html > out/index.html"
    made = await builder.build(request_for("static", command=command, output="out"), lambda _line: None)
    assert (made.artifact.app / "files/index.html").read_text() == "<P>TWO</P>"
    outside = await failure_of(builder, request_for("static", command="ln -s /etc out", output="out"))
    assert "is outside the source" in outside.what
    assert len(nothing_left()) == 3
