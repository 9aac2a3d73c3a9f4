"""Who is let in to a protected environment, and how golive's own requests pass."""

from __future__ import annotations

from typing import Any

from release_fakes import SHOP, WEB, World, blueprint

from golive.edge.model import Site
from golive.release import passing
from golive.release.maintenance import passing as sent
from golive.release.traffic import edge_config
from golive.secret import Secret
from golive.state.records import Release


def site(world: World) -> Site:
    (found,) = edge_config(world.host).sites
    return found


async def test_nothing_is_sent_or_made_where_nothing_stops_anybody(world: World) -> None:
    await world.live(blueprint({"web": WEB}))
    assert (site(world).probe, site(world).protected, sent(world.host, SHOP)) == (None, None, ())


async def test_golives_requests_carry_what_the_edge_asks_for(world: World) -> None:
    await world.live(blueprint({"web": WEB}, edge={"shield": {}}))
    probe = site(world).probe
    assert probe
    assert sent(world.host, SHOP) == (("x-golive-probe", probe.reveal()),)
    assert probe.reveal() not in repr(site(world))


async def test_a_link_is_the_same_until_the_password_changes(world: World) -> None:
    protect: dict[str, Any] = {"password": "PREVIEW", "link": True}
    made = blueprint({"web": WEB}, protect=protect, env={"PREVIEW": {"type": "secret"}})
    await world.live(made)
    # A release without the value: nobody is let in, rather than everybody.
    guard = site(world).protected
    assert guard
    assert (guard.password, guard.link) == (None, False)
    keys = []
    for number, value in ((2, "one"), (3, "two"), (4, "one")):
        text = made.model_dump_json(by_alias=True)
        row = Release(SHOP, number, "ready", text, {"web": "a"}, None, 0.0, "me")
        world.state.add_release(row, {"web": {"PREVIEW": Secret(value)}})
        await world.deploy(number)
        guard = site(world).protected
        assert guard
        assert guard.password == Secret(value)
        keys.append(guard.key.reveal())
    assert keys[0] == keys[2] != keys[1]
    world.host.opened.url = lambda domain, https=True: f"https://{domain}"  # type: ignore[union-attr, method-assign, assignment]
    assert passing.links(world.host, SHOP) == [f"https://shop.localhost/.golive/pass?key={keys[0]}"]
