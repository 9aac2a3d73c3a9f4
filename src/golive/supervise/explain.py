"""Why a unit did not start, in words a user can act on: pure, from facts that were gathered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from golive.errors import StartFailed
from golive.supervise.probe import ProbeResult
from golive.supervise.unit import Unit
from golive.system.ports import Holder
from golive.system.processes import Exit
from golive.system.sessions import Listener
from golive.units import human_duration, human_size

LOG_LINES = 20
FULL = "No space left on device"
LEAST = 1 << 20
"""Bytes without which a disk is full."""


@dataclass(frozen=True)
class Facts:
    """`exit` None: it still runs. `listening`: ports of its own processes. `log`: the last lines of this run."""

    exit: Exit | None = None
    last: ProbeResult | None = None
    listening: tuple[Listener, ...] = ()
    log: str = ""


def ended(unit: Unit, facts: Facts) -> StartFailed:
    """It ended before it was ready."""
    exit = facts.exit or Exit()
    if exit.out_of_memory:
        limit = unit.memory or unit.spec.limits.memory
        why = f"its limit is {human_size(limit)}" if limit else None
        hint = "raise `memory` in the service's `limits`, or make it need less"
        return _error(unit, "ran out of memory before it was ready", why, hint, facts)
    return _error(unit, f"{exit} before it was ready", _cause(facts.log), _advice(unit, exit, facts.log), facts)


def brief(exit: Exit, log: str, free: int) -> str:
    """For a line in a table. `free` bytes are left where it writes: on a full disk its log says nothing either."""
    return f"{exit}, the disk is full" if exit.code != 0 and (FULL in log or free < LEAST) else str(exit)


def not_ready(unit: Unit, facts: Facts, timeout: timedelta) -> StartFailed:
    """It runs, and time is up."""
    within = f"within {human_duration(timeout.total_seconds())}"
    port = unit.port
    if port is not None and all(x.port != port for x in facts.listening) and (not facts.last or facts.last.refused):
        others = ", ".join(map(str, facts.listening))
        why = f"it listens on {others} instead" if others else "it listens on no port at all"
        hint = "its start command has to take the port from $PORT, for example `--port $PORT`"
        if not others:
            hint = (
                "see its output; it may still be starting (then raise `release.ready_timeout`), or waits for something"
            )
        return _error(unit, f"never listened on $PORT ({port}) {within}", why, hint, facts)
    detail = facts.last.detail if facts.last else "its probe never answered"
    if facts.last and facts.last.ok:
        detail = "its readiness came and went"
    if facts.last and facts.last.refused and facts.listening:
        detail += f"; it listens on {', '.join(map(str, facts.listening))}: it has to listen on 127.0.0.1 or 0.0.0.0"
    return _error(unit, f"did not become ready {within}", detail, "see its output, and the path in `health`", facts)


def taken(unit: Unit, holder: Holder) -> StartFailed:
    """Its port is somebody else's."""
    hint = f"stop it (`kill {holder.pid}`), or give the service another port" if holder.pid else "stop it"
    return StartFailed(f"port {unit.port} is taken by {holder}", where=unit.id, hint=hint)


def _error(unit: Unit, what: str, why: str | None, hint: str | None, facts: Facts) -> StartFailed:
    return StartFailed(f"{unit.id} {what}", where=unit.id, why=why, hint=hint, log=facts.log)


def _cause(log: str) -> str | None:
    """The line of its output that names an error, when one does."""
    for line in reversed(log.splitlines()):
        if re.match(r"\s*([A-Za-z_.]*(Error|Exception)\b|(ERROR|FATAL|CRITICAL)\b|error:|fatal:)", line):
            return line.strip()[:300]
        if found := re.search(r" (PANIC|FATAL): +(.+)", line):  # PostgreSQL's, behind the time
            return found[2].strip()[:300]
    return None


def _advice(unit: Unit, exit: Exit, log: str) -> str:
    if missing := re.search(r"No module named '([\w.]+)'", log):
        return f"add the package that has {missing[1]} to the dependencies"
    if FULL in log:
        return "free some disk space: the disk it writes to is full; it starts again by itself, nothing was deleted"
    if re.search(r"address already in use", log, re.IGNORECASE):
        return "it listens on a port of its own choice; it has to take the port from $PORT"
    if exit.code in (126, 127):
        return "the shell did not find the program, or may not run it; see `command`"
    if exit.code == 0 and unit.restart == "always":
        return "it ended without an error: a service has to stay in the foreground"
    return "see its output; the same command can be tried with `golive run`"
