"""Traffic by the API: shares, a canary's end by a rollback, and words for what cannot be."""

from __future__ import annotations

import asyncio
from typing import Any

from daemon_fakes import Running
from release_fakes import SHOP, WEB, blueprint

PLACE = {"app": "shop", "environment": "production"}
SLOW = {"steps": ["5%"], "every": "1h"}
RELEASE = {"verify": "0s", "stable": "0s", "canary": SLOW}


async def on_trial(running: Running) -> int:
    for number, command in ((1, "one"), (2, "two")):
        made = blueprint({"web": {**WEB, "command": command}}, release=RELEASE)
        running.world.release(made, number)
    running.gate.set()
    await running.ended(running.rollback(1))
    deployment = running.daemon.submit("rollback", SHOP, {"release": 2, "canary": True}, "me")
    async with asyncio.timeout(120):
        while SHOP not in running.host.trials:
            await asyncio.sleep(0.01)
    return deployment


async def test_a_rollback_ends_a_canary_at_once(running: Running) -> None:
    deployment = await on_trial(running)
    status, shown = await running.call("GET", "/v1/traffic?app=shop&environment=production")
    assert (status, shown["release"], shown["canary"]["release"], shown["canary"]["percent"]) == (200, 1, 2, 5)
    _, app = await running.call("GET", "/v1/status?app=shop&environment=production")
    assert [old["state"] for old in app["apps"][0]["old"]] == ["canary"]
    answer = await running.call("POST", "/v1/deployments", {**PLACE, "kind": "rollback"})
    assert answer == (200, {"canary": 2, "live": 1})
    assert running.state.deployment(deployment).state == "undone"
    assert not running.host.trials
    assert running.state.app(SHOP).live == 1  # type: ignore[union-attr]


async def test_a_canary_is_held_and_given_everything(running: Running) -> None:
    deployment = await on_trial(running)
    status, held = await running.call("POST", "/v1/traffic", {**PLACE, "percent": 30})
    assert (status, held["canary"]["percent"], held["canary"]["held"]) == (200, 30, True)
    await running.call("POST", "/v1/traffic", {**PLACE, "percent": 100})
    assert (await running.ended(deployment)).state == "done"
    audit = (await running.call("GET", "/v1/audit"))[1]["entries"]
    assert [e["detail"]["percent"] for e in audit if e["action"] == "traffic"] == [100, 30]


async def error(running: Running, body: dict[str, Any]) -> tuple[int, str]:
    status, answer = await running.call("POST", "/v1/traffic", {**PLACE, **body})
    return status, answer["error"]["what"]


async def test_what_cannot_be_is_said(running: Running) -> None:
    assert (await error(running, {"percent": 5}))[0] == 409
    assert await error(running, {"service": "web"}) == (400, "which share is web to get?")
    assert (await error(running, {"percent": 5, "over": 60}))[1] == "a canary goes by its own steps"
    assert (await error(running, {"percent": 101}))[0] == 400
    assert (await error(running, {"service": "web", "percent": 5}))[0] == 404
