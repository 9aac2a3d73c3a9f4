"""The standard gRPC health service, asked over HTTP/2 without TLS.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md and
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: both messages have one field, so that h2 is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from golive.supervise.unit import Grpc

PATH = "/grpc.health.v1.Health/Check"
STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
MEANING = {
    "UNIMPLEMENTED": "it has no grpc.health.v1.Health; register the standard health service of its gRPC library",
    "NOT_FOUND": "its health service does not know that name; give it a status, or ask with `grpc = true`",
    "UNAUTHENTICATED": "health checks carry no credentials; let them pass without",
    "PERMISSION_DENIED": "health checks carry no credentials; let them pass without",
}
MOST = 65536
"""Bytes of an answer read at most; it has 7."""
TEXT = 200
OTHERS = {b"HTTP/1": "HTTP/1", b"\x15\x03": "TLS", b"\x16\x03": "TLS"}
"""How answers of other protocols begin: a status line, a TLS alert, a TLS handshake."""
SETTINGS = b"\x04"
"""Type of the frame that a server's side of HTTP/2 begins with (RFC 9113, 3.4), after three bytes of length."""


@dataclass
class Answer:
    """What has come so far. `trailers` hold the status, of an answer without a body its headers do."""

    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False


async def check(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Grpc) -> tuple[bool, str]:
    """Whether it says SERVING, and what it said. EOFError: the connection was closed before an answer came."""
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, _headers(target))
    connection.send_data(stream, request(target.service), end_stream=True)
    writer.write(connection.data_to_send())
    answer = Answer()
    first = True
    while not answer.ended and len(answer.body) < MOST:
        data = await reader.read(MOST)
        if not data:
            raise EOFError
        if first and data[3:4] not in (b"", SETTINGS):
            other = next((name for start, name in OTHERS.items() if data.startswith(start)), "something else")
            return False, f"its gRPC port speaks {other}; golive asks HTTP/2 without TLS (h2c), as the edge does"
        first = False
        try:
            _take(answer, connection.receive_data(data), connection)
        except (ProtocolError, UnicodeDecodeError) as error:
            return False, f"its gRPC port does not speak HTTP/2 without TLS ({str(error) or type(error).__name__})"
        writer.write(connection.data_to_send())
    return judge(target.service, answer)


def _headers(target: Grpc) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", f"{target.host}:{target.port}"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "golive-probe"),
    ]


def _take(answer: Answer, events: Iterable[Event], connection: H2Connection) -> None:
    for event in events:
        if isinstance(event, ResponseReceived):
            answer.headers = _texts(event.headers)
        elif isinstance(event, TrailersReceived):
            answer.trailers = _texts(event.headers)
        elif isinstance(event, DataReceived):
            answer.body += event.data or b""
            connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, StreamEnded):
            answer.ended = True
        elif isinstance(event, StreamReset | ConnectionTerminated):
            if not answer.ended:
                answer.headers.setdefault("reset", _code(event.error_code))
            answer.ended = True


def _texts(headers: Iterable[tuple[str | bytes, str | bytes]] | None) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in headers or ()}


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _code(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else str(code)


def request(service: str) -> bytes:
    """HealthCheckRequest {string service = 1} as one gRPC message: not compressed, its length, its bytes."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes((number & 127 | 128,))
        number >>= 7
    return out + bytes((number,))


def judge(service: str, answer: Answer) -> tuple[bool, str]:
    """Pure: HealthCheckResponse {ServingStatus status = 1} and the status of the call, in words."""
    about = f"gRPC health check of {service}" if service else "gRPC health check"
    if "reset" in answer.headers:
        return False, f"{about}: the server broke it off ({answer.headers['reset']})"
    http = answer.headers.get(":status", "")
    status = answer.trailers.get("grpc-status", answer.headers.get("grpc-status"))
    if status is None:
        return False, f"{about} was answered by HTTP {http} without a gRPC status; is that port a gRPC server's?"
    if status != "0":
        code = CODES[int(status)] if status.isdecimal() and int(status) < len(CODES) else status
        said = unquote(answer.trailers.get("grpc-message", answer.headers.get("grpc-message", "")))
        why = MEANING.get(code) or " ".join(said.split())[:TEXT]
        return False, f"{about} answered {code}" + (f": {why}" if why else "")
    serving = _status(answer.body)
    return serving == "SERVING", f"{about} answered {serving}"


def _status(body: bytes) -> str:
    """Field 1 of the message; 0 is not sent. A message of another shape is not understood."""
    message = body[5:]
    if not message:
        return STATUSES[0]
    if len(message) == 2 and message[:1] == b"\x08" and message[1] in STATUSES:
        return STATUSES[message[1]]
    return "something that is not a health status"
