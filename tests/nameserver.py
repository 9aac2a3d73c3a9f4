"""Knot, a real name server that takes signed updates (RFC 2136), for one zone on loopback."""

from __future__ import annotations

import base64
import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from golive.system import ports

SECRET = base64.b64encode(b"a key that only tests have, 32 b").decode()


@dataclass
class NameServer:
    """`key` is the name of the TSIG key whose secret is SECRET."""

    port: int
    zone: str
    key: str = "golive"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def texts(self, name: str) -> set[str]:
        """The TXT records of a name, as they are now."""
        answer = dns.query.udp(dns.message.make_query(name, "TXT"), "127.0.0.1", 5, self.port)
        return {b"".join(r.strings).decode() for rrset in answer.answer for r in rrset if rrset.rdtype.name == "TXT"}


@contextlib.contextmanager
def nameserver(folder: Path, zone: str, *records: str) -> Iterator[NameServer]:
    """Every name of the zone leads to 127.0.0.1, but for what `records` say, lines of a zone file."""
    program = shutil.which("knotd")
    if not program:
        pytest.skip("Knot DNS is not installed here (Debian: apt-get install knot)")
    port = ports.choose()
    (folder / "db").mkdir()
    lines = ["@ 60 SOA ns1 admin 1 60 60 60 60", "@ 60 NS ns1", "ns1 60 A 127.0.0.1", "@ 60 A 127.0.0.1"]
    (folder / "zone").write_text("\n".join([f"$ORIGIN {zone}.", *lines, "* 60 A 127.0.0.1", *records]) + "\n")
    (folder / "knot.conf").write_text(
        f"server:\n  rundir: {folder}\n  listen: 127.0.0.1@{port}\n  background-workers: 1\n"
        f"  udp-workers: 1\n  tcp-workers: 1\n"
        f"database:\n  storage: {folder}/db\n"
        f"log:\n- target: stderr\n  any: info\n"
        f"key:\n- id: golive\n  algorithm: hmac-sha256\n  secret: {SECRET}\n"
        f"acl:\n- id: update\n  key: golive\n  action: update\n"
        f"zone:\n- domain: {zone}\n  storage: {folder}\n  file: zone\n  acl: update\n  zonefile-sync: -1\n"
    )
    with (folder / "knot.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(folder / "knot.conf")], stdout=log, stderr=log)
    try:
        _wait(port, zone, folder / "knot.log")
        yield NameServer(port, zone)
    finally:
        process.kill()
        process.wait(10)


def _wait(port: int, zone: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(dns.exception.DNSException, OSError):
            if dns.query.udp(dns.message.make_query(zone, "SOA"), "127.0.0.1", 0.5, port).answer:
                return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
