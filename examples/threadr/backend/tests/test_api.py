"""The API over HTTP, with PostgreSQL, Redis and the language model for real."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from conftest import KEY, SECRET
from servers import Api
from upstream_server import Upstream

ARTICLE = "This is a sentence of an article about nothing at all. " * 12


def events(client: httpx.Client, path: str, headers: dict[str, str] | None = None) -> list[tuple[str, Any, str]]:
    """Name, data and id of every event up to the last one."""
    found = []
    with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in response.iter_lines():
            key, _, value = line.partition(": ")
            if key:
                event[key] = value
            elif "event" in event:
                found.append((event["event"], json.loads(event["data"]), event.get("id", "")))
                event = {}
    return found


def generated(client: httpx.Client, text: str = ARTICLE) -> tuple[dict[str, Any], list[tuple[str, Any, str]]]:
    answer = client.post("/api/generate", json={"content": text})
    assert answer.status_code == 202, answer.text
    return answer.json(), events(client, answer.json()["events"])


def test_an_article_becomes_a_saved_thread(api: Api) -> None:
    with api.client() as client:
        accepted, told = generated(client)
        assert [name for name, _, _ in told] == ["started", "post", "post", "post", "done"]
        thread = client.get(accepted["thread"]).json()
        assert thread["status"] == "done"
        assert thread["posts"] == [data["text"] for name, data, _ in told if name == "post"]
        assert all(len(post) <= 280 for post in thread["posts"])
        assert thread["posts"][0].startswith("1/3 This is a sentence")
        assert client.get("/api/threads").json()["threads"] == [thread]


def test_a_stream_goes_on_where_it_was(api: Api) -> None:
    with api.client() as client:
        accepted, told = generated(client)
        again = events(client, accepted["events"], {"Last-Event-ID": told[2][2]})
        assert again == told[3:]
        assert events(client, accepted["events"], {"Last-Event-ID": "nonsense"}) == told


def test_any_instance_tells_what_another_one_makes(api: Api, written: Api) -> None:
    with api.client() as client:
        accepted, told = generated(client)
        with httpx.Client(base_url=written.url, cookies=dict(client.cookies), timeout=10) as elsewhere:
            assert events(elsewhere, accepted["events"]) == told


def test_a_thread_is_its_clients_own(api: Api) -> None:
    with api.client() as one, api.client() as other:
        accepted, _ = generated(one)
        assert other.get("/api/threads").json() == {"threads": []}
        assert other.get(accepted["thread"]).status_code == 404
        assert other.get(accepted["events"]).status_code == 404
        assert other.get("/api/threads/not-a-uuid").status_code == 422


def test_the_plan_runs_out_and_says_when_it_is_back(api: Api) -> None:
    with api.client() as client:
        assert client.get("/api/plan").json()["day"]["left"] == 5
        for left in (4, 3, 2, 1, 0):
            answer = client.post("/api/generate", json={"content": "Hello."})
            assert answer.json()["plan"]["day"]["left"] == left
        refused = client.post("/api/generate", json={"content": "Hello."})
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 86400
        assert refused.headers["RateLimit-Policy"] == '"day";q=5;w=86400, "month";q=20;w=2592000'
        assert '"day";r=0;' in refused.headers["RateLimit"]
        assert "used up" in refused.json()["error"]
        assert len(client.get("/api/threads").json()["threads"]) == 5


@pytest.mark.parametrize("body", [{}, [], *({"content": content} for content in ("", " \n\x00", 7, "x" * 50_001))])
def test_bad_articles_are_refused_and_cost_nothing(api: Api, body: Any) -> None:
    with api.client() as client:
        answer = client.post("/api/generate", json=body)
        assert answer.status_code == 422
        assert answer.json()["problems"]
        assert len(answer.content) < 500
        assert client.get("/api/plan").json()["day"]["left"] == 5


def test_text_that_postgresql_cannot_hold_is_mended(api: Api) -> None:
    with api.client() as client:
        raw = b'{"content": "a\\u0000b \\ud800 c"}'
        accepted = client.post("/api/generate", content=raw, headers={"Content-Type": "application/json"}).json()
        events(client, accepted["events"])
        assert client.get(accepted["thread"]).json()["posts"] == ["a b \ufffd c"]


def test_the_language_model_writes_when_there_is_a_key(written: Api, upstream: Upstream) -> None:
    with written.client() as client:
        accepted, told = generated(client)
        thread = client.get(accepted["thread"]).json()
    assert thread["written_by"] == "model"
    assert thread["posts"] == ["A first thought.\n\nA second thought."]
    assert ("asking", {"model": "gpt-4o-mini"}) in [(name, data) for name, data, _ in told]
    asked = upstream.requests[-1]
    assert asked["path"] == "/v1/chat/completions"
    assert asked["headers"]["authorization"] == f"Bearer {KEY}"
    assert asked["body"]["messages"][1]["content"] == ARTICLE.strip()


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        ({"delay": 1.5}, "did not answer within 0.5 s"),
        ({"status": 500}, "answered 500"),
        ({"status": 401}, "refused the server's key"),
        ({"text": None}, "no usable text"),
    ],
)
def test_threadr_splits_when_the_model_fails(
    written: Api, upstream: Upstream, change: dict[str, Any], notice: str
) -> None:
    before = vars(upstream).copy()
    vars(upstream).update(change)
    try:
        with written.client() as client:
            accepted, told = generated(client)
            thread = client.get(accepted["thread"]).json()
    finally:
        vars(upstream).update(before)
    assert (thread["status"], thread["written_by"]) == ("done", "threadr")
    assert notice in thread["notice"]
    assert told[-1][1]["notice"] == thread["notice"]


def test_the_key_is_in_no_log_and_no_answer(written: Api) -> None:
    with written.client() as client:
        _, told = generated(client)
    assert KEY not in written.log.read_text()
    assert KEY not in json.dumps(told)
    assert SECRET not in written.log.read_text()


def test_cors_answers_only_listed_origins(api: Api) -> None:
    for origin in ("https://threadr.localhost", "https://other.example"):
        answer = httpx.get(f"{api.url}/api/plan", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
    stranger = httpx.get(f"{api.url}/api/plan", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers
    asks = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{api.url}/api/generate", headers=asks).status_code == 200


def test_the_cookie_cannot_be_read_by_scripts(api: Api) -> None:
    plain = httpx.get(f"{api.url}/api/plan").headers["set-cookie"]
    assert "HttpOnly" in plain and "SameSite=lax" in plain and "Secure" not in plain
    assert "Secure" in httpx.get(f"{api.url}/api/plan", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]


def test_the_socket_echoes_and_tells_progress(api: Api) -> None:
    with api.client() as client:
        accepted, told = generated(client)
        headers = {"Cookie": f"threadr_client={client.cookies['threadr_client']}"}
    with connect(api.url.replace("http", "ws") + "/api/ws", additional_headers=headers) as socket:
        hello = json.loads(socket.recv(5))
        assert (hello["type"], hello["release"]) == ("hello", "7")
        socket.send(json.dumps({"type": "ping", "data": {"n": 1}}))
        pong = json.loads(socket.recv(5))
        assert (pong["type"], pong["data"]) == ("pong", {"n": 1})
        socket.send(json.dumps({"type": "watch", "id": accepted["id"]}))
        assert [json.loads(socket.recv(5))["type"] for _ in told] == [name for name, _, _ in told]
        for bad in ("not json", "[]", json.dumps({"type": "watch", "id": "x"}), b"bytes"):
            socket.send(bad)
            assert json.loads(socket.recv(5))["type"] == "error"


def test_the_socket_refuses_other_origins(api: Api) -> None:
    url = api.url.replace("http", "ws") + "/api/ws"
    with pytest.raises(InvalidStatus):
        connect(url, origin="https://evil.example")
    with connect(url, origin="https://other.example") as socket:
        assert json.loads(socket.recv(5))["type"] == "hello"


def test_every_tab_hears_of_a_new_thread(api: Api) -> None:
    with api.client() as client:
        client.get("/api/plan")
        with client.stream("GET", "/api/events") as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("event")) == "event: hello"
            next(line for line in lines if line.startswith(": beat"))
            accepted, _ = generated(client)
            data = next(line for line in lines if line.startswith('data: {"id"'))
            assert json.loads(data.removeprefix("data: ")) == {"id": accepted["id"]}
    assert httpx.get(f"{api.url}/api/events").status_code == 401


def test_logs_are_json_with_the_requests_id(api: Api) -> None:
    answer = httpx.get(f"{api.url}/api/plan?token=canary", headers={"X-Request-Id": "edge-1234567"})
    assert answer.headers["X-Request-Id"] == "edge-1234567"
    made = httpx.get(f"{api.url}/api/plan", headers={"X-Request-Id": "a bad id"}).headers["X-Request-Id"]
    assert len(made) == 32
    lines = [json.loads(line) for line in api.log.read_text().splitlines()]
    mine = next(line for line in lines if line.get("request_id") == "edge-1234567")
    assert (mine["method"], mine["path"], mine["status"]) == ("GET", "/api/plan", 200)
    assert "canary" not in api.log.read_text()


def test_unknown_paths_answer_json(api: Api) -> None:
    assert httpx.get(f"{api.url}/api/nothing").json() == {"error": "Not Found"}


def test_health_tells_the_release_and_how_long_it_is_up(api: Api) -> None:
    health = httpx.get(f"{api.url}/health").json()
    assert (health["status"], health["release"]) == ("ok", "7")
    assert time.monotonic() > health["uptime"] >= 0
