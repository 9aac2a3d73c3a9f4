"""The static server as a process of its own, spoken to over its Unix socket."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import httpx
import psutil
import pytest
import zstandard

from golive.build.static import pack

COUNTED = True

SCRIPT = "const value = compute(left, right);\n" * 800
LARGE = random.Random(7).randbytes(3_000_000)
BROWSER = {"accept-encoding": "gzip, deflate, br, zstd", "accept": "text/html,*/*;q=0.8"}


class Running:
    """A server with its artifacts and a client that asks for the plain file unless told otherwise."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.artifacts = folder / "artifacts"
        self.socket = folder / "static.sock"
        self.artifacts.mkdir(exist_ok=True)
        self.process = self.start(*options)
        self.client = httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://static")
        self.client.headers = httpx.Headers({"accept-encoding": "identity", "accept": "*/*"})

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        known = self.socket.stat().st_ino if self.socket.exists() else 0
        command = [sys.executable, "-m", "golive.edge.static_server", "--artifacts", str(self.artifacts)]
        process = subprocess.Popen([*command, "--socket", str(self.socket), *options], stderr=subprocess.PIPE)
        wait_until(lambda: self.socket.exists() and self.socket.stat().st_ino != known)
        return process

    def pack(self, key: str, files: dict[str, str | bytes], *, spa: bool = False) -> None:
        source = self.artifacts.parent / f"source-{key}"
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        pack(source, self.artifacts / key, cache=self.artifacts.parent / "cache", spa=spa)

    def get(self, path: str, root: str = "site", method: str = "GET", **headers: str) -> httpx.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path, headers={"x-golive-root": root, **fields})

    def raw(self, data: bytes, *, then: bytes = b"") -> bytes:
        """Everything the server says to these bytes until it closes or is silent for half a second."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            client.settimeout(0.5)
            client.sendall(data)
            received = b""
            try:
                while chunk := client.recv(65536):
                    received += chunk
                    if then:
                        client.sendall(then)
                        then = b""
            except TimeoutError:
                pass
            return received

    def stop(self) -> bytes:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, errors.decode()
        return errors


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="gl-static-", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    running = Running(folder)
    running.pack(
        "site",
        {
            "index.html": "<h1>Home</h1>",
            "about.html": "<h1>About</h1>",
            "docs/index.html": "<h1>Docs</h1>",
            "app.js": SCRIPT,
            "assets/index-BdJ3k9Xa.js": SCRIPT + "//hashed",
            "video.mp4": LARGE,
            "404.html": "<h1>Gone missing</h1>",
            "Über uns.txt": "odd name",
        },
    )
    running.pack("app", {"index.html": "<h1>App</h1>", "main-9f8e7d6c.js": SCRIPT + "//2"}, spa=True)
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("coding", "decode"),
    [
        ("br", brotli.decompress),
        ("zstd", zstandard.decompress),
        ("gzip", gzip.decompress),
        ("identity", lambda content: content),
    ],
)
def test_every_coding_is_the_file(server: Running, coding: str, decode: Callable[[bytes], bytes]) -> None:
    with server.client.stream(
        "GET", "/app.js", headers={"x-golive-root": "site", "accept-encoding": coding}
    ) as response:
        content = b"".join(response.iter_raw())
    assert decode(content).decode() == SCRIPT
    assert int(response.headers["content-length"]) == len(content)
    assert response.headers.get("content-encoding", "identity") == coding
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    again = server.get("/app.js", accept_encoding=coding, if_none_match=response.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


def test_pages_and_short_names(server: Running) -> None:
    assert server.get("/").text == "<h1>Home</h1>"
    assert server.get("/about?x=1").text == "<h1>About</h1>"
    assert server.get("/docs/").text == "<h1>Docs</h1>"
    assert server.get("/docs").headers["location"] == "./docs/"
    assert server.get("/%C3%9Cber%20uns.txt").text == "odd name"
    assert server.get("/").headers["cache-control"] == "no-cache"
    assert server.get("/assets/index-BdJ3k9Xa.js").headers["cache-control"].endswith("immutable")


def test_head_and_other_methods(server: Running) -> None:
    head = server.get("/app.js", method="HEAD")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(SCRIPT)))
    refused = server.client.post("/app.js", headers={"x-golive-root": "site"}, content=b"x" * 100_000)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert server.get("/app.js").status_code == 200, "the body was skipped, the connection goes on"


def test_a_large_file_whole_and_in_parts(server: Running) -> None:
    assert server.get("/video.mp4").content == LARGE
    part = server.get("/video.mp4", range="bytes=1000000-2999999")
    assert part.status_code == 206
    assert part.content == LARGE[1_000_000:]
    assert part.headers["content-range"] == "bytes 1000000-2999999/3000000"
    assert server.get("/video.mp4", range="bytes=-5").content == LARGE[-5:]
    assert server.get("/video.mp4", method="HEAD").headers["content-length"] == "3000000"
    past = server.get("/video.mp4", range="bytes=3000000-")
    assert (past.status_code, past.headers["content-range"]) == (416, "bytes */3000000")
    assert server.get("/app.js", range="bytes=6-10", **BROWSER).text == SCRIPT[6:11]
    assert server.get("/app.js", range="bytes=0-1,4-5").status_code == 200
    etag = server.get("/video.mp4").headers["etag"]
    assert server.get("/video.mp4", range="bytes=0-3", if_range=etag).status_code == 206
    assert server.get("/video.mp4", range="bytes=0-3", if_range='"old"').status_code == 200


def test_not_found(server: Running) -> None:
    response = server.get("/nope.js")
    assert (response.status_code, response.text) == (404, "<h1>Gone missing</h1>")
    assert response.headers["cache-control"] == "no-store"
    plain = server.get("/nope.js", root="app")
    assert plain.status_code == 404
    assert "Not found" in plain.text


def test_single_page_app(server: Running) -> None:
    assert server.get("/users/7", root="app", accept="text/html").text == "<h1>App</h1>"
    assert server.get("/users/7.js", root="app", accept="text/html").status_code == 404
    assert server.get("/users/7", root="app", accept="application/json").status_code == 404


@pytest.mark.parametrize(
    "target",
    ["/../site/app.js", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd",
     "/..%5c..%5cetc", "/\\..\\x", "/.env", "/%2eenv", "/app.js%00.html", "/app.js%", "//etc/passwd", "/static.json",
     "/../static.json", "/files/app.js", "/docs/%2e%2e/app.js", "/./app.js", "etc/passwd", "*", "http://x/app.js",
     "/%252e%252e/app.js", "/app.js/", "/app.js/.", "/\xc0\xaf", "/%c0%ae%c0%ae/x", "/%0d%0aset-cookie:a=b"],
)  # fmt: skip
def test_hostile_paths(server: Running, target: str) -> None:
    data = f"GET {target} HTTP/1.1\r\nx-golive-root: site\r\naccept: text/html\r\nconnection: close\r\n\r\n"
    answer = server.raw(data.encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"compute(" not in answer
    assert b"root:" not in answer
    assert b"set-cookie" not in answer.lower()


@pytest.mark.parametrize(
    "root",
    ["", ".", "..", "../artifacts/site", "site/", "site/files", "/etc", "nope", "site, site", "%73ite", "s" * 300],
)
def test_hostile_roots(server: Running, root: str) -> None:
    assert server.get("/app.js", root=root).status_code == 404
    assert server.get("/-/ready", root=root).status_code == 404


def test_a_root_that_is_a_symlink_out_is_not_served(server: Running, tmp_path: Path) -> None:
    shutil.copytree(server.artifacts / "site", tmp_path / "elsewhere")
    (server.artifacts / "link").symlink_to(tmp_path / "elsewhere")
    assert server.get("/app.js", root="link").status_code == 404


def test_a_file_replaced_by_a_symlink_out_is_not_served(server: Running, tmp_path: Path) -> None:
    server.pack("tampered", {"index.html": "x" * 2000, "big.bin": LARGE, "deep/a.txt": "y" * 50})
    for name in ("index.html", "big.bin"):
        path = server.artifacts / "tampered/files" / name
        (tmp_path / name).write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(tmp_path / name)
    shutil.move(server.artifacts / "tampered/files/deep", tmp_path / "deep")
    (server.artifacts / "tampered/files/deep").symlink_to(tmp_path / "deep")
    assert server.get("/", root="tampered").status_code == 500
    assert server.get("/deep/a.txt", root="tampered").status_code == 500
    with pytest.raises(httpx.RemoteProtocolError):
        server.get("/big.bin", root="tampered")
    assert server.get("/app.js").status_code == 200


def test_damaged_artifacts_do_not_hurt_the_others(server: Running) -> None:
    (server.artifacts / "broken").mkdir()
    for content in (
        "",
        "{",
        "[]",
        '{"version": 9}',
        '{"version":1,"spa":false,"clean_urls":true,"files":[{"path":"../x"}]}',
    ):
        (server.artifacts / "broken/static.json").write_text(content)
        for method in ("GET", "HEAD"):
            assert server.get("/", root="broken", method=method).status_code == 500
    assert server.get("/").status_code == 200


def test_a_removed_release_is_gone_and_a_new_one_is_there(server: Running) -> None:
    assert server.get("/", root="later").status_code == 404
    server.pack("later", {"index.html": "<h1>Later</h1>"})
    assert server.get("/", root="later").text == "<h1>Later</h1>"
    shutil.rmtree(server.artifacts / "later")
    wait_until(lambda: server.get("/", root="later").status_code == 404, 3)


def test_old_pages_keep_their_hashed_files(server: Running) -> None:
    kept = server.get("/assets/index-BdJ3k9Xa.js", root="app", x_golive_previous="nope, ../x,site")
    assert kept.text.endswith("//hashed")
    assert server.get("/app.js", root="app", x_golive_previous="site").status_code == 404


def test_ready_is_not_reachable_through_the_edge(server: Running) -> None:
    answer = server.client.get("/-/ready")
    assert answer.json()["status"] == "ready"
    assert answer.json()["cached_bytes"] > 0
    assert server.get("/-/ready").status_code == 404
    assert server.client.get("/app.js").status_code == 404


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nx: y\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, b"431"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (
            b"POST / HTTP/1.1\r\nx-golive-root: site\r\ntransfer-encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n",
            b"405",
        ),
    ],
)
def test_malformed_requests_get_one_answer_and_the_end(server: Running, data: bytes, status: bytes) -> None:
    answer = server.raw(data)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1


def test_pipelined_and_scattered_requests(server: Running) -> None:
    one = b"GET /about HTTP/1.1\r\nx-golive-root: site\r\n\r\n"
    large = b"GET /video.mp4 HTTP/1.1\r\nx-golive-root: site\r\n\r\n"
    answer = server.raw(one + large + one)
    assert answer.count(b"<h1>About</h1>") == 2
    assert LARGE in answer
    assert server.raw(one[:20], then=one[20:]) == b"", "half a request is waited for"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.socket))
        for i in range(len(one)):
            client.sendall(one[i : i + 1])
        assert b"200 OK" in client.recv(65536)


def test_slow_readers_cost_no_memory(server: Running) -> None:
    clients = []
    for _ in range(100):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(server.socket))
        client.sendall(b"GET /video.mp4 HTTP/1.1\r\nx-golive-root: site\r\n\r\n")
        clients.append(client)
    wait_until(lambda: psutil.Process(server.process.pid).num_fds() >= 200)
    assert server.get("/app.js").status_code == 200
    assert psutil.Process(server.process.pid).memory_info().rss < 60e6
    for client in clients:
        client.close()
    wait_until(lambda: psutil.Process(server.process.pid).num_fds() < 20)


def test_memory_and_files_stay_bounded(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gl-static-", dir="/tmp"))
    running = Running(folder, "--memory", "1")
    contents = {f"{n}.bin": os.urandom(100_000) for n in range(30)}
    running.pack("one", contents)
    for _ in range(2):
        for name, content in contents.items():
            assert running.get(f"/{name}", root="one").content == content
    assert running.client.get("/-/ready").json()["cached_bytes"] <= 2**20
    assert psutil.Process(running.process.pid).memory_info().rss < 60e6
    running.stop()
    shutil.rmtree(folder)


def test_the_limit_of_open_files_is_answered_not_hit(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gl-static-", dir="/tmp"))
    (folder / "artifacts").mkdir()
    running = object.__new__(Running)
    running.artifacts, running.socket = folder / "artifacts", folder / "static.sock"
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128));"
        "from golive.edge.static_server import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "--artifacts", str(running.artifacts), "--socket", str(running.socket)]
    running.process = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_until(running.socket.exists)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    answers = []
    for client in clients:
        client.connect(str(running.socket))
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answers.append(client.recv(65536).split(b" ", 2)[1])
    for client in clients:
        client.close()
    assert answers == [b"404"] * 32 + [b"503"] * 28
    running.client = httpx.Client()
    assert b"Traceback" not in running.stop()
    shutil.rmtree(folder)


def test_replaced_and_stopped_without_a_failed_request(folder: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="gl-static-", dir="/tmp"))
    running = Running(home)
    running.pack("site", {"index.html": "<h1>Home</h1>", "large.bin": LARGE})
    done = threading.Event()
    results: list[bool] = []

    def connect_again_and_again() -> None:
        while not done.is_set():
            answer = running.raw(b"GET / HTTP/1.1\r\nx-golive-root: site\r\nconnection: close\r\n\r\n")
            results.append(answer.endswith(b"<h1>Home</h1>"))

    thread = threading.Thread(target=connect_again_and_again)
    thread.start()
    old, slow = running.process, socket.socket(socket.AF_UNIX)
    slow.connect(str(running.socket))
    slow.sendall(b"GET /large.bin HTTP/1.1\r\nx-golive-root: site\r\n\r\n")
    received = slow.recv(1000)
    running.process = running.start()
    old.send_signal(signal.SIGTERM)
    wait_until(lambda: len(results) > 50)
    assert old.poll() is None, "it waits for the download"
    while chunk := slow.recv(65536):
        received += chunk
    assert hashlib.sha256(received.partition(b"\r\n\r\n")[2]).digest() == hashlib.sha256(LARGE).digest()
    old.communicate(timeout=120)
    assert old.returncode == 0
    done.set()
    thread.join()
    assert all(results)
    slow.close()
    running.stop()
    shutil.rmtree(home)


def test_who_connected_before_it_was_told_to_stop_is_answered() -> None:
    home = Path(tempfile.mkdtemp(prefix="gl-static-", dir="/tmp"))
    running = Running(home)
    running.pack("site", {"index.html": "<h1>Home</h1>"})
    running.process.send_signal(signal.SIGSTOP)  # busy with something else
    clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for number, client in enumerate(clients):
        client.connect(str(running.socket))
        if number % 2:
            client.sendall(b"GET / HTTP/1.1\r\nx-golive-root: site\r\n\r\n")
    running.process.send_signal(signal.SIGTERM)
    running.process.send_signal(signal.SIGCONT)
    for number, client in enumerate(clients):
        if number % 2 == 0:
            client.sendall(b"GET / HTTP/1.1\r\nx-golive-root: site\r\n\r\n")
        received = b""
        while chunk := client.recv(65536):
            received += chunk
        assert received.endswith(b"<h1>Home</h1>"), (number, received)
        client.close()
    running.stop()
    shutil.rmtree(home)


def test_artifacts_that_hold_the_site_in_a_folder(tmp_path: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="gl-static-", dir="/tmp"))
    running = Running(home, "--inside", "app")
    running.pack("site/app", {"index.html": "<h1>Home</h1>"})
    shutil.copytree(running.artifacts / "site", tmp_path / "elsewhere")
    (running.artifacts / "link").symlink_to(tmp_path / "elsewhere")
    assert running.get("/", root="site").text == "<h1>Home</h1>"
    assert running.get("/", root="link").status_code == 404
    assert running.get("/", root="site/app").status_code == 404
    running.stop()
    shutil.rmtree(home)


def test_a_place_that_cannot_be_listened_on_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "golive.edge.static_server", "--artifacts", str(tmp_path), "--socket"]
    failed = subprocess.run([*command, str(tmp_path / "no/such.sock")], capture_output=True, check=False)
    assert failed.returncode == 1
    assert b"cannot listen" in failed.stderr
    assert b"Traceback" not in failed.stderr


def test_light_when_idle(server: Running) -> None:
    process = psutil.Process(server.process.pid)
    assert process.memory_info().rss < 60e6
    assert process.num_threads() <= 2
    assert oct(server.socket.stat().st_mode & 0o777) == "0o600"
