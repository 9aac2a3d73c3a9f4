"""An app that needs its stores, for tests that take them away: whether their ports answer is all that it knows.

MODE: `honest` says 503 without them, `deaf` 200 all the same, `doomed` ends.
"""

import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

URLS = [urlsplit(os.environ[name]) for name in ("DATABASE_URL", "REDIS_URL") if name in os.environ]
MODE = os.environ["MODE"]


def well() -> bool:
    for url in URLS:
        try:
            socket.create_connection((url.hostname, url.port), 1).close()
        except OSError:
            return False
    return True


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = well()
        if MODE == "doomed" and not found:  # before it could say so
            os._exit(3)
        self.send_response(200 if MODE == "deaf" or found else 503)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


def end_without() -> None:
    while well():
        time.sleep(0.05)
    os._exit(3)


if MODE == "doomed":
    threading.Thread(target=end_without, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
