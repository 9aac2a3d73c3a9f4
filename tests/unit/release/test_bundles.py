"""What is said of the JavaScript of a release's pages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from release_fakes import SHOP, WEB, World, blueprint

from golive.build.artifact import PageSize
from golive.cli.bundle import rows
from golive.errors import BuildFailed, NotFound
from golive.release import bundles

KB = 1000


def page(route: str, size: int) -> PageSize:
    return PageSize(route=route, raw=3 * size, gzip=size, files=("app.js",))


FIRST = (page("/", 90 * KB), page("/about", 95 * KB))
SECOND = (page("/", 91 * KB), page("/about", 120 * KB), page("/new", 50 * KB))


@pytest.fixture
def shop(world: World) -> World:
    """Two releases of one front end, the second one live."""
    made = {"one": FIRST, "two": SECOND, "plain": ()}
    store: Any = SimpleNamespace(get=lambda key: SimpleNamespace(bundle=made[key]) if key in made else None)
    world.host.builder = SimpleNamespace(store=store)  # type: ignore[assignment]
    world.release(blueprint({"web": WEB}), 1, artifact="one")
    world.release(blueprint({"web": WEB}, build={"bundle_budget": "100KB"}), 2, artifact="two")
    return world


def test_a_report_has_every_page_its_growth_and_the_budget(shop: World) -> None:
    found = bundles.report(shop.host, SHOP, 2)
    assert (found["release"], found["before"], found["budget"]) == (2, 1, 100 * KB)
    assert [(p["route"], p["gzip"], p["growth"], p["over_budget"]) for p in found["pages"]] == [
        ("/about", 120 * KB, 25 * KB, True),
        ("/", 91 * KB, KB, False),
        ("/new", 50 * KB, 50 * KB, False),
    ]
    assert [(row[1], row[2], row[4], row[5]) for row in rows(found)] == [
        ("/about", "120.0 KB", "+25.0 KB", "over budget"),
        ("/", "91.0 KB", "+1.0 KB", ""),
        ("/new", "50.0 KB", "new", ""),
    ]


def test_the_first_release_has_no_growth(shop: World) -> None:
    found = bundles.report(shop.host, SHOP, 1)
    assert found["before"] is None
    assert [row[4] for row in rows(found)] == ["", ""]
    with pytest.raises(NotFound, match="no live release"):
        bundles.report(shop.host, SHOP)


def test_a_deploy_says_which_page_changed_most(shop: World) -> None:
    said = bundles.check(shop.host, SHOP, {"web": "two"}, 1, None)
    assert said == "/new loads 50.0 KB more JavaScript (50.0 KB), and 1 more changed: golive bundle"
    assert bundles.check(shop.host, SHOP, {"web": "one"}, 1, None) == ""
    assert bundles.check(shop.host, SHOP, {"web": "one"}, 2, None).startswith(
        "/about loads 25.0 KB less JavaScript (95.0 KB)"
    )
    assert bundles.check(shop.host, SHOP, {"web": "two"}, None, None) == "", "a first deploy has nothing to compare"
    assert bundles.check(shop.host, SHOP, {"web": "plain"}, 1, None) == ""


def test_the_budget_holds_for_what_was_built_before_there_was_one(shop: World) -> None:
    with pytest.raises(BuildFailed, match=r"1 page loads more JavaScript than 100\.0 KB"):
        bundles.check(shop.host, SHOP, {"web": "two"}, 2, 100 * KB)


def test_small_changes_are_not_worth_a_word() -> None:
    now = {"web": (page("/", 90 * KB + 500),)}
    assert bundles.sentence(now, {"web": (page("/", 90 * KB),)}) == ""
