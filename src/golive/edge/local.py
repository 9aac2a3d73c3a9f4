"""The local authority's files, without what it takes to sign: names it may vouch for, what a leaf says of itself.

root.key, root.crt    its key and its certificate, PEM
leaves/<domain>.pem   a line of JSON, then the leaf's key, the leaf and, when it was signed by the root, the root as PEM
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from golive.system.files import write_atomic

RENEW_AFTER = 2 / 3
"""Of a leaf's life, as ACME clients do."""
LOCAL_NAMES = ("localhost", "test", "internal", "local", "home.arpa")
"""Reserved for local use (RFC 6761, 6762, 8375 and ICANN's resolution on .internal)."""
LOCAL_NETWORKS = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")


def is_local(name: str) -> bool:
    """Whether the local root may vouch for a domain or address."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return any(name == top or name.endswith(f".{top}") for top in LOCAL_NAMES)
    networks = (ipaddress.ip_network(n) for n in LOCAL_NETWORKS)
    return any(address in network for network in networks)


def root_certificate(directory: Path) -> Path:
    return directory / "root.crt"


def root_key(directory: Path) -> Path:
    return directory / "root.key"


def root_sum(directory: Path) -> str:
    """Of the root's certificate and key; "" when one of them is missing."""
    try:
        both = root_certificate(directory).read_bytes() + root_key(directory).read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(both).hexdigest()


def leaf_file(directory: Path, domain: str) -> Path:
    return directory / "leaves" / f"{domain.replace('*', '_')}.pem"


@dataclass(frozen=True)
class Leaf:
    """Key and chain as PEM, valid between two moments (s since 1970). `root` is the sum of the root that signed it; ""
    when it signed itself."""

    names: tuple[str, ...]
    begins: float
    ends: float
    root: str
    key: str
    chain: str

    def write(self, path: Path) -> None:
        head = {k: v for k, v in asdict(self).items() if k not in ("key", "chain")}
        pem = self.key + self.chain
        write_atomic(path, json.dumps({**head, "key": len(self.key), "sum": _sum(pem)}) + "\n" + pem)

    @classmethod
    def read(cls, path: Path) -> Leaf | None:
        """None for what is missing or damaged."""
        try:
            head, _, pem = path.read_text().partition("\n")
            said = json.loads(head)
            size = int(said["key"])
            whole = said.pop("sum") == _sum(pem)
            made = cls(**{**said, "names": tuple(said["names"]), "key": pem[:size], "chain": pem[size:]})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return made if whole else None

    def serves(self, domains: tuple[str, ...], moment: float, root: str) -> bool:
        """Whether it is for these names, not two thirds through its life, and from this root if from any."""
        fresh = self.begins <= moment < self.begins + (self.ends - self.begins) * RENEW_AFTER
        return self.names == domains and fresh and self.root == (root if all(map(is_local, domains)) else "")


def _sum(pem: str) -> str:
    return hashlib.sha256(pem.encode()).hexdigest()
