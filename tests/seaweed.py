"""A real S3 server on loopback, SeaweedFS, and a way to it that can be slow, cut or closed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from golive.backup.credentials import Credentials
from golive.backup.s3 import S3, client
from golive.secret import Secret
from golive.system import ports

OWNER = Credentials("golive-test", Secret("secret-of-golive"))
READER = Credentials("reader", Secret("secret-of-reader"))


@dataclass
class Seaweed:
    """`weed server` in a folder; every port of its own."""

    folder: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Answers when this returns."""
        names = ("s3.port", "s3.port.grpc", "s3.port.lance", "master.port", "master.port.grpc", "volume.port")
        names += ("volume.port.grpc", "filer.port", "filer.port.grpc")
        taken: list[int] = []
        for _ in names:
            taken.append(ports.choose(taken))
        self.port = self.port or taken[0]
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [_identity(OWNER, "Admin"), _identity(READER, "Read", "List")]}))
        options = [f"-{name}={number}" for name, number in zip(names, [self.port, *taken[1:]], strict=True)]
        options += ["-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.port.iceberg=0", "-volume.max=20"]
        options += ["-master.telemetry=false", "-master.volumeSizeLimitMB=200", f"-s3.config={config}"]
        options += [f"-{part}.localSocket={self.folder / part}.sock" for part in ("filer", "s3")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("weed")), "server", *options],
                cwd=self.folder,
                env={**os.environ, "GOMEMLIMIT": "200MiB"},
                stdout=log,
                stderr=log,
            )
        while not _answers(self.port):
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-3000:])
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def place(self, bucket: str, credentials: Credentials = OWNER, port: int | None = None) -> S3:
        return S3.parse(f"s3://{bucket}/kept?endpoint=http://127.0.0.1:{port or self.port}", credentials)

    def bucket(self, name: str) -> S3:
        place = self.place(name)
        client(place).create_bucket(Bucket=name)
        return place


@contextmanager
def running(folder: Path) -> Iterator[Seaweed]:
    server = Seaweed(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _identity(who: Credentials, *actions: str) -> dict[str, object]:
    keys = {"accessKey": who.id, "secretKey": who.secret.reveal() if who.secret else ""}
    return {"name": who.id, "credentials": [keys], "actions": list(actions)}


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@dataclass
class Way:
    """A proxy before a port: `pace` in bytes a second, `after` the bytes that pass up before nothing does any more."""

    target: int
    port: int = 0
    pace: float | None = None
    after: int | None = None
    up: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Way]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            accepting = threading.Thread(target=self._accept, args=(listener,))
            accepting.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                accepting.join()
                self.cut()
                for thread in self._threads:
                    thread.join()

    def cut(self) -> None:
        """Every connection that there is."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.after, self.up = None, 0

    @property
    def broken(self) -> bool:
        return self.after is not None and self.up > self.after

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            if self.broken:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            self._open += [near, far]
            self._threads.append(threading.Thread(target=self._pass, args=(near, far)))
            self._threads[-1].start()

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=self._copy, args=(far, near, False))
        back.start()
        self._copy(near, far, True)
        back.join()
        near.close()
        far.close()

    def _copy(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while (data := source.recv(1 << 16)) and not self.broken:
                self.up += len(data) if up else 0
                target.sendall(data)
                if self.pace:
                    time.sleep(len(data) / self.pace)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
