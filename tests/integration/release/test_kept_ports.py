"""The edge's ports are kept from start to start, unless somebody took one while Envoy was down."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from golive.home import Home
from golive.release.gateway import _ports


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    home.edge.mkdir(parents=True)
    return home


@pytest.fixture
def taken() -> Iterator[int]:
    """Somebody else listens on every address."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def free() -> int:
    with socket.create_server(("0.0.0.0", 0)) as server:
        return int(server.getsockname()[1])


def keep(home: Home, http: int, https: int) -> None:
    (home.edge / "ports.json").write_text(json.dumps({"http": http, "https": https}))


def kept(home: Home) -> tuple[int, int]:
    found = json.loads((home.edge / "ports.json").read_text())
    return found["http"], found["https"]


def test_the_first_choice_is_kept(home: Home) -> None:
    http, https, _ = _ports(home, running=False)
    assert kept(home) == (http, https)
    assert http != https


def test_ports_that_are_free_stay(home: Home) -> None:
    keep(home, free(), free())
    before = kept(home)
    assert _ports(home, running=False) == (*before, ())
    assert kept(home) == before


def test_others_are_chosen_when_somebody_took_one(home: Home, taken: int) -> None:
    keep(home, free(), taken)
    http, https, notes = _ports(home, running=False)
    assert taken not in (http, https)
    assert kept(home) == (http, https)
    assert notes[0].startswith(f"port {taken} is no longer free: ")


def test_the_ports_of_a_running_edge_are_its_own(home: Home, taken: int) -> None:
    keep(home, free(), taken)
    before = kept(home)
    assert _ports(home, running=True) == (*before, ())
