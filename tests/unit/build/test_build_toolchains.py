"""Which Node or Go a project gets: npm's ranges, and the machine's own before a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.build.specifier import in_range, parse_version
from golive.build.toolchains import Found, choose
from golive.engines.catalog import CATALOG, LINUX, LINUX_ARM, MAC_ARM


@pytest.mark.parametrize(
    ("text", "fitting", "other"),
    [
        (None, "18.0.0 24.1.0", ""),
        ("*", "18.0.0 24.1.0", ""),
        ("20", "20.0.0 20.19.1", "21.0.0 19.9.9"),
        ("v20.11.1", "20.11.1", "20.11.2"),
        ("20.x", "20.0.0 20.19.1", "21.0.0"),
        ("20.11.x", "20.11.0 20.11.7", "20.12.0"),
        (">=18", "18.0.0 24.0.0", "17.9.9"),
        (">= 18.17.0", "18.17.0 20.0.0", "18.16.9"),
        (">=18 <21", "18.0.0 20.9.9", "21.0.0 17.0.0"),
        (">18", "19.0.0", "18.9.0"),
        ("<=20", "20.19.0 18.0.0", "21.0.0"),
        ("^20.11.1", "20.11.1 20.19.0", "20.11.0 21.0.0"),
        ("^0.12.3", "0.12.9", "0.13.0"),
        ("~20.11", "20.11.0 20.11.9", "20.12.0"),
        ("~20", "20.0.0 20.19.0", "21.0.0"),
        ("18 || 20 || >=22", "18.1.0 20.1.0 22.0.0 24.0.0", "19.0.0 21.9.0"),
        ("18 - 20", "18.0.0 20.19.9", "21.0.0"),
        ("18.2.1 - 20.1", "18.2.1 20.1.9", "18.2.0 20.2.0"),
        ("lts/*", "20.1.0 22.0.0", "21.0.0"),
        ("lts/iron", "20.19.0", "22.0.0"),
        (">=20.0.0-rc.1", "20.0.0", "19.0.0"),
        ("x", "20.0.0", ""),
    ],
)
def test_ranges_are_read_as_npm_reads_them(text: str | None, fitting: str, other: str) -> None:
    assert [v for v in fitting.split() if not in_range(text, parse_version(v))] == []
    assert [v for v in other.split() if in_range(text, parse_version(v))] == []


@pytest.mark.parametrize("text", ["twenty", ">=", "20..1", "20; rm -rf /", "lts/unknown"])
def test_what_is_no_range_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a Node\.js version"):
        in_range(text, (20, 0, 0))


WHEELS = tuple(entry for entry in CATALOG if entry.name == "node")
OLD = Found(Path("/usr/bin/node"), "18.19.0")
NEW = Found(Path("/opt/node/bin/node"), "20.20.2")


def test_the_newest_of_the_machine_is_taken_while_it_fits() -> None:
    chosen = choose("node", ">=18", (OLD, NEW), WHEELS)
    assert (chosen.version, chosen.bin, chosen.wheel) == ("20.20.2", Path("/opt/node/bin"), None)
    assert choose("node", "18.x", (OLD, NEW), WHEELS).bin == Path("/usr/bin")


def test_one_that_cannot_be_used_is_passed_over() -> None:
    closed = Found(NEW.path, NEW.version, "closed to the user golive-shop")
    assert choose("node", None, (OLD, closed), WHEELS).version == "18.19.0"


def test_a_wheel_serves_where_the_machine_does_not() -> None:
    assert choose("node", ">=22", (OLD, NEW), WHEELS).version == "24.19.0"
    assert choose("node", "22", (OLD, NEW), WHEELS).version == "22.20.0"
    assert choose("node", None, (), WHEELS).version == "24.19.0"


def test_a_node_too_old_for_anything_is_used_only_when_asked_for() -> None:
    ancient = Found(Path("/usr/bin/node"), "12.22.0")
    assert choose("node", None, (ancient,), WHEELS).version == "24.19.0"
    assert choose("node", "12", (ancient,), WHEELS).version == "12.22.0"


def test_nothing_fits() -> None:
    with pytest.raises(LookupError):
        choose("node", ">=30", (OLD, NEW), WHEELS)


def test_go_follows_its_own_minimum() -> None:
    wheels = tuple(entry for entry in CATALOG if entry.name == "go")
    found = (Found(Path("/usr/local/go/bin/go"), "1.24.3"),)
    assert choose("go", ">=1.24", found, wheels).bin == Path("/usr/local/go/bin")
    assert choose("go", ">=1.25", found, wheels).version == "1.27.3"


@pytest.mark.parametrize("platform", [LINUX, LINUX_ARM, MAC_ARM])
def test_every_platform_has_a_wheel_of_node_and_go(platform: str) -> None:
    majors = {(e.name, e.version.rpartition(".")[0]) for e in CATALOG if platform in e.wheels}
    assert {("node", "24.19"), ("node", "22.20"), ("go", "1.27"), ("go", "1.24")} <= majors


def test_what_a_key_says_of_a_toolchain_names_its_place() -> None:
    assert choose("node", ">=18", (NEW,), WHEELS).label == "node 20.20.2 /opt/node/bin"
    assert choose("node", "24", (NEW,), WHEELS).label == "node 24.19.0 wheel"
