"""Health checks of other files as golive's probes."""

from __future__ import annotations

import re
from typing import Any

from golive.importers.ledger import Node
from golive.importers.places import line, seconds

ROUTE = re.compile(r"/[^?#\s\x00-\x1f]*")
_URL = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(?:\d+|\$\{?\w+(?::-\d+)?\}?))?(/[^\s\"'?#;|&)]*)?"
)


def put_path(node: Node, service: str, probe: str = "ready") -> None:
    """Carry a path to a probe; list what is not one."""
    text = node.text()
    if text and not text.startswith("/"):
        text = "/" + text
    if text and ROUTE.fullmatch(text.split("?")[0]):
        if "?" in text:
            node.ledger.note(f"services.{service}.health.{probe}: the query of `{text.split('?')[0]}` is left out")
        node.put("services", service, "health", probe, "path", value=text.split("?")[0])
    else:
        node.lose("is not a path", f"services.{service}.health")


def put_duration(node: Node, service: str, probe: str, key: str) -> None:
    """Carry an interval or a timeout of a probe that is there."""
    text = seconds(node)
    if text and text not in ("0s", "0"):
        node.put("services", service, "health", probe, key, value=text)
    else:
        node.lose("is not a duration", f"services.{service}.health.{probe}.{key}")


def path_asked(command: Any) -> str | None:
    """The path of its own server that a check's command asks, if that is what it does."""
    text = line(command[1:] if isinstance(command, list) and command[:1] in (["CMD"], ["CMD-SHELL"]) else command)
    found = _URL.search(text) if text else None
    return (found[1] or "/") if found else None
