"""gRPC-web, as a browser sends it, reaches a gRPC service; other routes do not pay for it."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.model import Upstream

A, B = "threadr/production/api/d1", "threadr/production/api/d1/grpc"
FRAME = b"\x00\x00\x00\x00\x02\x0a\x00"
"""A gRPC message of two bytes."""


async def test_a_browser_calls_a_grpc_service(envoy: Running, upstreams: Upstreams) -> None:
    import asyncio

    seen: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        seen.append(dict(event.headers))
                    elif isinstance(event, h2.events.StreamEnded):
                        headers = [(":status", "200"), ("content-type", "application/grpc")]
                        connection.send_headers(event.stream_id, headers)
                        connection.send_data(event.stream_id, FRAME)
                        connection.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
                writer.write(connection.data_to_send())
                await writer.drain()
        finally:  # Envoy keeps its connection, and the test's loop ends before it does
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    from golive.edge.model import Endpoint

    grpc = Endpoint(port=server.sockets[0].getsockname()[1])
    plain = await upstreams.serve(answer(b"A"))
    await envoy.edge.apply(
        envoy.config(
            site(rule(A), rule(B, "/demo.Greeter", grpc=True)),
            upstreams=(Upstream(A, (plain,)), Upstream(B, (grpc,), http2=True)),
        )
    )
    async with envoy.client() as client:
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        url = envoy.edge.url("threadr.localhost")
        reply = await client.post(f"{url}/demo.Greeter/Hello", content=FRAME, headers=headers)
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("application/grpc-web")
        assert reply.content.startswith(FRAME)
        assert b"grpc-status:0" in reply.content.replace(b" ", b"")
        assert seen[0]["content-type"] == "application/grpc"
        assert (await client.get(url)).text == "A"
    server.close()
    await server.wait_closed()
