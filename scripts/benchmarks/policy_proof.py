"""Whether each policy is at work, before it is measured."""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from pathlib import Path

from benchmarks.policy_cases import Ask, Case
from benchmarks.policy_edge import Bench
from benchmarks.processes import NotReadyError, wait_for
from benchmarks.proof import Connection, RefusedError, trusting


def prove_all(bench: Bench, chain: Path) -> None:
    """RefusedError for the first case whose answer does not show what it should, or whose request is not logged."""
    for case in bench.cases:
        asks = [case.ask, *([case.refuses] if case.refuses else [])]
        for ask in asks:
            _prove(bench, case, ask, chain)
    time.sleep(1.5)  # Envoy writes its log every second
    for name, engine in bench.engines.items():
        seen = {json.loads(line)["host"].partition(":")[0] for line in engine.log.read_text().splitlines()}
        for case in bench.cases:
            if case.edge == name and (case.host in seen) != case.logged:
                raise RefusedError(f"{case.name}: {case.host} is {'not ' * case.logged}in the log")


def _prove(bench: Bench, case: Case, ask: Ask, chain: Path) -> None:
    try:
        prove(bench.engines[case.edge].port, case.host, ask, chain)
    except RefusedError as error:
        raise RefusedError(f"{case.name}: {case.host}{ask.path}: {error}") from error


def prove(port: int, host: str, ask: Ask, chain: Path, *, body: bytes = b"", source: str = "127.0.0.1") -> None:
    """RefusedError when the answer is not as expected within some seconds: files and keys are read a little after the
    port is open, and the second of two answers comes from a cache."""
    said: list[str] = []

    def right() -> bool:
        got = answered(port, host, ask, chain, body=body, source=source)
        said[:] = [wrong(ask, got[0], got[1])]
        return not said[0]

    try:
        wait_for(ask.path, right, 10)
    except NotReadyError as error:
        raise RefusedError(said[0]) from error


def wrong(ask: Ask, status: int, headers: dict[str, str]) -> str:
    """What an answer has that was not expected; empty when it is right."""
    if status != ask.status:
        return f"answers {status} in place of {ask.status}"
    missing = [f"{name}: {headers.get(name)}" for name, text in ask.shows.items() if text not in headers.get(name, "")]
    missing += [f"{name} is there" for name in ask.hides if name in headers]
    return ", ".join(missing)


def answered(
    port: int, host: str, ask: Ask, chain: Path, *, body: bytes = b"", source: str = "127.0.0.1"
) -> tuple[int, dict[str, str], bytes]:
    """Status (0: there is no answer), headers with names in lower case, body. A POST when `body` is sent."""
    connection = Connection(port, trusting(chain, ["http/1.1"]), host, source)
    try:
        connection.request("POST" if body else "GET", ask.path, body or None, dict(ask.headers))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    except (OSError, HTTPException):
        return 0, {}, b""
    finally:
        connection.close()
