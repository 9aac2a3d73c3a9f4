"""A package index on loopback that can misbehave."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any


@dataclass
class Index:
    """`body` is what is served under the wheel's name; `cut` ends the next answers after so many bytes."""

    url: str
    name: str
    body: bytes
    cut: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The Range of each request for the file, empty for a whole one."""


def handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/{index.name}":
                self._file()
            else:
                self._send(200, f'<a href="/{index.name}">{index.name}</a>'.encode(), {"Content-Type": "text/html"})

        def _file(self) -> None:
            wanted = self.headers.get("Range", "")
            index.asked.append(wanted)
            headers = {"Accept-Ranges": "bytes", "ETag": '"one"'}
            if match := re.fullmatch(r"bytes=(\d+)-", wanted):
                first = int(match[1])
                headers["Content-Range"] = f"bytes {first}-{len(index.body) - 1}/{len(index.body)}"
                self._send(206, index.body[first:], headers)
            else:
                self._send(200, index.body, headers)

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: index.cut.pop(0)] if index.cut and "ETag" in headers else body)

        def log_message(self, *_: Any) -> None:
            return

    return Handler
