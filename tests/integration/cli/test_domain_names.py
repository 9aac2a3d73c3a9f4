"""golive domain add and rm: golive.toml with another domain, and all else in it as it was."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from golive.cli.main import run

TEXT = """# mine
name = "shop"  # its name

[services.site]
kind = "static"
source = "site"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("hello")
    (tmp_path / "golive.toml").write_text(TEXT)
    return tmp_path


def domain(checkout: Path, verb: str, *args: str) -> int:
    return run(["domain", verb, *args, "-C", str(checkout)])


def domains(checkout: Path) -> list[str]:
    found: list[str] = tomllib.loads((checkout / "golive.toml").read_text()).get("domains", [])
    return found


def test_a_domain_is_added_with_its_records_and_taken_out(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert domain(checkout, "add", "Shop.dev.", "--address", "203.0.113.7", "--address", "2001:db8::7") == 0
    out = capsys.readouterr().out
    assert "A     shop.dev  203.0.113.7" in out
    assert "AAAA  shop.dev  2001:db8::7" in out
    assert domain(checkout, "add", "www.shop.dev", "--address", "203.0.113.7") == 0
    assert domains(checkout) == ["shop.dev", "www.shop.dev"]
    text = (checkout / "golive.toml").read_text()
    assert text.startswith('# mine\nname = "shop"  # its name\n')
    assert domain(checkout, "add", "shop.dev", "--address", "203.0.113.7") == 0
    assert "nothing to do" in capsys.readouterr().err
    assert domain(checkout, "rm", "www.shop.dev") == 0
    assert domains(checkout) == ["shop.dev"]


def test_www_leads_to_the_domain_and_goes_with_it(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert domain(checkout, "add", "shop.dev", "--www", "--address", "203.0.113.7") == 0
    out = capsys.readouterr().out
    assert "A     shop.dev  203.0.113.7" in out
    assert "A     www.shop.dev  203.0.113.7" in out
    assert domains(checkout) == ["shop.dev", "www.shop.dev"]
    edge = tomllib.loads((checkout / "golive.toml").read_text())["edge"]
    assert edge == {"redirect": {"www.shop.dev": "shop.dev"}}
    assert domain(checkout, "add", "shop.dev", "--www", "--address", "203.0.113.7") == 0
    assert "nothing to do" in capsys.readouterr().err
    assert domain(checkout, "rm", "www.shop.dev") == 0
    assert domains(checkout) == ["shop.dev"]
    assert tomllib.loads((checkout / "golive.toml").read_text())["edge"] == {"redirect": {}}
    assert domain(checkout, "add", "www.shop.dev", "--www") == 2
    assert "golive domain add shop.dev --www" in capsys.readouterr().err


def test_what_cannot_be_is_said_and_changes_nothing(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert domain(checkout, "add", "https://shop.dev") == 2
    assert "is not a domain" in capsys.readouterr().err
    assert domain(checkout, "rm", "shop.localhost") == 2
    assert "what an app without domains has" in capsys.readouterr().err
    assert domain(checkout, "add", "shop.dev", "--address", "here") == 2
    assert (checkout / "golive.toml").read_text() == TEXT
    assert domain(checkout, "add", "shop.dev", "--address", "203.0.113.7") == 0
    assert domain(checkout, "rm", "shop.dev") == 2
    assert "the only domain" in capsys.readouterr().err
    assert domain(checkout, "rm", "shp.dev") == 1
    assert "shop.dev" in capsys.readouterr().err
    assert domain(checkout, "verify", "--address", "203.0.113.7", "--resolver", "nowhere") == 2
    assert "is not a resolver" in capsys.readouterr().err
