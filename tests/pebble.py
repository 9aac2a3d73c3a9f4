"""Pebble, Let's Encrypt's own small authority, with a name server that leads every name to this machine."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from golive.edge.ca import LocalCA
from golive.system import ports


@dataclass
class Pebble:
    """`directory` is its URL, `ca_file` vouches for that; `root()` is what it signs with."""

    directory: str
    ca_file: Path
    manage: str
    names: str
    nameserver: int

    def root(self) -> str:
        return httpx.get(f"{self.manage}/roots/0", verify=False).text

    def fail(self, name: str) -> None:
        """The name server says that something is wrong whenever it is asked for a name."""
        answer = httpx.post(f"{self.names}/set-servfail", json={"host": f"{name}."})
        assert answer.status_code == 200, answer.text


@contextlib.contextmanager
def pebble(
    folder: Path,
    http_port: int,
    life: int = 7776000,
    nameserver: int | None = None,
    bad_nonces: int = 5,
    accounts: dict[str, str] | None = None,
    reuse: int = 0,
) -> Iterator[Pebble]:
    """It looks at names on `http_port`; certificates live for `life` seconds. `nameserver` is the port of another one.
    So many of a hundred questions are refused for their nonce, and so many of a hundred names that were shown before
    are not looked at again (`reuse`). It wants one of `accounts` (key id, HMAC key)."""
    program, names = shutil.which("pebble"), shutil.which("pebble-challtestsrv")
    if not program or not names:
        pytest.skip("pebble is not installed here (Debian: apt-get install pebble)")
    taken: set[int] = {http_port}
    for _ in range(4):
        taken.add(ports.choose(taken))
    api, management, dns, control = sorted(taken - {http_port})
    ca = LocalCA(folder / "ca")
    own = ca.certificate_for(("localhost", "127.0.0.1"))
    (folder / "cert.pem").write_text(own.chain)
    (folder / "key.pem").write_text(own.key.reveal())
    config = {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "cert.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": http_port,
        "tlsPort": ports.choose(taken),
        "ocspResponderURL": "",
        "certificateValidityPeriod": life,
    }
    if accounts:
        config |= {"externalAccountBindingRequired": True, "externalAccountMACKeys": accounts}
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    off = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "")
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "pebble.log").open("wb"))
        for argv in (
            [names, *off, "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{control}"],
            [program, "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{nameserver or dns}"],
        ):
            env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": str(reuse), "PATH": "/usr/bin:/bin"}
            env |= {"PEBBLE_WFE_NONCEREJECT": str(bad_nonces)}
            process = subprocess.Popen(argv, env=env, stdout=log, stderr=log)
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
        made = Pebble(
            f"https://127.0.0.1:{api}/dir",
            ca.root,
            f"https://127.0.0.1:{management}",
            f"http://127.0.0.1:{control}",
            dns,
        )
        _wait(made, folder / "pebble.log")
        yield made


def _wait(made: Pebble, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(made.directory, verify=False).status_code == 200 and httpx.get(made.names):
                return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
