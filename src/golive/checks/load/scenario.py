"""What is asked, how often each, and when: the mix of requests and the schedule of their arrivals."""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from golive.errors import NotFound, UsageError

METHODS = ("GET", "HEAD", "POST")
PATH = re.compile(r"/[!-~]*")
OWN = "golive-"
"""How golive's own agents begin: a load is no model of the next."""
MOST_PATHS = 100
"""Of a log: the most frequent ones, the rest is left out."""
WINDOW = 60.0
"""Seconds that arrivals are drawn for at a time."""
Arrivals = Literal["poisson", "constant"]


@dataclass(frozen=True)
class Request:
    """`weight` is its share among all of the mix, `body` is sent with POST alone."""

    path: str
    method: str = "GET"
    weight: float = 1.0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def from_file(file: Path) -> tuple[Request, ...]:
    """Of TOML, or JSON by its name: `headers` for all, and `requests` with path, method, weight, headers and body (a
    table is sent as JSON). UsageError says what is wrong in it."""
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as a scenario", why=str(error)) from error
    requests = found.get("requests") if isinstance(found, dict) else None
    if not isinstance(requests, list) or not requests or not isinstance(found.get("headers", {}), dict):
        raise UsageError(f"{file} has no requests", hint='[[requests]] with path = "/", for each of the mix')
    return tuple(_request(each, found.get("headers", {}), f"{file}, request {n}") for n, each in enumerate(requests, 1))


def _request(given: Any, common: dict[str, Any], where: str) -> Request:
    known = {"path", "method", "weight", "headers", "body"}
    if not isinstance(given, dict) or not given.keys() <= known:
        raise UsageError("a request has other keys", where=where, hint=f"it may have {', '.join(sorted(known))}")
    path, method, weight = given.get("path", ""), given.get("method", "GET"), given.get("weight", 1)
    body, own = given.get("body", ""), given.get("headers", {})
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise UsageError(f"{path!r} is no path", where=where, hint='it begins with a slash: "/items?page=2"')
    if method not in METHODS:
        raise UsageError(f"{method!r} is no method of a scenario", where=where, hint=", ".join(METHODS))
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9:
        raise UsageError(f"{weight!r} is no weight", where=where, hint="a number above 0")
    if body and method != "POST":
        raise UsageError(f"a {method} has no body", where=where, hint='method = "POST"')
    if not isinstance(own, dict):
        raise UsageError("headers is no table", where=where, hint='headers = { accept = "application/json" }')
    headers = {str(name).lower(): str(value) for name, value in {**common, **own}.items()}
    if bad := [name for name, value in headers.items() if not (name + value).isascii() or not value.isprintable()]:
        raise UsageError(f"the header {bad[0]!r} cannot be sent", where=where, hint="ASCII on one line")
    if not isinstance(body, str):
        body = json.dumps(body)
        headers.setdefault("content-type", "application/json")
    return Request(path, method, float(weight), tuple(headers.items()), body.encode())


def from_log(lines: Iterable[str], hosts: set[str]) -> tuple[Request, ...]:
    """The GETs of others than golive that the edge answered well for `hosts`, as often as they came. NotFound where
    there are none."""
    seen: Counter[str] = Counter()
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict) or entry.get("method") != "GET":
            continue
        host, status, path = str(entry.get("host", "")).partition(":")[0], entry.get("status"), entry.get("path", "")
        own = str(entry.get("user_agent", "")).startswith(OWN)
        if host in hosts and isinstance(status, int) and status < 400 and PATH.fullmatch(str(path)) and not own:
            seen[str(path)] += 1
    if not seen:
        raise NotFound(
            "the access log has no GET of this app that was answered well",
            hint="golive load --scenario FILE, or open the app first",
        )
    return tuple(Request(path, weight=float(count)) for path, count in seen.most_common(MOST_PATHS))


def schedule(rate: float, seconds: float, arrivals: Arrivals, chance: random.Random) -> Iterator[float]:
    """Seconds from the beginning at which requests are due, whatever became of those before. `poisson` ones are at any
    moment as likely as at any other, but as many as the rate says: a short run is not by luck another rate."""
    if arrivals == "constant":
        yield from (n / rate for n in range(1, int(rate * seconds) + 1))
        return
    began = 0.0
    while began < seconds:
        long = min(WINDOW, seconds - began)
        yield from sorted(began + chance.random() * long for _ in range(round(rate * long)))
        began += long
