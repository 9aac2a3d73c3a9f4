"""When an ended process is started again: pure decisions."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import timedelta

from golive.supervise.unit import RestartPolicy
from golive.system.processes import Exit

AT_ONCE = timedelta(seconds=0.1)
"""After a run that had become ready. Not zero: a program that dies right after it is ready must not spin."""
FIRST = timedelta(seconds=0.5)
LONGEST = timedelta(seconds=30)
CLEAN = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE})
"""Deaths that are no failure, as systemd's Restart=on-failure counts (systemd.service(5))."""


@dataclass(frozen=True)
class Run:
    """One run that ended. `exit` None: it never started. `forced`: golive ended it (liveness, memory)."""

    became_ready: bool
    exit: Exit | None
    forced: bool = False

    @property
    def failed(self) -> bool:
        """An unknown exit (of an adopted process) counts as failed: an outage is worse than a job run twice."""
        if self.exit is None or self.forced or self.exit.out_of_memory:
            return True
        return self.exit.code != 0 and self.exit.signal not in CLEAN


@dataclass(frozen=True)
class History:
    """`fruitless`: runs in a row, up to now, that never became ready."""

    fruitless: int = 0

    def after(self, run: Run) -> History:
        return History(0 if run.became_ready else self.fruitless + 1)


@dataclass(frozen=True)
class Restart:
    after: timedelta


@dataclass(frozen=True)
class GiveUp:
    reason: str


def decide(policy: RestartPolicy, history: History, run: Run) -> Restart | GiveUp:
    """What follows `run`; `history` is that before it.

    A run that became ready is followed at once, whatever came before; others wait 0.5, 1, 2 … 30 seconds. Nothing is
    ever given up for being often broken: a database that is away for an hour must find the app trying.
    """
    if policy == "never":
        return GiveUp("its restart policy is never")
    if policy == "on-failure" and not run.failed:
        return GiveUp("it ended without failing and its restart policy is on-failure")
    if run.became_ready:
        return Restart(AT_ONCE)
    return Restart(min(FIRST * 2 ** min(history.fruitless, 16), LONGEST))
