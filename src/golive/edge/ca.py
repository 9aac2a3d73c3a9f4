"""The local certificate authority: HTTPS for names that no public authority signs.

The root is limited (RFC 5280, name constraints) to names and addresses that cannot belong to anybody on the Internet,
so that trusting it risks nothing else, whoever gets hold of its key.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from golive.edge.local import Leaf, leaf_file, root_certificate, root_sum
from golive.edge.model import Certificate
from golive.errors import StateError, from_json
from golive.secret import Secret

PATIENCE = 60
"""Seconds for one signature, on a machine that does much else."""


@dataclass(frozen=True)
class Trust:
    """`command` makes this machine trust the root; `notes` are for programs with a store of their own."""

    command: str
    notes: tuple[str, ...]


class LocalCA:
    """Keys and certificates under `directory` (0700), made at first use; `apart`, by a process of its own."""

    def __init__(self, directory: Path, *, apart: bool = False) -> None:
        self._directory = directory
        self._apart = apart
        self._one = threading.Lock()

    @property
    def root(self) -> Path:
        """The root certificate, PEM; the one file to trust."""
        return root_certificate(self._directory)

    def certificate_for(self, domains: tuple[str, ...], *, now: datetime | None = None) -> Certificate:
        """A certificate for the domains: the one on disk until two thirds of its life are over, else a new one.
        StateError when none can be made."""
        moment = now or datetime.now(UTC)
        path = leaf_file(self._directory, domains[0])
        with self._one:
            leaf = Leaf.read(path)
            if leaf is None or not leaf.serves(domains, moment.timestamp(), root_sum(self._directory)):
                self._issue(domains, moment)
                leaf = Leaf.read(path)
        if leaf is None:
            raise StateError(f"the certificate that was just made is not there: {path}")
        return Certificate(domains, leaf.chain, Secret(leaf.key))

    def _issue(self, domains: tuple[str, ...], moment: datetime) -> None:
        if not self._apart:
            from golive.edge.issuing import issue

            issue(self._directory, domains, moment)
            return
        argv = (sys.executable, "-I", "-m", "golive.edge.issuing", str(self._directory), moment.isoformat(), *domains)
        env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise StateError(f"the local authority signed nothing in {PATIENCE} s", hint="try again") from None
        if done.returncode == 0:
            return
        try:
            raise from_json(json.loads(done.stdout))
        except ValueError:
            said = done.stderr.strip().splitlines()
            why = said[-1] if said else f"exit code {done.returncode}"
            hint = "try again; if it stays: golive doctor"
            raise StateError("the local authority could not sign", why=why, hint=hint) from None

    def ensure(self) -> Path:
        """Make the root when there is none; its path."""
        with self._one:
            if not root_sum(self._directory):
                self._issue((), datetime.now(UTC))
        return self.root

    def trust_command(self) -> Trust:
        """What a user runs once, on this system, to trust the root; the root is made when there is none."""
        return trust(self.ensure(), platform.system(), _distribution())


def trust(root: Path, system: str, family: str) -> Trust:
    """`system` as `platform.system()` says it; `family` as ID and ID_LIKE of /etc/os-release."""
    nss = (
        "Chrome and Firefox on Linux keep stores of their own: "
        f'certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n golive -i {root}'
    )
    if system == "Darwin":
        store = "/Library/Keychains/System.keychain"
        return Trust(f"sudo security add-trusted-cert -d -r trustRoot -k {store} {root}", ())
    if any(word in family for word in ("fedora", "rhel", "suse", "arch")):
        return Trust(f"sudo trust anchor {root}", (nss,))
    target = "/usr/local/share/ca-certificates/golive.crt"
    return Trust(f"sudo install -m 644 {root} {target} && sudo update-ca-certificates", (nss,))


def _distribution() -> str:
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return ""
    return f"{found.get('ID', '')} {found.get('ID_LIKE', '')}"
