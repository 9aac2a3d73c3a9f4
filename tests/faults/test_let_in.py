"""What lets golive in to a protected environment goes there, and nowhere else."""

from __future__ import annotations

import pytest
from faults_server import Good, Request, Response, served

from golive.checks import web as webs
from golive.checks.web import Bounds, Entry, Web
from golive.secret import Secret

COOKIE = "golive-key=5f1d2a"


def cookies(good: Good) -> list[str]:
    return [request.headers.get("cookie", "") for request in good.asked]


async def test_the_cookie_is_for_one_origin_alone() -> None:
    own, other = Good(), Good()
    async with served(own, None) as port, served(other, None) as next_door:

        def lead_away(request: Request, response: Response) -> None:
            if request.path == "/":
                response.status, response.headers["location"] = 302, f"http://localhost:{next_door}/health"

        own.changes.append(lead_away)
        origin = f"http://localhost:{port}"
        web = Web(origin, Bounds(timeout=30), Entry(frozenset({origin}), Secret(COOKIE)))
        try:
            elsewhere, here = await web.follow(f"{origin}/")
            spelled = await web.ask(f"http://LOCALHOST:{port}/health")
            same_machine = await web.ask(f"http://127.0.0.1:{port}/health")
        finally:
            await web.close()
    assert cookies(own) == [COOKIE, COOKIE, ""]
    assert cookies(other) == [""]
    asked = [here, elsewhere, spelled, same_machine]
    assert "5f1d2a" not in "".join(str(one.sent) + one.evidence().asked + one.evidence().came for one in asked)


async def test_a_name_that_leads_to_another_machine_gets_no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(frozenset({"https://shop.example"}), Secret(COOKIE))
    web = Web("https://shop.example/", entry=entry)

    async def resolved(host: str) -> list[str]:
        return found

    monkeypatch.setattr(webs, "addresses", resolved)
    try:
        found = ["93.184.216.34"]
        assert await web.hidden("https://shop.example/") == ()
        found = ["127.0.0.1", "93.184.216.34"]
        assert await web.hidden("https://shop.example/") == ()
        found = ["127.0.0.1"]
        assert await web.hidden("https://shop.example/") == (("cookie", COOKIE),)
        assert await web.hidden("http://shop.example/") == ()
        assert await web.hidden("https://shop.example:8443/") == ()
    finally:
        await web.close()


async def test_a_name_that_moves_away_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From when the cookie was sent on, the name is what it was."""
    good = Good()
    async with served(good, None) as port:
        origin = f"http://shop.example:{port}"
        web = Web(origin, Bounds(timeout=30), Entry(frozenset({origin}), Secret(COOKIE)))
        answers = [["127.0.0.1"], ["93.184.216.34"]]

        async def resolved(host: str) -> list[str]:
            return answers.pop(0) if len(answers) > 1 else answers[0]

        monkeypatch.setattr(webs, "addresses", resolved)
        try:
            assert (await web.ask(f"{origin}/health")).status == 200
        finally:
            await web.close()
    assert cookies(good) == [COOKIE]
