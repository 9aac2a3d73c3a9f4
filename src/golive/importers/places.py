"""Names, folders and commands of other files in the words of golive.toml."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Collection
from typing import Any

from golive.importers.hush import holds_secret
from golive.importers.ledger import Node

_SERVERS = {
    "uvicorn": "--host 127.0.0.1 --port $PORT",
    "gunicorn": "--bind 127.0.0.1:$PORT",
    "hypercorn": "--bind 127.0.0.1:$PORT",
    "granian": "--host 127.0.0.1 --port $PORT",
    "daphne": "--bind 127.0.0.1 --port $PORT",
    "waitress-serve": "--listen 127.0.0.1:$PORT",
    "flask": "--port $PORT",
}
"""Servers that take their port only as an argument, and the argument."""

OUTSIDE = "leads out of the checkout"
OUTSIDE_HINT = "move the code into the checkout; a service's source lives inside it"


def service_name(text: str, taken: Collection[str] = ()) -> str:
    """A name golive takes, like the one given and different from those taken."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:28].strip("-")
    name = name if re.match(r"[a-z]", name) else f"s-{name}".strip("-")
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}-{number}"
    return made


def folder_of(file: str) -> str:
    """The folder a file of the checkout stands in, `.` for the root."""
    return posixpath.dirname(file) or "."


def inside(base: str, place: str) -> str | None:
    """A folder named relative to another, as a path from the root of the checkout; None when it leads out of it."""
    if place.startswith(("/", "~")) or "$" in place or "\\" in place or ":" in place or "\0" in place:
        return None
    path = posixpath.normpath(posixpath.join(base, place))
    return None if path == ".." or path.startswith("../") or len(path) > 1000 else path


def put_source(node: Node, service: str, base: str) -> str | None:
    """Carry a folder to `source`, or list it when it leads out; the folder."""
    text = node.text()
    source = inside(base, text) if text else None
    if source is None:
        node.lose(OUTSIDE if text else "is not a folder", OUTSIDE_HINT)
        return None
    node.put("services", service, "source", value=source)
    return source


def line(value: Any) -> str | None:
    """A command, given as text or as a list of arguments, as one shell line."""
    if isinstance(value, str):
        text = re.sub(r"\s*\\?\n\s*", " ", value).strip()
        inner = re.fullmatch(r"""(?:/bin/)?(?:ba)?sh -l?c (["'])((?:(?!\1)[^\\])*)\1""", text)
        return (inner[2].strip() if inner else text) or None
    if isinstance(value, list) and value and all(isinstance(part, str | int) for part in value):
        words = [str(part) for part in value]
        if len(words) == 3 and words[0].rpartition("/")[2] in ("sh", "bash") and words[1] in ("-c", "-lc"):
            return words[2].strip() or None
        return " ".join(word if re.fullmatch(r"\$\{?\w+\}?", word) else shlex.quote(word) for word in words)
    return None


_MIGRATIONS = re.compile(
    r"alembic\b.*\bupgrade|manage\.py\s+migrate|prisma\s+migrate\s+deploy|drizzle-kit\s+(?:migrate|push)|"
    r"\bmigrate\b.*\bup\b|flask\s+db\s+upgrade|db:migrate"
)
_PACKAGE_START = re.compile(r"(?:npm|pnpm|yarn)(?: run)? start")


def is_migration(command: object) -> bool:
    """Whether a command runs schema migrations, which golive does itself before every release."""
    text = " ".join(map(str, command)) if isinstance(command, list) else str(command)
    return bool(_MIGRATIONS.search(text[:2000]))


def without_migrations(text: str) -> str:
    """`migrate && serve` as `serve`; a line that only migrates stays."""
    steps = [step.strip() for step in text.split("&&")]
    kept = [step for step in steps if not is_migration(step)]
    return " && ".join(kept) if kept and not re.search(r"[|;\"']", text) else text


def put_command(node: Node, service: str, *, web: bool, port: int | None = None, key: str = "command") -> bool:
    """Carry a start command, made to listen where golive says; list it when it cannot be one."""
    text = line(node.value)
    if text is None:
        node.lose("is not a command", f"set services.{service}.{key}")
        return False
    if holds_secret(text):
        node.lose("has a credential written into it", f"set services.{service}.{key}, with the secret from a variable")
        return False
    text = without_migrations(text)
    if web and _PACKAGE_START.fullmatch(text):
        node.carry(f"services.{service}.command, detected from package.json")
        return True
    node.put("services", service, key, value=listening(text, port) if web else text)
    return True


def listening(command: str, port: int | None) -> str:
    """The command with its fixed port as $PORT, on the loopback address only."""
    command = command.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    command = re.sub(r"\$\{PORT:-\d+\}", "$PORT", command)
    if "PORT" in command:
        return command
    number = str(port) if port else r"\d{2,5}"
    fixed = re.compile(rf"((?:--port|--listen|--bind|-b|-p)(?:[= ]+)(?:\S*:)?|\b127\.0\.0\.1:){number}\b")
    if fixed.search(command):
        return fixed.sub(r"\g<1>$PORT", command)
    words = command.split()
    server = words[0].rpartition("/")[2] if words else ""
    return f"{command} {_SERVERS[server]}" if server in _SERVERS else command


def seconds(node: Node) -> str | None:
    """A duration as golive writes it, from `10s`, `1m30s` or a number of seconds."""
    text = node.text()
    if text and re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|us|s|m|h|d))+", text) and "us" not in text:
        return text
    number = node.number()
    return f"{number:g}s" if number is not None and 0 < number < 10**7 else None


def memory(node: Node) -> str | None:
    """A size as golive writes it, from `512mb`, `1gb`, `256M` or a number of megabytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", (node.text() or "").lower())
    if not found or float(found[1]) <= 0 or float(found[1]) > 10**9:
        return None
    return f"{found[1]}{(found[2] or 'm').upper()}B"
