"""One look at a service: HTTP, TCP, gRPC or a command. Never raises for what the service does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import timedelta

import h11

from golive.errors import StartFailed
from golive.supervise.unit import Command, Grpc, Http, Target, Tcp
from golive.system import processes

BODY = 200
"""Bytes of an answer's body kept to explain a failure."""
MOST = 65536
"""Bytes of a body read at most."""
MOMENT = 0.1
"""Seconds a body may pause; the server should be able to end in peace, but an event stream never would."""


@dataclass(frozen=True)
class ProbeResult:
    """`detail` says in words what happened; `refused`: nothing listens there."""

    ok: bool
    detail: str
    seconds: float
    refused: bool = False


async def probe(target: Target, timeout: timedelta) -> ProbeResult:
    """Ask once. The result's `seconds` are what it took."""
    began = time.monotonic()
    refused = False
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            ok, detail = await _ask(target)
    except ConnectionRefusedError:
        ok, detail, refused = False, f"connection refused on {_address(target)}", True
    except TimeoutError:
        ok, detail = False, f"no answer within {timeout.total_seconds():g} s"
    except (ConnectionError, EOFError):
        ok, detail = False, "the connection was closed before an answer came"
    except OSError as error:
        ok, detail = False, f"{_address(target)}: {error.strerror or error}"
    except h11.RemoteProtocolError as error:
        ok, detail = False, f"the answer is not HTTP ({error})"
    except h11.LocalProtocolError as error:
        ok, detail = False, f"the request cannot be sent: {error}"
    except ValueError as error:
        ok, detail = False, f"{_address(target)} cannot be asked: {error}"
    except StartFailed as error:
        ok, detail = False, f"{error.what}: {error.why}"
    return ProbeResult(ok, detail, time.monotonic() - began, refused)


async def _ask(target: Target) -> tuple[bool, str]:
    match target:
        case Http():
            return await _http(target)
        case Tcp():
            _, writer = await asyncio.open_connection(target.host, target.port)
            await _close(writer)
            return True, f"{_address(target)} accepts connections"
        case Grpc():
            return await _grpc(target)
        case Command():
            return await _command(target)


async def _command(target: Command) -> tuple[bool, str]:
    done = await processes.run(
        target.argv,
        env=target.env,
        cwd=target.cwd,
        user=target.user,
        name="probe",
        no_new_privileges=not target.privileged,
    )
    last = done.output.rstrip().rpartition("\n")[2][:BODY]
    return done.code == 0, f"exited with {done.code}" + (f": {last}" if last else "")


async def _grpc(target: Grpc) -> tuple[bool, str]:
    from golive.supervise import grpc_health  # h2 takes 5 MB, which only those who ask for it pay

    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        return await grpc_health.check(reader, writer, target)
    finally:
        await _close(writer)


async def _http(target: Http) -> tuple[bool, str]:
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        connection = h11.Connection(h11.CLIENT)
        headers = {"Host": f"{target.host}:{target.port}", "User-Agent": "golive-probe", "Accept": "*/*"}
        headers |= {name.title(): value for name, value in target.headers.items()}
        headers["Connection"] = "close"
        request = h11.Request(method="GET", target=target.path, headers=list(headers.items()))
        writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
        status, location, body = await _answer(connection, reader)
    finally:
        await _close(writer)
    return _judge(target, status, location, body)


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    """Status, Location and the first bytes of the body. The status decides; a body is only waited for a moment."""
    status, location, body = 0, "", b""
    while len(body) < MOST:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await _more(reader, MOMENT if status else None)
            if not data and status:
                break
            if not data:
                raise EOFError
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            location = next((v.decode("latin-1") for k, v in event.headers if k == b"location"), "")
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    return status, location, body


async def _more(reader: asyncio.StreamReader, at_most: float | None) -> bytes:
    """Empty at the end of the stream, and when `at_most` seconds passed (an event stream, say)."""
    if at_most is None:
        return await reader.read(MOST)
    waiting = asyncio.ensure_future(reader.read(MOST))
    try:
        await asyncio.wait([waiting], timeout=at_most)
        return waiting.result() if waiting.done() else b""
    finally:
        waiting.cancel()


def _judge(target: Http, status: int, location: str, body: bytes) -> tuple[bool, str]:
    said = f"GET {target.path} answered {status}"
    if 200 <= status < 300:
        return True, said
    if 300 <= status < 400 and location:
        return False, f"{said} and pointed to {location}; a probe follows no redirects"
    text = " ".join(body[:BODY].decode(errors="replace").split())
    return False, f"{said}: {text}" if text else said


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _address(target: Target) -> str:
    return f"{target.host}:{target.port}" if isinstance(target, Http | Tcp | Grpc) else " ".join(target.argv[:1])
