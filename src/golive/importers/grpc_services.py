"""gRPC services that the code shows: those of its .proto files, when it listens on a port of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout, join

MAX_FILES = 2000
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)
_SERVICE = re.compile(r"^\s*service\s+(\w+)\s*\{", re.MULTILINE)
_CODE = (".go", ".py", ".js", ".mjs", ".ts")


@dataclass(frozen=True)
class GrpcServices:
    """`routes` are `/package.Service`; `ready` when the code takes its port as GRPC_PORT."""

    routes: tuple[str, ...]
    ready: bool
    evidence: str


def find_grpc(checkout: Checkout, source: str) -> GrpcServices | None:
    """The services of a folder that has both .proto files and code that serves them; None without."""
    files = checkout.below(source)
    protos = [f for f in files if f.endswith(".proto") and not re.search(r"(?:^|/)(?:vendor|third_party|google)/", f)]
    routes: dict[str, str] = {}
    for file in protos[:100]:
        text = checkout.read(join(source, file)) or ""
        package = f"{found[1]}." if (found := _PACKAGE.search(text)) else ""
        for name in _SERVICE.findall(text):
            routes.setdefault(f"/{package}{name}", join(source, file))
    code = [f for f in files if f.endswith(_CODE) and not re.search(r"_test\.|\.test\.|(?:^|/)tests?/", f)][:MAX_FILES]
    texts = [checkout.read(join(source, f)) or "" for f in code] if routes else []
    served = any(re.search(r"grpc\.NewServer\(|grpc\.(?:aio\.)?server\(|new (?:grpc\.)?Server\(", t) for t in texts)
    if not served:
        return None
    ready = any("GRPC_PORT" in text for text in texts)
    return GrpcServices(tuple(sorted(routes)), ready, next(iter(routes.values())))
