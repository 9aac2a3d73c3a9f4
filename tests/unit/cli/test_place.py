"""Which app a command is about, and what is said where that cannot be known."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.cli.place import Target, find
from golive.errors import BlueprintError, UsageError


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "my shop"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "golive.toml").write_text('name = "shop"\n')
    return folder


def test_the_nearest_file_at_or_above(shop: Path) -> None:
    wanted = Target("shop", "production", shop)
    assert find(shop, "production") == find(shop / "deep/er", "production") == wanted
    assert find(shop / "golive.toml", "production") == wanted
    assert str(wanted) == "shop (production)"


def test_by_name_no_file_is_needed(tmp_path: Path) -> None:
    assert find(tmp_path / "nowhere", "preview/a.b", "shop") == Target("shop", "preview/a.b", None)


def refused(directory: Path, environment: str = "production", app: str | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        find(directory, environment, app)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_mistyped_directory_is_not_the_one_above_it(shop: Path) -> None:
    """`golive up depe` inside a checkout must not deploy the checkout."""
    error = refused(shop / "depe")
    assert error.what == f"there is no directory {shop / 'depe'}"
    assert error.hint == str(shop / "deep")


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    error = refused(tmp_path / "empty")
    assert error.what.startswith("there is no golive.toml in ")
    assert "golive init" in (error.hint or "")


def test_a_checkout_one_level_down_is_named(shop: Path) -> None:
    assert "my shop has one" in (refused(shop.parent).hint or "")


def test_a_file_that_is_nearly_named_so(tmp_path: Path) -> None:
    (tmp_path / "golvie.toml").touch()
    assert refused(tmp_path).hint == "is it golvie.toml? Its name must be golive.toml"


def test_a_file_is_not_a_directory(shop: Path) -> None:
    (shop / "app.py").touch()
    assert refused(shop / "app.py").what == f"{shop / 'app.py'} is a file"


@pytest.mark.parametrize("name", ["Prod", "", "a/b/c", "../x", "a b"])
def test_names_of_environments(shop: Path, name: str) -> None:
    assert "is not an environment's name" in refused(shop, name).what


@pytest.mark.parametrize("name", ["Shop", "", "-x", "a" * 40, "../x"])
def test_names_of_apps(shop: Path, name: str) -> None:
    assert "is not an app's name" in refused(shop, app=name).what


@pytest.mark.parametrize("text", ["not toml", "name = 3", 'name = "Not A Name"', "\xff"])
def test_a_file_that_cannot_be_read_is_judged_in_full(tmp_path: Path, text: str) -> None:
    (tmp_path / "golive.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(BlueprintError) as caught:
        find(tmp_path, "production")
    assert "golive.toml" in str(caught.value)
