"""Whether an engine does the work, before and after it is measured: a row that does not is refused."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

from benchmarks.peers import HOST, Engine, Lab
from benchmarks.processes import wait_for

REQUESTS = 40


class RefusedError(Exception):
    """What the engine does not do."""


class Connection(HTTPConnection):
    """HTTP/1.1 over TLS to a loopback port under a name of our own, from an address of the loopback."""

    def __init__(self, port: int, context: ssl.SSLContext, host: str = HOST, source: str = "127.0.0.1") -> None:
        super().__init__(host, port, timeout=10)
        self._context, self._source = context, source

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(self._source, 0))
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def trusting(chain: Path, protocols: list[str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(chain))
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


@contextmanager
def connection(engine: Engine, lab: Lab) -> Iterator[HTTPConnection]:
    made = Connection(engine.port, trusting(lab.chain, ["http/1.1"]))
    try:
        yield made
    finally:
        made.close()


def prove(engine: Engine, lab: Lab, path: str, expected: bytes) -> None:
    """The right body, the headers, HTTP/2 on offer, and one JSON log line for each request. RefusedError otherwise."""
    wait_for("the first answer", lambda: _answers(engine, lab, path), seconds=10)
    time.sleep(1.5)  # its line is written, whatever is buffered
    before = lines(engine.log)
    with connection(engine, lab) as http:
        for _ in range(REQUESTS):
            http.request("GET", path)
            response = http.getresponse()
            body = response.read()
            if response.status != 200 or body != expected:
                raise RefusedError(f"answers {response.status} with {len(body)} bytes that are not the upstream's")
            _prove_headers(response, lab)
    with (
        socket.create_connection(("127.0.0.1", engine.port), timeout=10) as plain,
        trusting(lab.chain, ["h2"]).wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        if secure.selected_alpn_protocol() != "h2":
            raise RefusedError("does not offer HTTP/2")
    _prove_log(engine.log, before)


def _answers(engine: Engine, lab: Lab, path: str) -> bool:
    """Configuration files are read a little after the port is open."""
    try:
        with connection(engine, lab) as http:
            http.request("GET", path)
            return http.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def _prove_headers(response: HTTPResponse, lab: Lab) -> None:
    wrong = [name for name, value in lab.headers.items() if response.getheader(name) != value]
    if wrong:
        raise RefusedError(f"does not set {', '.join(wrong)}")


def _prove_log(log: Path, before: int) -> None:
    expected = before + REQUESTS
    deadline = time.monotonic() + 15
    while lines(log) < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    if (written := lines(log)) != expected:
        raise RefusedError(f"wrote {written - before} log lines for {REQUESTS} requests")
    with log.open() as file:
        if "status" not in json.dumps(json.loads(list(file)[-1])).lower():
            raise RefusedError("its log lines are not JSON with a status")


def prove_logged(engine: Engine, requests: int) -> None:
    """After a load of so many requests: each has its line. The log is emptied, so that disks stay free."""
    deadline = time.monotonic() + 5
    while lines(engine.log) < requests and time.monotonic() < deadline:
        time.sleep(0.2)
    written = lines(engine.log)
    with engine.log.open("r+b") as file:
        file.truncate(0)
    if written < requests:
        raise RefusedError(f"wrote {written} log lines for {requests} requests")


def lines(log: Path) -> int:
    try:
        with log.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0
