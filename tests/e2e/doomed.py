"""golive's daemon with a fate: it is killed with -9, by itself, at one moment of a deployment's journal.

    python doomed.py golive.daemon STEP MOMENT

begin: the journal says that the step runs, and nothing of it was done; end: all of it was done, and the journal does
not say so yet; SECONDS: so long after its beginning, if it is not over by then. Nothing else differs from the daemon
as it is: what follows is what the next one finds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from golive.daemon.main import run
from golive.home import Home
from golive.release.journal import Journal, StepNote

_, _, STEP, MOMENT = sys.argv
step_as_it_is = Journal.step


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def step(self: Journal, name: str) -> AsyncIterator[StepNote]:
    async with step_as_it_is(self, name) as note:
        if name != STEP:
            yield note
            return
        if MOMENT == "begin":
            die()
        elif MOMENT != "end":
            threading.Timer(float(MOMENT), die).start()
        yield note
        if MOMENT == "end":
            die()


Journal.step = step  # type: ignore[method-assign]
run(Home.default())
