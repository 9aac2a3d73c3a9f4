"""What happens when something dies. Each test leaves everything running."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from servers import Api, Server, api, wait_for
from test_api import generated


def readiness(running: Api) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{running.url}/readiness", timeout=5)
    return answer.status_code, answer.json()["checks"]


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_killed_store_is_named_and_comes_back(
    api: Api, database: tuple[Server, str], cache: tuple[Server, str], name: str
) -> None:
    server = database[0] if name == "postgres" else cache[0]
    with api.client() as client:
        accepted, _ = generated(client)
        assert readiness(api)[0] == 200
        server.kill()
        try:
            status, checks = readiness(api)
            assert status == 503
            assert [key for key, check in checks.items() if not check["ok"]] == [name]
            refused = client.post("/api/generate", json={"content": "Hello."})
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "2"
            assert "not available" in refused.json()["error"]
            assert httpx.get(f"{api.url}/health").status_code == 200
            time.sleep(3)  # longer than the pool's own patience, which is what could keep it from coming back
        finally:
            server.start()
        wait_for(lambda: readiness(api)[0] == 200, "readiness", 6)
        assert client.get(accepted["thread"]).json()["status"] == "done"
        generated(client)


def test_a_stop_ends_streams_and_sockets_cleanly(home: Path, environment: dict[str, str]) -> None:
    with api(home, **environment) as own, own.client() as client:
        client.get("/api/plan")
        heard: list[str] = []

        def listen() -> None:
            with client.stream("GET", "/api/events") as stream:
                for line in stream.iter_lines():
                    heard.append(line)

        listener = threading.Thread(target=listen)
        with connect(own.url.replace("http", "ws") + "/api/ws") as socket:
            assert json.loads(socket.recv(5))["type"] == "hello"
            listener.start()
            wait_for(lambda: "event: hello" in heard, "the stream")
            started = time.monotonic()
            own.server.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        own.server.process.wait(10)
        listener.join(5)
        assert time.monotonic() - started < 5
        assert "event: restart" in heard
        assert "Traceback" not in own.log.read_text()


def test_what_was_under_way_at_a_stop_is_finished(home: Path, environment: dict[str, str], upstream: Any) -> None:
    before, upstream.delay = upstream.delay, 1.0
    more = {"OPENAI_API_KEY": "sk-x-canary", "OPENAI_BASE_URL": upstream.url, "OPENAI_TIMEOUT": "5"}
    try:
        with api(home, **environment, **more) as own, own.client() as client:
            accepted = client.post("/api/generate", json={"content": "Hello."}).json()
            assert own.server.stop() in (0, -signal.SIGTERM)
            cookies = dict(client.cookies)
    finally:
        upstream.delay = before
    with api(home, **environment) as other:
        found = httpx.get(other.url + accepted["thread"], cookies=cookies).json()
    assert (found["status"], found["written_by"]) == ("done", "model")


def test_a_variable_that_cannot_be_used_stops_the_start(home: Path) -> None:
    said = "RATE_LIMIT_DAILY has to be a number, not 'many'"
    with pytest.raises(AssertionError, match=said), api(home, RATE_LIMIT_DAILY="many"):
        pass
