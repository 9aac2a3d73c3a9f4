"""The request parser: plain requests are read, everything doubtful is refused."""

from __future__ import annotations

import pytest

from golive.edge.static_http import UNTIL_CLOSE, Malformed, Request, parse


def test_a_plain_request() -> None:
    request = parse(b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-Golive-Root:k1\r\nAccept: a\r\naccept:\tb \r\nempty:")
    headers = {"host": "x", "x-golive-root": "k1", "accept": "a, b", "empty": ""}
    assert request == Request("GET", "/a?b", headers, True, 0)


@pytest.mark.parametrize(
    ("head", "keep_alive", "body"),
    [
        (b"GET / HTTP/1.1", True, 0),
        (b"GET / HTTP/1.0", False, 0),
        (b"GET / HTTP/1.1\r\nconnection: close", False, 0),
        (b"GET / HTTP/1.1\r\nConnection: Keep-Alive, Close", False, 0),
        (b"GET / HTTP/1.1\r\nconnection: keep-alive", True, 0),
        (b"POST / HTTP/1.1\r\ncontent-length: 12", True, 12),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked", False, UNTIL_CLOSE),
    ],
)
def test_where_a_message_ends(head: bytes, keep_alive: bool, body: int) -> None:
    request = parse(head)
    assert (request.keep_alive, request.body) == (keep_alive, body)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET / a HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\n: no name",
        b"GET / HTTP/1.1\r\nname : v",
        b"GET / HTTP/1.1\r\na: b\r\n folded",
        b"GET / HTTP/1.1\na: b",
        b"GET / HTTP/1.1\r\na: b\rc",
        b"GET / HTTP/1.1\r\na: \0",
        b"POST / HTTP/1.1\r\ncontent-length: -1",
        b"POST / HTTP/1.1\r\ncontent-length: +1",
        b"POST / HTTP/1.1\r\ncontent-length: 1, 1",
        b"POST / HTTP/1.1\r\ncontent-length: \xb2",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked",
    ],
)
def test_what_is_not_plainly_a_request_is_refused(head: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        parse(head)
    assert refusal.value.status == 400


def test_other_versions() -> None:
    with pytest.raises(Malformed) as refusal:
        parse(b"GET / HTTP/2.0")
    assert refusal.value.status == 505
