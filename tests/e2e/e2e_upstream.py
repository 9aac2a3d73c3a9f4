"""A language model's server as the examples know it: OpenAI's chat completions, whole or in events, and Gemini's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SAYS = "Written by the model of the test."
MORE = "And a second thought, which is long enough for a post of its own. " * 4
KEY = "sk-only-for-this-test-0123456789"


@dataclass
class Upstream:
    """Where it listens, and the paths it was asked for with the right key."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def upstream() -> Iterator[Upstream]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    found = Upstream(f"http://127.0.0.1:{server.server_port}")
    server.upstream = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if KEY not in (self.headers.get("authorization") or "") + (self.headers.get("x-goog-api-key") or ""):
            self._say(401, "text/plain", "another key")
            return
        self.server.upstream.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path.endswith(":generateContent"):
            self._say(200, "application/json", json.dumps({"candidates": [{"content": {"parts": [{"text": SAYS}]}}]}))
        elif asked.get("stream"):
            pieces = [
                f"data: {json.dumps({'choices': [{'delta': {'content': f'{word} '}}]})}\n\n" for word in SAYS.split()
            ]
            self._say(200, "text/event-stream", "".join(pieces) + "data: [DONE]\n\n")
        else:
            self._say(200, "application/json", json.dumps({"choices": [{"message": {"content": f"{SAYS}\n\n{MORE}"}}]}))

    def _say(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: pytest shows what a test prints."""
