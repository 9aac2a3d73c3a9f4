"""HTTP/1.1 request heads as Envoy sends them, read strictly: what is not plainly a request is refused.

Only golive's own Envoy reaches this parser, through a socket of mode 0600. It still trusts nothing: whatever would make
two readers disagree about where a message ends (RFC 9112 §6.3, §11.2) closes the connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

MAX_HEAD: Final = 64 * 1024
"""Bytes; Envoy's own default limit is 60 KiB."""

UNTIL_CLOSE: Final = -1
"""Length of a body whose end is not looked for (chunked): the connection is closed after the answer."""


class Malformed(Exception):
    """The bytes are no request that is answered; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Request(NamedTuple):
    """A request head. Header names are in lower case, repeated ones joined by commas."""

    method: str
    target: str
    headers: Mapping[str, str]
    keep_alive: bool = True
    body: int = 0


def parse(head: bytes) -> Request:
    """The request in `head`, which is everything up to and without the empty line. Raises Malformed."""
    text = head.decode("latin-1")
    lines = text.split("\r\n")
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise Malformed(400)
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise Malformed(400) from None
    headers: dict[str, str] = {}
    for i in range(1, len(lines)):
        name, colon, value = lines[i].partition(":")
        if not colon or not name or " " in name or "\t" in name:
            raise Malformed(400)
        name = name.lower()
        value = value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if version != "HTTP/1.1":
        if version != "HTTP/1.0":
            raise Malformed(505)
        return Request(method, target, headers, False, _body(headers))
    if "content-length" in headers or "transfer-encoding" in headers:
        return Request(method, target, headers, _keeps_alive(headers), _body(headers))
    return Request(method, target, headers, "connection" not in headers or _keeps_alive(headers))


def _keeps_alive(headers: Mapping[str, str]) -> bool:
    options = headers.get("connection", "").lower().replace(" ", "").split(",")
    return "close" not in options and "transfer-encoding" not in headers


def _body(headers: Mapping[str, str]) -> int:
    """Bytes of body to be skipped before the next request."""
    length = headers.get("content-length")
    if "transfer-encoding" in headers:
        if length is not None:
            raise Malformed(400)
        return UNTIL_CLOSE
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise Malformed(400)
    return int(length)
